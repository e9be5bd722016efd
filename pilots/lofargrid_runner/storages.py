"""Storages by URL scheme.

Local disks are an entry of `STORAGES`; grid storages are reached through tools, see `lofargrid_runner.tools`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import local
from .streams import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .remote import Manner
    from .streams import Stream


class Storage(NamedTuple):
    """How files of one URL scheme are read and written. All raise OSError, or Failure if they know the cause.

    ``open`` gives a stream of the whole file. ``store`` lets its second argument write the content, and
    guarantees: when it returns the file stands complete under its name, when it raises nothing does.
    ``fetch`` brings a file to a path of this node, where there is a faster way than the stream. ``facts`` is None
    where there is no such file. ``remove`` may be called for what is not there. ``free`` says in words how much space
    is left.
    """

    open: Callable[[str], Stream]
    store: Callable[[str, Callable[[BinaryIO], None]], None]
    facts: Callable[[str], Facts | None]
    remove: Callable[[str], None]
    free: Callable[[str], str]
    fetch: Callable[[str, str], None] | None = None


def _on_disk(url: str) -> Facts | None:
    size_bytes = local.size(url)
    return None if size_bytes is None else Facts(size_bytes)


STORAGES = {"file": Storage(local.open_file, local.store, _on_disk, local.remove, local.free)}


class Storages:
    """The storages that this node reaches: its own disks, and those that it has a tool for.

    Parameters
    ----------
    manner
        How they are spoken to.
    environment
        The one that the batch system gave us: PATH, and where proxy and authorities are.
    tools
        Those that may be used, the best first; the first one that is here and speaks a URL's protocol is.
    """

    def __init__(self, manner: Manner, environment: Mapping[str, str], tools: Sequence[str]) -> None:
        self._manner = manner
        self._environment = environment
        self._tools = tools

    def of(self, url: str, token: str = "") -> Storage:
        """Choose the storage by the scheme of a URL; a file with a bearer token may open it in place of a proxy.

        Raises
        ------
        Failure
            ``SOFTWARE_MISSING``: no tool of this node speaks it.
        """
        scheme = "file" if url.startswith("/") else url.partition(":")[0]
        if scheme in STORAGES:
            return STORAGES[scheme]
        from .clients import client_of
        from .remote import Remote

        remote = Remote(client_of(scheme, self._tools, self._environment, self._manner, token), self._manner)
        return Storage(remote.open, remote.store, remote.facts, remote.remove, remote.free, remote.fetch)
