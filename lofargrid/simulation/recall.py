"""The simulated recall service: requests over the tapes of all sites."""

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from lofargrid.errors import BackendError
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.files import File, Files
from lofargrid.simulation.gate import Gate
from lofargrid.simulation.tape import Tape
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Way

_QUEUED = Recalled(RecallState.QUEUED)
_ONLINE = Recalled(RecallState.ONLINE)


class SimulatedRecall:
    """Recalls files from simulated tapes. See `Recall` for what its calls guarantee.

    As real services do, it may say that a file is online which is not, leave a file queued for ever, and forget a
    request.

    Parameters
    ----------
    files
        What lies where.
    tapes
        The tapes of each site that has some.
    weather, gate, faults, trace, stream
        When sites are down; the way to the service; what goes wrong; where that is written; randomness.
    """

    def __init__(
        self, files: Files, tapes: Mapping[str, Tape], weather: Weather, gate: Gate, faults: Faults, trace: Trace,
        stream: random.Random,
    ) -> None:  # fmt: skip
        self._files = files
        self._tapes = tapes
        self._weather = weather
        self._gate = gate
        self._faults = faults
        self._trace = trace
        self._stream = stream
        self._requests: dict[str, dict[str, Recalled]] = {}
        self._made = 0
        self.how = Pinning()

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return self.how

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`."""
        return self._gate.call("ask where files are", lambda: {url: self._locality(url) for url in urls})

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        self._require_credential("request files from tape")
        return self._gate.call("request files from tape", lambda: self._request(urls))

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        return self._gate.call("ask for a recall", lambda: self._poll(request, urls))

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`."""
        return {}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        self._require_credential("release files")
        return self._gate.call_each("release files", urls, partial(self._release, request))

    def _poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        if request in self._requests and self._happens(self._faults.recall_forgotten, Cause.RECALL_FORGOTTEN, request):
            self._cancel(request)
        told = self._requests.get(request, {})
        return {url: told[url] for url in urls if url in told}

    def _locality(self, url: str) -> Locality:
        file = self._files.get(url)
        return file.locality if file else Locality.ABSENT

    def _request(self, urls: Sequence[str]) -> str:
        self._made += 1
        name = f"recall-{self._made}"
        told: dict[str, Recalled] = dict.fromkeys(urls, _QUEUED)
        self._requests[name] = told
        self._trace.note("recall", request=name, files=len(told))
        for url in told:
            self._ask(told, url, self.how.lifetime_s)
        return name

    def _ask(self, told: dict[str, Recalled], url: str, lifetime_s: float) -> None:
        file = self._files.get(url)
        if file is None:
            told[url] = Recalled(RecallState.FAILED, "No such file or directory")
        elif (tape := self._tapes.get(file.site)) is None:
            told[url] = _ONLINE
        elif self._weather.is_bad(Cause.STORAGE_DOWN, file.site):
            told[url] = Recalled(RecallState.FAILED, f"the storage of {file.site}: Connection timed out")
        elif file.locality is not Locality.ONLINE and self._happens(self._faults.recall_hangs, Cause.RECALL_HANGS, url):
            return  # it stays queued for ever
        else:
            if file.locality is not Locality.ONLINE and self._happens(self._faults.recall_lied, Cause.RECALL_LIED, url):
                told[url] = _ONLINE
            tape.recall(file, lifetime_s, partial(self._came, told, url))

    def _came(self, told: dict[str, Recalled], url: str, problem: str) -> None:
        told[url] = Recalled(RecallState.FAILED, problem) if problem else _ONLINE

    def _release(self, request: str, urls: Sequence[str]) -> bool:
        told = self._requests.get(request, {})
        held = {url: told.pop(url) for url in urls if url in told}
        for tape, file in self._on_tape(self._only(held, request)):
            tape.forget(file)
            tape.unpin(file)
        return request in self._requests

    def _only(self, urls: Iterable[str], request: str) -> list[str]:
        """Those that no other request is for."""
        others = [told for name, told in self._requests.items() if name != request]
        return [url for url in urls if not any(url in told for told in others)]

    def _cancel(self, request: str) -> None:
        told = self._requests.pop(request, {})
        for others in self._requests.values():
            told = {url: one for url, one in told.items() if others.get(url) is not _QUEUED}
        for tape, file in self._on_tape(list(told)):
            tape.forget(file)

    def _on_tape(self, urls: Sequence[str]) -> list[tuple[Tape, File]]:
        files = [file for url in urls if (file := self._files.get(url))]
        return [(self._tapes[file.site], file) for file in files if file.site in self._tapes]

    def _require_credential(self, what: str) -> None:
        if self._weather.is_bad(Cause.CREDENTIAL_EXPIRED):
            raise BackendError(f"cannot {what}: the proxy has expired")

    def _happens(self, chance: float, cause: Cause, what: str) -> bool:
        if self._stream.random() >= chance:
            return False
        self._trace.fault(cause, url=what)
        return True
