"""Pure: a probe of a production: a few of its subbands through the whole pipeline, to see what they take."""

from collections.abc import Sequence
from dataclasses import replace

from lofargrid.decisions.splitting import beams
from lofargrid.model import Subband
from lofargrid.names import safe_name
from lofargrid.recipes.recipe import Recipe

SUFFIX = "-probe"
_LONGEST = 64


def probe_name(production: str) -> str:
    """The name of a production's probe."""
    name = f"{production[: _LONGEST - len(SUFFIX)]}{SUFFIX}"
    assert safe_name(name), "what is cut off a safe name leaves a safe one"
    return name


def probe_of(recipe: Recipe, subbands: int) -> Recipe:
    """The recipe with a few usable subbands of each SAP; its products go to a folder of their own.

    Parameters
    ----------
    recipe
        The whole production.
    subbands
        How many of each SAP.
    """
    chosen = [
        one
        for members in beams(recipe.subbands).values()
        for one in _spread([member for member in members if member.reason is None], subbands)
    ]
    return replace(
        recipe,
        production=probe_name(recipe.production),
        subbands=tuple(chosen),
        output=f"{recipe.output}/{SUFFIX.strip('-')}",
        gaps="skip",
        minimum_subbands=0.0,
    )


def _spread(members: Sequence[Subband], count: int) -> list[Subband]:
    """The first ones, neighbours, and the last one: so groups of different sizes come about."""
    if len(members) <= count:
        return list(members)
    return [*members[: count - 1], members[-1]] if count > 1 else [members[0]]
