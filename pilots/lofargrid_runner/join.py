"""The driver of a pilot: probe the node, join the pool, leave nothing, and a report whatever happens."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import NamedTuple

from . import workdir
from .contract import PILOT_REPORT, TOKEN_FILE, PilotReport, PilotSpec, Reason, to_json
from .failure import Failure, scratch_failure
from .fitness import ends, numeric, read_token, require_fit, unknown_host
from .node import batch_ids, probe
from .release import find_release
from .report import readable
from .startd import Offer, Startd
from .stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SCRATCH = ("_CONDOR_SCRATCH_DIR", "TMPDIR")
LOOK_S = 5.0
# So long a pilot tries to be let in by its pool.
JOINING_S = 120.0
LINES = 400
# What a pilot keeps of its time for leaving.
LEAVING_S = 60.0
TROUBLE = re.compile(r"(?i)\b(denied|failed to|could not|can't|unable to|authenticat)")


class Place(NamedTuple):
    """Where a pilot runs: ``folder`` holds its spec, token and configuration, and is removed at the end if told so."""

    folder: str
    environment: Mapping[str, str]
    discard: bool = False
    grace_s: float = 30.0


class Pilot:
    """One pilot on its way."""

    def __init__(self, spec: PilotSpec, place: Place, stop: Stop, say: Callable[[str], None]) -> None:
        self._spec = spec
        self._place = place
        self._stop = stop
        self._say = say
        self._started = _now()
        self._ids = batch_ids(place.environment)
        self._node: dict[str, Any] = {}
        self._joined = False

    def run(self) -> PilotReport:
        """Serve, and report."""
        reason, detail = None, ""
        work = ""
        try:
            work = make_work(self._spec.pilot, self._place.environment)
            detail = self._serve(work)
        except Failure as failure:
            reason, detail = str(failure.reason), failure.detail
        except OSError as error:
            unfit = scratch_failure(error, work or "the node")
            reason, detail = str(unfit.reason), unfit.detail
        finally:
            if work:
                _clean(work, self._say)
            if self._place.discard:
                _clean(self._place.folder, self._say)
        return PilotReport(
            self._spec.pilot, self._joined, reason, detail, self._started, _now(), readable(self._node), self._ids
        )

    def _serve(self, work: str) -> str:
        spec, now = self._spec, time.time()
        self._node = probe(work)
        token = read_token(os.path.join(self._place.folder, TOKEN_FILE))
        require_fit(spec, token, self._node, now)
        release = find_release(spec.htcondor, spec.sha256, work, self._place.environment, self._stop)
        until = ends(spec, token, now) - LEAVING_S
        host = unknown_host()
        if host:
            self._say(f"no name service knows {host}: the pool is spoken to by its address")
            spec = spec._replace(collector=numeric(spec.collector))
        startd = Startd(work, spec, Offer(until, self._ids, host), release, self._place.folder, self._place.environment)
        self._say(f"{release.startd} offers {spec.cores} cores and {spec.memory_mb} MB to {spec.collector}")
        try:
            return self._watch(startd, until)
        finally:
            startd.sweep()

    def _watch(self, startd: Startd, until: float) -> str:
        drained = False
        patience = time.monotonic() + JOINING_S
        while not startd.has_ended():
            self._stop.rest(min(LOOK_S, max(until - time.time(), 0.0)))
            if self._stop.signal is not None:
                startd.stop(self._place.grace_s, self._stop)
                raise Failure(Reason.STOPPED, f"{signal.Signals(self._stop.signal).name} asked the pilot to stop")
            if self._stop.drain_asked and not drained:
                drained = True
                self._say("drained: what runs comes to its end, nothing more starts")
                startd.drain()
            if time.time() >= until:
                startd.stop(self._place.grace_s, self._stop)
                return "its time was up"
            if not self._is_in(startd.last_words(LINES)) and time.monotonic() > patience:
                startd.stop(self._place.grace_s, self._stop)
        return self._why_it_left(startd, drained)

    def _is_in(self, words: list[str]) -> bool:
        """Whether the pool has let it in at any time: CCB, which a pilot is called through, tells that for certain."""
        self._joined = self._joined or any("registered with CCB server" in one for one in words)
        return self._joined

    def _why_it_left(self, startd: Startd, drained: bool) -> str:
        words = startd.last_words(LINES)
        if not self._is_in(words):
            self._refuse(words)
        text = "\n".join(words)
        if "Draining" in text or "drain" in text or drained:
            return "it was drained"
        if "No resources have been claimed" in text:
            return f"no job came for {self._spec.idle_s} s"
        self._tell(words)
        raise Failure(Reason.NODE_UNFIT, f"the startd ended by itself, exit code {startd.exit_code}")

    def _refuse(self, words: list[str]) -> None:
        """Tell what keeps a pilot out that never came in."""
        self._tell(words)
        refused = [one for one in words if "collector" in one.lower() and TROUBLE.search(one)]
        if refused:
            raise Failure(Reason.CREDENTIAL_REFUSED, f"the pool did not take it: {refused[-1]}")
        raise Failure(Reason.NODE_UNFIT, "the startd did not come to join the pool")

    def _tell(self, words: list[str]) -> None:
        for line in words[-20:]:
            self._say(line)


def join(spec: PilotSpec, place: Place, say: Callable[[str], None] | None = None) -> PilotReport:
    """Serve a pool as a pilot until idle, drained, stopped or out of time; print the report."""
    tell = say or _say
    tell(f"pilot {spec.pilot} of {spec.owner} for site {spec.site}; contact: {spec.contact}")
    tell("SIGTERM is safe: its jobs go back to their queue. SIGUSR1 drains it: what runs comes to its end")
    with Stop(drain=signal.SIGUSR1) as stop:
        report = Pilot(spec, place, stop, tell).run()
    tell(f"{report.reason or 'left'}: {report.detail}")
    print(PILOT_REPORT + to_json(report, indent=None), end="", flush=True)
    return report


def make_work(pilot: str, environment: Mapping[str, str]) -> str:
    """Make the work directory, on the first scratch that HTCondor can use.

    Raises
    ------
    Failure
        ``NODE_UNFIT``: there is none.
    """
    candidates = [*(environment[one] for one in SCRATCH if environment.get(one)), "/var/tmp", "/tmp"]
    for folder in candidates:
        if not re.search(r"[^A-Za-z0-9._/+@-]", folder) and os.access(folder, os.W_OK | os.X_OK):
            made = tempfile.mkdtemp(prefix=f"lofargrid-{pilot}-", dir=folder)
            workdir.make(made, pilot)
            os.chmod(made, 0o755)
            return made
    raise Failure(Reason.NODE_UNFIT, f"none of {', '.join(candidates)} can be written, or HTCondor bears its name")


def _clean(work: str, say: Callable[[str], None]) -> None:
    try:
        workdir.remove(work)
    except OSError as error:
        say(f"cannot remove {error.filename}: {error.strerror}")


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S', time.gmtime())}] {text}", file=sys.stdout, flush=True)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
