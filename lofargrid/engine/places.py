"""Where the engine finds and puts things."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lofargrid.documents.software import Software
from lofargrid.model import Site
from lofargrid.recipes.recipe import Recipe
from lofargrid.storage.base import Keys, Way


@dataclass(frozen=True)
class Places:
    """Where the engine finds and puts things. The functions take a production's recipe.

    ``sandbox`` gives the folder of its frozen sandbox, ``scratch`` the folder URL of its intermediates at a site,
    ``software`` its release and the versions of the tools in it. ``turl`` gives the URL by which jobs read a file,
    where ``keys`` know no other way, ``token`` the path of a file with the token that opens a URL, "" where the user's
    proxy does. ``require`` raises `ExpiredError` where what a production asks for is not good for so many minutes more,
    ``require_open`` where what opens some URLs is not good now.
    """

    owner: str
    contact: str
    sandbox: Callable[[Recipe], str]
    scratch: Callable[[Recipe, Site], str]
    software: Callable[[Recipe], tuple[Software, Mapping[str, str]]]
    turl: Callable[[str], str] = str
    keys: Keys | None = None
    token: Callable[[str], str] = lambda url: ""
    require: Callable[[Recipe, float], None] = lambda recipe, minutes: None
    require_open: Callable[..., None] = lambda *urls: None

    def way(self, url: str) -> Way:
        """How jobs read a file; the token is the path of a file."""
        kept = self.keys.of(url) if self.keys else None
        turl = self.turl(url)
        return kept if kept and kept.token else Way(turl, self.token(turl))
