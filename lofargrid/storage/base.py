"""The port to a storage. URLs in, facts out; every implementation speaks one or more schemes."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Stat:
    """A file as the storage knows it."""

    url: str
    size_bytes: int


class Storage(Protocol):
    """What lofargrid asks of a storage.

    All calls are idempotent. A call that fails raises `BackendError` and says which URL.
    """

    def stat(self, url: str) -> Stat | None:
        """Tell the size of a file, or None if it is not there."""
        ...

    def list(self, folder: str) -> list[str]:
        """Tell the URLs of the files in a folder; none if the folder is not there."""
        ...

    def copy(self, source: str, target: str, adler32: str) -> None:
        """Make ``target`` a complete copy of ``source``.

        On return the copy stands under ``target`` with that checksum; before, nothing does. Repeating it does
        no harm.
        """
        ...

    def write(self, target: str, content: bytes) -> None:
        """Make ``target`` a file with this content, complete or not at all."""
        ...

    def delete(self, url: str) -> None:
        """See that a file is not there."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty."""
        ...
