"""Leave: whether something may be begun in the user's name now, or his proxy ends before it would."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from lofargrid.errors import ExpiredError, InputError


class Leave:
    """Looks at a proxy again whenever its file has changed.

    Parameters
    ----------
    proxy
        The file.
    clock
        Gives the time, aware UTC.
    """

    def __init__(self, proxy: Path, clock: Callable[[], datetime]) -> None:
        self._proxy = proxy
        self._clock = clock
        self._seen: object = None
        self._good_until = datetime.min

    def require(self, minutes: float = 0) -> None:
        """See that the proxy is good for so long.

        Raises
        ------
        ExpiredError
            It is not, is gone, or cannot be used.
        """
        try:
            left = self._until() - self._clock()
        except (InputError, OSError) as error:
            raise ExpiredError(f"{error}; what needs it waits for that") from None
        if left <= timedelta(0):
            raise ExpiredError(f"the proxy {self._proxy} has ended; what needs one waits for a new one: proxy --new")
        if left < timedelta(minutes=minutes):
            minutes_left = left // timedelta(minutes=1)
            what = f"the proxy {self._proxy} is good for {minutes_left} min more"
            raise ExpiredError(f"{what}; jobs that may take {minutes:g} min wait for a new one: proxy --new")

    def _until(self) -> datetime:
        # cryptography loads slowly: only those pay for it whose jobs ask for a proxy.
        from lofargrid.credentials.proxy import read_proxy

        status = self._proxy.stat()
        as_it_is = status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode
        if as_it_is != self._seen:
            self._good_until = read_proxy(self._proxy).good_until
            self._seen = as_it_is
        return self._good_until
