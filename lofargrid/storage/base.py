"""The ports to a storage and to its tapes. URLs in, facts out; every implementation speaks one or more schemes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class Stat:
    """A file as the storage knows it."""

    url: str
    size_bytes: int


class Storage(Protocol):
    """What lofargrid asks of a storage.

    All calls are idempotent, and may be made in several threads. A call that fails raises `BackendError` and says which
    URL.
    """

    def is_near(self, *urls: str) -> bool:
        """Whether calls about these files come back at once; those about others may take hours."""
        ...

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

    def read(self, url: str) -> bytes:
        """Give the content of a small file."""
        ...

    def delete(self, url: str) -> None:
        """See that a file is not there."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty."""
        ...


class Locality(StrEnum):
    """Where the bytes of a file are now.

    A ``LOST`` file has a name and no bytes, an ``ABSENT`` one no name; of a ``REFUSED`` one this user may not know.
    """

    ONLINE = "online"
    NEARLINE = "nearline"
    LOST = "lost"
    ABSENT = "absent"
    REFUSED = "refused"


class RecallState(StrEnum):
    """What a request says of one of its files."""

    QUEUED = "queued"
    ONLINE = "online"
    FAILED = "failed"


@dataclass(frozen=True)
class Recalled:
    """How far the recall of a file is; ``detail`` tells why it failed."""

    state: RecallState
    detail: str = ""


class Release(StrEnum):
    """What a tape service can let go before the time is over: single files, whole requests, or nothing."""

    FILE = "file"
    REQUEST = "request"
    NEVER = "never"


@dataclass(frozen=True)
class Pinning:
    """How a tape service keeps files on disk: what it can let go, and how long it keeps what nobody lets go.

    ``opens`` says that a request also opens the files that it brings, see `Recall.ways`.
    """

    release: Release = Release.FILE
    lifetime_s: float = 2 * 86400.0
    opens: bool = False


@dataclass(frozen=True)
class Way:
    """How a file is read: by a URL, and with a bearer token, "" where it is one's own proxy that opens it."""

    url: str
    token: str = field(default="", repr=False)


class Keys(Protocol):
    """Ways that are kept until their files are read. Nobody else can read the tokens."""

    def keep(self, url: str, way: Way) -> None:
        """Keep how a file is read."""
        ...

    def of(self, url: str) -> Way | None:
        """Tell how a file is read; the token of it is the path of a file that holds it. None if nothing is kept."""
        ...

    def forget(self, urls: Sequence[str]) -> None:
        """Keep the ways of some files no longer."""
        ...


class Recall(Protocol):
    """What lofargrid asks of tapes: bring files to disk, keep them there, let them go.

    A call that fails raises `BackendError`; it may have been carried out all the same. Calls may be repeated: a file
    that is asked for twice is read once, and stays online as long as the later request says. What a service says of its
    requests is no proof: only `locality`, asked after it, tells whether a file can be read, and also that may change at
    any moment.
    """

    def pinning(self, url: str) -> Pinning:
        """Tell how the service of a file keeps it on disk."""
        ...

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """Tell where each file is now."""
        ...

    def request(self, urls: Sequence[str]) -> str:
        """Ask that files of one site come online, and stay so for the lifetime of its `pinning`.

        Raises `UncertainError` where it may be that they come although nobody knows the name of the request.

        Returns
        -------
        request
            A name to poll and release it by, also from another process. Files that cannot come are told by `poll`.
        """
        ...

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """Tell how far files of a request are; nothing at all if the service does not know the request (any more).

        A file may stay queued for ever.
        """
        ...

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """Tell how files that a request has brought are read, of those that one's own proxy need not open."""
        ...

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """Let files go, as far as this request keeps them or waits for them; unknown ones are passed over.

        Where whole requests are released these are all its files; where nothing is, no call is made.

        Returns
        -------
        known
            Whether the service knows the request: if not, what it brought stays until its time is over.
        """
        ...
