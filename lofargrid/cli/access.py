"""Whether a production's inputs can be read where they lie, before anything is entered."""

from typing import TYPE_CHECKING

from lofargrid.cli.session import now
from lofargrid.config import Settings
from lofargrid.documents.sites import LOCAL, SCHEMES
from lofargrid.errors import Fault, InputError
from lofargrid.recipes.recipe import Recipe

if TYPE_CHECKING:
    from lofargrid.credentials.proxy import Proxy

_OPEN = ("file", "https")
"""What may be open to everybody."""


def require_access(recipe: Recipe, settings: Settings) -> None:
    """Refuse inputs on storages that jobs could not speak to, or that would not let them in.

    Raises
    ------
    InputError
        The first line of each list with a protocol that nobody speaks; what is wrong with the user's proxy.
    """
    _require_protocols(recipe)
    guarded = [one for one in recipe.subbands if _scheme(one.url) not in _OPEN]
    if not guarded:
        return
    found = _good_proxy(settings)
    if recipe.backend != LOCAL and settings.proxy is None:
        what = f"{guarded[0].url} is for those with a proxy, and jobs are not given yours"
        remedy = f"Say that they are: export LOFARGRID_PROXY={found.path}"
        raise InputError(Fault(what, remedy, guarded[0].source, guarded[0].line))


def _require_protocols(recipe: Recipe) -> None:
    faults = []
    for role in recipe.pipeline.roles:
        strange = [one for one in recipe.subbands if one.role == role and _scheme(one.url) not in SCHEMES]
        if strange:
            what = f"nothing reads {strange[0].url} ({len(strange)} such lines)"
            remedy = f"A URL begins with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
            faults.append(Fault(what, remedy, strange[0].source, strange[0].line))
    if faults:
        raise InputError(*faults)


def _good_proxy(settings: Settings) -> "Proxy":
    # OpenSSL loads slowly: only those pay for it whose inputs ask for a proxy.
    from lofargrid.credentials.proxy import read_proxy
    from lofargrid.credentials.trust import Trust

    found = read_proxy(settings.own_proxy)
    doubts = Trust(settings.authorities, settings.vomsdir).doubts(found, now())
    if doubts:
        raise InputError(*(Fault(one, "Make a new one by voms-proxy-init", str(found.path)) for one in doubts))
    return found


def _scheme(url: str) -> str:
    return url.partition("://")[0]
