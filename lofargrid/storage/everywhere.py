"""All storages that this machine can speak to: the scheme of a URL decides."""

from lofargrid.names import is_here
from lofargrid.storage.base import Stat, Storage


class Everywhere:
    """The disks of this machine and grid storages, as one.

    Parameters
    ----------
    disks, grid
        What speaks ``file://``, and what speaks all else.
    """

    def __init__(self, disks: Storage, grid: Storage) -> None:
        self._disks = disks
        self._grid = grid

    def is_near(self, *urls: str) -> bool:
        """See `Storage.is_near`."""
        return self._of(*urls).is_near(*urls)

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        return self._of(url).stat(url)

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        return self._of(folder).list(folder)

    def copy(self, source: str, target: str, adler32: str) -> None:
        """See `Storage.copy`."""
        self._of(source, target).copy(source, target, adler32)

    def write(self, target: str, content: bytes) -> None:
        """See `Storage.write`."""
        self._of(target).write(target, content)

    def read(self, url: str) -> bytes:
        """See `Storage.read`."""
        return self._of(url).read(url)

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        self._of(url).delete(url)

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        self._of(folder).remove_folder(folder)

    def _of(self, *urls: str) -> Storage:
        return self._disks if all(map(is_here, urls)) else self._grid
