"""What the submit host asks of grid storages, told in JSON: by the tools and the rules of the worker nodes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence

from .clients import client_of
from .contract import Reason
from .failure import Failure, scratch_failure
from .local import path_of
from .log import Log
from .remote import Manner, Remote
from .report import forget
from .stop import Stop
from .streams import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PART = ".lofargrid-part"
CARRIED = "carried"
OURS = (
    Reason.INPUT_MISSING, Reason.INPUT_NEARLINE, Reason.CREDENTIAL_EXPIRED, Reason.STORAGE_FULL, Reason.STOPPED,
)  # fmt: skip
"""What would fail by way of this machine, too."""


class Errands:
    """Does errands, one after the other.

    Parameters
    ----------
    tools
        What storages may be reached by, the best first.
    environment
        PATH, and where proxy and authorities are.
    folder
        Takes files on their way from one storage to another.
    stop
        Is asked whether to go on.
    """

    def __init__(self, tools: Sequence[str], environment: Mapping[str, str], folder: str, stop: Stop) -> None:
        self._tools = tools
        self._environment = environment
        self._folder = folder
        self._stop = stop
        self._log = Log(os.path.join(folder, "errands.log"))
        self._shown: Mapping[str, str] = {}

    def do(self, errand: Mapping[str, Any]) -> dict[str, Any]:
        """Do one, and tell what came of it: `reason` and `detail` are empty where all is well.

        Its ``tokens`` are files with the bearer tokens that open some of its URLs, in place of a proxy.
        """
        self._shown = errand.get("tokens", {})
        try:
            told = ERRANDS[errand["do"]](self, errand)
        except Failure as failure:
            return {"reason": failure.reason.value, "detail": failure.detail}
        return {"reason": "", "detail": "", **told}

    def look(self, url: str) -> dict[str, Any]:
        """Tell the size of a file, None if it is not there."""
        return {"size_bytes": self._reading(url).size(url)}

    def names(self, folder: str) -> dict[str, Any]:
        """Tell the names of the files in a folder; none if it is not there."""
        return {"names": self._reading(folder).names(folder)}

    def remove(self, url: str) -> dict[str, Any]:
        """See that a file is not there."""
        self._writing(url).remove(url)
        return {}

    def remove_folder(self, folder: str) -> dict[str, Any]:
        """Remove a folder if it is empty, and its storage can make sure of that."""
        self._writing(folder).remove_folder(folder)
        return {}

    def copy(self, url: str, target: str, adler32: str) -> dict[str, Any]:
        """Make a file with a known checksum, or with the one that its storage keeps. It gets its name when it is whole.

        Raises
        ------
        Failure
            It is not there, has another checksum, or its storage or this disk fails.
        """
        wanted = adler32 or self._kept(url)
        if target.startswith("file:"):
            self._bring(url, path_of(target), wanted)
        else:
            self._store(url, target, wanted)
        return {}

    def _bring(self, url: str, path: str, adler32: str) -> None:
        part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}{PART}")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._fetch(url, part, adler32)
            os.replace(part, path)
        except OSError as error:
            raise scratch_failure(error, os.path.dirname(path)) from error
        finally:
            forget(part)

    def _fetch(self, url: str, path: str, adler32: str) -> None:
        with open(path, "wb"):
            """`Remote.fetch` writes to a file that is there."""
        self._reading(url).fetch(url, path)
        with open(path, "rb", buffering=0) as file:
            source = Source(file, path, self._stop)
            source.drain()
        _require(source.adler32, adler32, url)

    def _store(self, url: str, target: str, adler32: str) -> None:
        storage = self._writing(target)
        earlier = self._summed(storage, target)
        if earlier == adler32:
            return
        part = f"{target}{PART}"
        if url.startswith("file:"):
            storage.put(path_of(url), part)
        elif not (storage.copies(url) and self._copied(url, storage, part)):
            self._carry(url, storage, part, adler32)
        try:
            _require(self._summed(storage, part) or "none", adler32, url)
            if earlier:
                storage.remove(target)
            storage.rename(part, target)
        except Failure:
            with contextlib.suppress(Failure):  # what is wrong is told already
                storage.remove(part)
            raise

    def _copied(self, url: str, storage: Remote, target: str) -> bool:
        """Let storages copy among themselves; False if they will not: firewalls and rules lie between them."""
        try:
            storage.copy(url, target)
        except Failure as failure:
            if failure.reason in OURS:
                raise
            self._log.line(f"{url}: {failure.detail}; it goes by way of this machine")
            return False
        return True

    def _carry(self, url: str, storage: Remote, target: str, adler32: str) -> None:
        """Copy by way of this machine: one storage does not speak the other's protocol, or not with the other."""
        path = os.path.join(self._folder, CARRIED)
        try:
            self._fetch(url, path, adler32)
            storage.put(path, target)
        except OSError as error:
            raise scratch_failure(error, self._folder) from error
        finally:
            forget(path)

    def _kept(self, url: str) -> str:
        """The checksum that a storage keeps of a file."""
        found = self._summed(self._reading(url), url)
        if found is None:
            raise Failure(Reason.INPUT_MISSING, f"{url}: no such file")
        return found

    def _summed(self, storage: Remote, url: str) -> str | None:
        """The checksum of a file, None if it is not there; where its storage keeps none it is read."""
        facts = storage.facts(url)
        if facts is None or facts.adler32:
            return facts and facts.adler32
        with contextlib.closing(storage.open(url)) as stream:
            source = Source(stream, url, self._stop)
            source.drain()
        return source.adler32

    def _reading(self, url: str) -> Remote:
        return self._remote(url, "stage-in")

    def _writing(self, url: str) -> Remote:
        return self._remote(url, "stage-out")

    def _remote(self, url: str, stage: str) -> Remote:
        # Whoever sends us on errands tries again by himself.
        manner = Manner(stage, self._stop, self._log, self._folder, sends=1)
        scheme, token = url.partition(":")[0], self._shown.get(url, "")
        return Remote(client_of(scheme, self._tools, self._environment, manner, token), manner)


def _require(found: str, adler32: str, what: str) -> None:
    if found != adler32:
        raise Failure(Reason.INPUT_CORRUPT, f"{what}: adler32 {found} where {adler32} was stored")


ERRANDS: Mapping[str, Callable[[Errands, Mapping[str, Any]], dict[str, Any]]] = {
    "look": lambda errands, one: errands.look(one["url"]),
    "names": lambda errands, one: errands.names(one["url"]),
    "remove": lambda errands, one: errands.remove(one["url"]),
    "remove_folder": lambda errands, one: errands.remove_folder(one["url"]),
    "copy": lambda errands, one: errands.copy(one["url"], one["target"], one["adler32"]),
}
