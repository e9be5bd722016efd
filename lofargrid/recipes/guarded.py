"""What of a production is for those with a proxy only: its inputs, its output, and the scratch of its sites."""

from collections.abc import Callable, Iterator, Mapping

from lofargrid.documents.pipelines import Step
from lofargrid.documents.sites import LOCAL
from lofargrid.errors import Fault
from lofargrid.model import Site, Subband
from lofargrid.recipes.recipe import Recipe

_OPEN = ("file", "https")
"""What may be open to everybody."""
_MARGIN_MIN = 10
"""For what a job stores after its payload."""


def guarded(recipe: Recipe, reached: Mapping[str, Site], opens: Callable[[Subband], bool]) -> Iterator[Fault]:
    """The places that ask for a proxy, and where they are named.

    Parameters
    ----------
    recipe
        The production.
    reached
        The sites that jobs can be sent to.
    opens
        Tells which inputs a tape service opens by itself, to those who have recalled them.
    """
    for one in recipe.subbands:
        if _scheme(one.url) not in _OPEN and not opens(one):
            yield Fault(one.url, file=one.source, line=one.line)
    if _scheme(recipe.output) != "file":
        yield Fault(recipe.output, field="output")
    if recipe.backend != LOCAL:
        for site in (reached[name] for name in recipe.allowed(reached)):
            if site.scratch and _scheme(site.scratch) != "file":
                yield Fault(f"{site.scratch}, the scratch of {site.name},", field="sites")


def proxy_min(step: Step) -> float:
    """How long a proxy must be good for a job of a step, in minutes."""
    return step.resources.walltime_min + _MARGIN_MIN


def _scheme(url: str) -> str:
    return url.partition("://")[0]
