"""Calls to storages: those that take long go on beside the ticks."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lofargrid.errors import BackendError
from lofargrid.storage.base import Storage

MOST = 4
"""So many calls go on at once."""
PAUSE_S = 10.0
LONGEST_PAUSE_S = 600.0
PATIENCE_S = 160.0
"""What has failed so often that it rests for longer is not waited for by who has nothing else to do."""


@dataclass
class _Trouble:
    """Why a call failed, and from when on it is tried again."""

    error: BackendError | OSError
    until: datetime
    pause_s: float


@dataclass
class Carrying:
    """Makes calls to a storage, each under a key. What it has begun does not outlive the process.

    ``leave`` raises `ExpiredError` where what opens some URLs has ended.
    """

    storage: Storage
    clock: Callable[[], datetime]
    leave: Callable[..., None] = lambda *urls: None
    _going: dict[Hashable, Future[None]] = field(default_factory=dict)
    _troubles: dict[Hashable, _Trouble] = field(default_factory=dict)
    _wanted: set[Hashable] = field(default_factory=set)

    def begin(self) -> None:
        """Begin a tick: forget what the last one did not ask for. What goes on is forgotten when it has ended."""
        self._going = {key: one for key, one in self._going.items() if key in self._wanted or not one.done()}
        self._troubles = {key: one for key, one in self._troubles.items() if key in self._wanted}
        self._wanted.clear()

    @property
    def under_way(self) -> int:
        """How many of the calls that were asked for go on, or will soon be tried again."""
        resting = {key for key, one in self._troubles.items() if one.pause_s <= PATIENCE_S}
        return len(self._wanted & (self._going.keys() | resting))

    def done(self, key: Hashable, urls: tuple[str, ...], prepare: Callable[[], Callable[[], None]]) -> bool:
        """Whether a call has been carried out; ask again until it has. It is started where it is not under way.

        Parameters
        ----------
        key
            Tells calls apart.
        urls
            What it is about.
        prepare
            Gives the call. It is called in this thread, the call perhaps in another.

        Raises
        ------
        BackendError, OSError
            It failed. It is tried again after a while, which doubles; until then this is raised.
        ExpiredError
            It is not begun before there is a new proxy.
        """
        self._wanted.add(key)
        if self._carried_out(key, urls, prepare):
            self._wanted.discard(key)
            return True
        return False

    def _carried_out(
        self, key: Hashable, urls: tuple[str, ...], prepare: Callable[[], Callable[[], None]]
    ) -> bool:  # fmt: skip
        trouble = self._troubles.get(key)
        if trouble and self.clock() < trouble.until:
            raise trouble.error
        if key not in self._going:
            if self.storage.is_near(*urls):
                prepare()()
                return True
            self.leave(*urls)
            if len(self._going) < MOST:
                self._going[key] = _started(prepare())
            return False
        if not self._going[key].done():
            return False
        try:
            self._going.pop(key).result()
        except (BackendError, OSError) as error:
            pause_s = min(2 * trouble.pause_s, LONGEST_PAUSE_S) if trouble else PAUSE_S
            self._troubles[key] = _Trouble(error, self.clock() + timedelta(seconds=pause_s), pause_s)
            raise
        self._troubles.pop(key, None)
        return True


def _started(call: Callable[[], None]) -> Future[None]:
    # No pool of the library: that waits for its threads before a process ends, and a copy may take hours.
    future: Future[None] = Future()

    def work() -> None:
        try:
            call()
        except Exception as error:  # whatever it is: it is raised again in the thread that asks what came of it
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=work, name="storage", daemon=True).start()
    return future
