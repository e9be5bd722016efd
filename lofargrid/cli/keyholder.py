"""What the user opens storages with: tokens of sites, and a proxy for all else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lofargrid.config import Settings
from lofargrid.credentials.bearer import Bearers
from lofargrid.credentials.leave import PROXY, TOKEN, Leave
from lofargrid.documents.sites import transfer_url, web_servers
from lofargrid.errors import Fault
from lofargrid.model import Site, Subband
from lofargrid.names import is_here
from lofargrid.recipes.guarded import guarded, places
from lofargrid.recipes.recipe import Recipe


@dataclass(frozen=True)
class Asked:
    """What a production asks for: the first place that is for those with a proxy, and files with tokens."""

    place: Fault | None
    tokens: tuple[str, ...]


class Keyholder:
    """The user's proxy and tokens.

    Parameters
    ----------
    settings
        Where they are.
    sites, reached
        All sites, and those that jobs can be sent to.
    opens
        Tells which inputs a tape service opens by itself.
    clock
        Gives the time, aware UTC.
    """

    def __init__(
        self, settings: Settings, sites: Mapping[str, Site], reached: Mapping[str, Site],
        opens: Callable[[Subband], bool], clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._sites = sites
        self._reached = reached
        self._opens = opens
        self._clock = clock
        self._bearers = Bearers(settings.tokens, {name: web_servers(site) for name, site in sites.items()})
        self._proxy = Leave(PROXY, settings.own_proxy, clock)
        self._tokens: dict[str, Leave] = {}
        self._asked: dict[str, tuple[Recipe, Asked]] = {}

    def turl(self, url: str) -> str:
        """The URL by which a file is reached: through a door of https where there is a token for it."""
        return transfer_url(url, self._sites, self._bearers.at)

    def token(self, url: str) -> str:
        """The file with the token that opens a URL, "" where the proxy does."""
        return self._bearers.of(self.turl(url)) if self._bearers else ""

    def asked(self, recipe: Recipe) -> Asked:
        """What a production asks for."""
        known = self._asked.get(recipe.production)
        if known is None or known[0] is not recipe:  # it has many lines, and each tick asks
            place = next(guarded(recipe, self._reached, self._opens, self.token), None)
            tokens = sorted(filter(None, set(map(self.token, places(recipe, self._reached)))))
            known = self._asked[recipe.production] = recipe, Asked(place, tuple(tokens))
        return known[1]

    def require(self, recipe: Recipe, minutes: float) -> None:
        """See that what a production asks for is good for so long.

        Raises
        ------
        ExpiredError
            It is not.
        """
        asked = self.asked(recipe)
        if asked.place:
            self._proxy.require(minutes)
        for path in asked.tokens:
            self._token(path).require(minutes)

    def require_open(self, *urls: str) -> None:
        """See that what opens some URLs is good now.

        Raises
        ------
        ExpiredError
            It is not.
        """
        for url in urls:
            if path := self.token(url):
                self._token(path).require()
            elif not is_here(url):
                self._proxy.require()

    def _token(self, path: str) -> Leave:
        return self._tokens.setdefault(path, Leave(TOKEN, Path(path), self._clock))
