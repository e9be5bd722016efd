"""Whether a production's storages let its user read and write, before anything is entered."""

import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lofargrid.cli.session import Session, now
from lofargrid.cli.text import note, seconds_text
from lofargrid.config import Settings
from lofargrid.credentials.bearer import read_bearer
from lofargrid.credentials.staging import read_token
from lofargrid.documents.production import CredentialDocument
from lofargrid.documents.sites import LOCAL, SCHEMES
from lofargrid.errors import BackendError, Fault, InputError
from lofargrid.names import is_here
from lofargrid.recipes.guarded import proxy_min
from lofargrid.recipes.recipe import Recipe

if TYPE_CHECKING:
    from lofargrid.credentials.proxy import Proxy

_TRIAL = ".lofargrid-trial"
_LONG_S = 5.0


class Access:
    """Asks, and remembers what is known to be good: the productions of a campaign have much in common.

    Parameters
    ----------
    session
        Whose proxy and storages these are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._proxy: Proxy | None = None
        self._writable: set[str] = set()

    def require(self, recipe: Recipe, wanted: CredentialDocument) -> None:
        """Refuse storages that jobs could not speak to, or that would not let them in.

        Parameters
        ----------
        recipe
            The production.
        wanted
            What it asks of the proxy.

        Raises
        ------
        InputError
            The first line of each list with a protocol that nobody speaks; what is wrong with the user's proxy or
            token; an output that may not be written.
        """
        _require_protocols(recipe)
        if any(map(self._session.opens(), recipe.subbands)):
            read_token(self._session.settings.staging)
        asked = self._session.keyholder.asked(recipe)
        _require_tokens(recipe, asked.tokens)
        if asked.place or wanted != CredentialDocument():
            self._require_proxy(recipe, wanted, asked.place)
        self._require_writable(recipe.output)

    def _require_proxy(self, recipe: Recipe, wanted: CredentialDocument, place: Fault | None) -> None:
        """Refuse a proxy that will not do, or that jobs are not given where a place asks for it."""
        settings = self._session.settings
        self._proxy = self._proxy or _good_proxy(settings)
        faults = list(_shortcomings(self._proxy, recipe, wanted, now()))
        if faults:
            raise InputError(*faults)
        if place and recipe.backend != LOCAL and settings.proxy is None:
            remedy = f"Say that they are: export LOFARGRID_PROXY={self._proxy.path}"
            what = f"{place.what} is for those with a proxy, and jobs are not given yours"
            raise InputError(replace(place, what=what, remedy=remedy))

    def _require_writable(self, output: str) -> None:
        """Write to a storage and take it away again: nothing else tells what a role may do there."""
        around = output.rsplit("/", 1)[0]  # a campaign has a folder for each production; rights are inherited
        if is_here(output) or around in self._writable:
            return
        storage, trial = self._session.storage(), f"{output}/{_TRIAL}"
        waiting = threading.Timer(_LONG_S, note, [f"waiting for the storage of {output} ..."])
        waiting.daemon = True
        waiting.start()
        try:
            storage.write(trial, b"lofargrid looks whether it may write here\n")
            storage.delete(trial)
        except BackendError as error:
            remedy = "Show a proxy with the role of your VO that may, or a token, or name another folder"
            raise InputError(Fault(f"{output} cannot be written: {error}", remedy, field="output")) from None
        finally:
            waiting.cancel()
        self._writable.add(around)


def _shortcomings(proxy: "Proxy", recipe: Recipe, wanted: CredentialDocument, at: datetime) -> Iterator[Fault]:
    """What a proxy lacks that a production asks for, or that its longest job needs."""
    if wanted.vo and proxy.vo != wanted.vo:
        remedy = f"Make one with: proxy --new --vo {wanted.vo}"
        yield Fault(f"the proxy is of {proxy.vo or 'no VO'}, not of {wanted.vo}", remedy, field="credential.vo")
    if wanted.role and not any(one.endswith(f"/Role={wanted.role}") for one in proxy.fqans):
        remedy = f"Make one with: proxy --new --role {wanted.role}"
        yield Fault(f"the proxy does not have the role {wanted.role}", remedy, field="credential.role")
    longest_min = max(map(proxy_min, recipe.pipeline.steps.values()))
    left_s = (proxy.good_until - at).total_seconds()
    needed_s = max(wanted.hours * 3600, longest_min * 60)
    if left_s < needed_s:
        why = "as it asks for" if wanted.hours * 3600 >= longest_min * 60 else "which its longest job may take"
        what = f"the proxy is good for {seconds_text(left_s)} more, not for {seconds_text(needed_s)}, {why}"
        remedy = f"Make one with: proxy --new --valid {math.ceil(needed_s / 3600) + 1}"
        yield Fault(what, remedy, field="credential.hours" if wanted.hours else "")


def _require_tokens(recipe: Recipe, tokens: Iterable[str]) -> None:
    """Refuse tokens that cannot be used, or that end before the longest job may."""
    longest_min = max(map(proxy_min, recipe.pipeline.steps.values()))
    for path in tokens:
        ends = read_bearer(Path(path))
        left_s = (ends - now()).total_seconds() if ends else math.inf
        if left_s < longest_min * 60:
            left = f"is good for {seconds_text(left_s)} more" if left_s > 0 else "has ended"
            what = f"this token {left}; the longest job may take {seconds_text(longest_min * 60)}"
            raise InputError(Fault(what, "Ask its storage for one that lasts", file=path))


def _require_protocols(recipe: Recipe) -> None:
    faults = []
    for role in recipe.pipeline.roles:
        strange = [one for one in recipe.subbands if one.role == role and one.url.partition("://")[0] not in SCHEMES]
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
        raise InputError(*(Fault(one, "Make a new one with: proxy --new", str(found.path)) for one in doubts))
    return found
