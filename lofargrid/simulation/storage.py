"""The simulated storages of all sites, and the submit host's disk."""

import zlib
from collections.abc import Callable
from typing import TypeVar

from lofargrid.errors import BackendError
from lofargrid.names import path_of
from lofargrid.simulation.faults import Cause
from lofargrid.simulation.files import Files, folder_of
from lofargrid.simulation.gate import Gate
from lofargrid.simulation.network import Network
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather
from lofargrid.storage.base import Locality, Stat

Answer = TypeVar("Answer")


class SimulatedStorage:
    """Files that have a size and a checksum, and no bytes. See `Storage` for what its calls guarantee.

    A copy takes no virtual time; its bytes are booked on the links that it would cross.

    Parameters
    ----------
    files
        What lies where.
    network
        Where copies are booked.
    weather
        When a site's storage is down or full.
    gate
        The way to the service.
    trace
        Where changes are written.
    """

    def __init__(self, files: Files, network: Network, weather: Weather, gate: Gate, trace: Trace) -> None:
        self._files = files
        self._network = network
        self._weather = weather
        self._gate = gate
        self._trace = trace

    def is_near(self, *urls: str) -> bool:
        """See `Storage.is_near`."""
        return True

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""

        def look() -> Stat | None:
            file = self._files.get(url)
            return Stat(url, file.size_bytes) if file else None

        return self._call("look at", url, look)

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        if self._files.get(folder.rstrip("/")):
            raise _failed("list", folder, "Not a directory")
        return self._call("list", f"{folder.rstrip('/')}/", lambda: self._files.inside(folder))

    def copy(self, source: str, target: str, adler32: str) -> None:
        """See `Storage.copy`."""
        self._call("copy to", target, lambda: self._copy(source, target, adler32), writes=True)

    def write(self, target: str, content: bytes) -> None:
        """See `Storage.write`."""
        text = content.decode("utf-8", "replace")
        adler32 = f"{zlib.adler32(content):08x}"
        self._call("write", target, lambda: self._put(target, len(content), adler32, text), writes=True)

    def read(self, url: str) -> bytes:
        """See `Storage.read`."""
        return self._call("read", url, lambda: self._read(url))

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        self._call("delete", url, lambda: self._delete(url))

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`. Folders are there as long as something is in them."""

    def _copy(self, source: str, target: str, adler32: str) -> None:
        file = self._files.get(source)
        if file is None or file.locality is not Locality.ONLINE:
            raise _failed("copy to", target, "No such file or directory")
        if self._weather.is_bad(Cause.STORAGE_DOWN, file.site):
            raise _failed("copy to", target, f"{path_of(source)}: Connection timed out")
        if file.adler32 != adler32:
            raise BackendError(f"{path_of(source)}: adler32 {file.adler32} where {adler32} was stored; not copied")
        self._network.book(file.site, self._files.holder(target), file.size_bytes)
        self._put(target, file.size_bytes, adler32, file.content)

    def _read(self, url: str) -> bytes:
        file = self._files.get(url)
        if file is None or file.locality is not Locality.ONLINE:
            raise _failed("read", url, "No such file or directory")
        return file.content.encode()

    def _put(self, url: str, size_bytes: int, adler32: str, content: str) -> None:
        self._trace.note("store", url=url, size=size_bytes)
        self._files.put(url, size_bytes, adler32, content)

    def _delete(self, url: str) -> None:
        if self._files.get(url):
            self._trace.note("delete", url=url)
            self._files.remove(url)

    def _call(self, verb: str, url: str, act: Callable[[], Answer], writes: bool = False) -> Answer:
        """Do something at the storage that holds a URL, if it can be done there now."""
        if self._files.get(folder_of(url)):
            raise _failed(verb, url, "Not a directory")
        site = self._files.holder(url)
        if site and self._weather.is_bad(Cause.CREDENTIAL_EXPIRED):
            raise _failed(verb, url, "the proxy has expired")
        if self._weather.is_bad(Cause.CREDENTIAL_REFUSED, site):
            raise _failed(verb, url, "Permission denied")
        if self._weather.is_bad(Cause.STORAGE_DOWN, site):
            raise _failed(verb, url, "Connection timed out")
        if writes and self._weather.is_bad(Cause.STORAGE_FULL, site):
            raise _failed(verb, url, "No space left on device")
        return self._gate.call(f"{verb} {path_of(url)}", act)


def _failed(verb: str, url: str, why: str) -> BackendError:
    return BackendError(f"cannot {verb} {path_of(url)}: {why}")
