"""Leave: whether something may be begun with a credential of the user's now, or that ends before it would."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lofargrid.credentials.bearer import read_bearer
from lofargrid.errors import ExpiredError, InputError


@dataclass(frozen=True)
class Kind:
    """A kind of credential: what it is called, how one comes by a new one, and what tells when one ends, if it does."""

    name: str
    remedy: str
    ends: Callable[[Path], datetime | None]


def _proxy_ends(path: Path) -> datetime:
    # cryptography loads slowly: only those pay for it whose jobs ask for a proxy.
    from lofargrid.credentials.proxy import read_proxy

    return read_proxy(path).good_until


PROXY = Kind("proxy", "proxy --new", _proxy_ends)
TOKEN = Kind("token", "ask its storage", read_bearer)


class Leave:
    """Looks at a credential again whenever its file has changed.

    Parameters
    ----------
    kind, path
        What it is, and its file.
    clock
        Gives the time, aware UTC.
    """

    def __init__(self, kind: Kind, path: Path, clock: Callable[[], datetime]) -> None:
        self._kind = kind
        self._path = path
        self._clock = clock
        self._seen: object = None
        self._ends: datetime | None = None

    def require(self, minutes: float = 0) -> None:
        """See that the credential is good for so long.

        Raises
        ------
        ExpiredError
            It is not, is gone, or cannot be used.
        """
        try:
            ends = self._until()
        except (InputError, OSError) as error:
            raise ExpiredError(f"{error}; what needs it waits for that") from None
        if ends is None:
            return
        left, one = ends - self._clock(), f"the {self._kind.name} {self._path}"
        if left <= timedelta(0):
            raise ExpiredError(f"{one} has ended; what needs one waits for a new one: {self._kind.remedy}")
        if left < timedelta(minutes=minutes):
            what = f"{one} is good for {left // timedelta(minutes=1)} min more"
            raise ExpiredError(f"{what}; jobs that may take {minutes:g} min wait for a new one: {self._kind.remedy}")

    def _until(self) -> datetime | None:
        status = self._path.stat()
        as_it_is = status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode
        if as_it_is != self._seen:
            self._ends = self._kind.ends(self._path)
            self._seen = as_it_is
        return self._ends
