"""Which driver speaks to which tape service."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lofargrid.model import TapeService
from lofargrid.storage.asking import Service
from lofargrid.storage.base import Recall
from lofargrid.storage.bring_online import BringOnline
from lofargrid.storage.bulk import BulkRequests
from lofargrid.storage.stageit import StageIt
from lofargrid.storage.tape_rest import TapeRest
from lofargrid.storage.web import token_client, web_client


def driver(site: str, service: TapeService, proxy: Path, token: Callable[[], str], authorities: Path) -> Recall:
    """Make the driver of a site's tape service.

    Parameters
    ----------
    site, service
        The site, and what recalls its files.
    proxy, token
        How the user is known: to StageIT by a token, to all others by a proxy.
    authorities
        Whose certificates are believed.
    """
    called = f"the tape service of {site}"
    if service.by == "gfal2":
        return BringOnline(called, service.at, proxy, authorities)
    if service.by == "stageit":
        return StageIt(Service(called, partial(token_client, service.at, token, authorities)))
    known = Service(called, partial(web_client, service.at, proxy, authorities))
    return BulkRequests(known) if service.by == "bulk" else TapeRest(known)
