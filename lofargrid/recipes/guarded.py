"""What of a production is for those with a proxy only: its inputs, its output, and the scratch of its sites."""

from collections.abc import Callable, Iterator, Mapping

from lofargrid.documents.pipelines import Step
from lofargrid.documents.sites import LOCAL
from lofargrid.errors import Fault
from lofargrid.model import Site, Subband
from lofargrid.names import is_here
from lofargrid.recipes.recipe import Recipe

_MARGIN_MIN = 10
"""For what a job stores after its payload."""


def guarded(
    recipe: Recipe, reached: Mapping[str, Site], opens: Callable[[Subband], bool], token: Callable[[str], str]
) -> Iterator[Fault]:
    """The places that ask for a proxy, and where they are named.

    Parameters
    ----------
    recipe
        The production.
    reached
        The sites that jobs can be sent to.
    opens
        Tells which inputs a tape service opens by itself, to those who have recalled them.
    token
        Gives the file with the token that opens a URL, "" if none does.
    """
    for one in recipe.subbands:
        open_to_all = is_here(one.url) or one.url.startswith("https:")
        if not open_to_all and not opens(one) and not token(one.url):
            yield Fault(one.url, file=one.source, line=one.line)
    if not is_here(recipe.output) and not token(recipe.output):
        yield Fault(recipe.output, field="output")
    for site in _scratches(recipe, reached):
        if not token(site.scratch):
            yield Fault(f"{site.scratch}, the scratch of {site.name},", field="sites")


def places(recipe: Recipe, reached: Mapping[str, Site]) -> Iterator[str]:
    """All URLs that a production reads from and writes to: inputs, output, scratch."""
    yield from (one.url for one in recipe.subbands)
    yield recipe.output
    yield from (site.scratch for site in _scratches(recipe, reached))


def _scratches(recipe: Recipe, reached: Mapping[str, Site]) -> list[Site]:
    """The sites of a production that have a scratch on a grid storage."""
    allowed = [] if recipe.backend == LOCAL else [reached[name] for name in recipe.allowed(reached)]
    return [site for site in allowed if site.scratch and not is_here(site.scratch)]


def proxy_min(step: Step) -> float:
    """How long a proxy must be good for a job of a step, in minutes."""
    return step.resources.walltime_min + _MARGIN_MIN
