"""What happens to one attempt on a worker node: the runner's stages in virtual time, and its report."""

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from lofargrid_runner.contract import (
    InputFile,
    JobSpec,
    OutputFile,
    Reason,
    Report,
    Stage,
    StoredFile,
    Transfer,
)

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults, Flaw
from lofargrid.simulation.files import File, Files, checksum, fingerprint
from lofargrid.simulation.nodes import Node, Trouble
from lofargrid.simulation.process import Order, Wait
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.tolls import Tolls
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather
from lofargrid.simulation.work import Toll, look
from lofargrid.storage.base import Locality

_PROBE_S = 3.0
_DOOR_S = 1.0
_CHECKS_S = 10.0
_STRETCH_S = 600.0
"""How often the runner looks, beyond its walltime, whether a payload works."""
_TIMEOUT_S = 120.0
_FAST_S = (4.0, 12.0)
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 300.0
_PATIENT = (Reason.STAGE_OUT_FAILED, Reason.STORAGE_UNAVAILABLE, Reason.STORAGE_FULL, Reason.CREDENTIAL_EXPIRED)
_WITHOUT_LINGER = (Reason.STOPPED, Reason.EVICTED)
_STAGE_OF = {
    Reason.NODE_UNFIT: Stage.PROBE,
    Reason.SCRATCH_FULL: Stage.PROBE,
    Reason.SOFTWARE_UNREACHABLE: Stage.SETUP,
}


class Broken(Exception):  # noqa: N818 - it is an end that is reported, as the runner's Failure
    """The attempt fails, and the runner reports it."""

    def __init__(
        self, reason: Reason, detail: str, cause: Cause, exit_code: int | None = None, signal: int | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.cause = cause
        self.exit_code = exit_code
        self.signal = signal


class Vanished(Exception):  # noqa: N818 - it is an end, and no error of the simulation
    """The runner is gone, without a report."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class Ending(NamedTuple):
    """How a life ended: its report, if there is one, and the true cause of a failure."""

    report: Report | None
    cause: Cause | None = None


@dataclass(frozen=True)
class World:
    """What a life finds around it."""

    clock: Clock
    files: Files
    weather: Weather
    tolls: Tolls
    faults: Faults
    streams: Streams
    trace: Trace


class Fate(NamedTuple):
    """What will hit an attempt: in which stage, and after which part of it."""

    cause: Cause
    stage: Stage
    part: float


def fate_of(faults: Faults, stream: random.Random) -> Fate | None:
    """Draw what will hit an attempt, if anything does."""
    chances = (
        (Cause.EVICTED, faults.evicted),
        (Cause.RUNNER_KILLED, faults.runner_killed),
        (Cause.PAYLOAD_CRASHED, faults.payload_crashed),
        (Cause.PAYLOAD_HANGS, faults.payload_hangs),
    )
    draw, part, place = stream.random(), stream.random(), stream.random()
    for cause, chance in chances:
        if draw < chance:
            in_payload = cause in (Cause.PAYLOAD_CRASHED, Cause.PAYLOAD_HANGS) or place < 0.7
            other = Stage.STAGE_IN if place < 0.85 else Stage.STAGE_OUT
            return Fate(cause, Stage.PAYLOAD if in_payload else other, part)
        draw -= chance
    return None


class Life:
    """One attempt on its node. `live` is the whole of it.

    Parameters
    ----------
    spec
        What was asked.
    node
        Where it runs.
    batch_id
        What the batch system calls it.
    world
        What is around it.
    """

    def __init__(self, spec: JobSpec, node: Node, batch_id: str, world: World) -> None:
        self.spec = spec
        self.stage = Stage.PROBE
        self._node = node
        self._batch_id = batch_id
        self._world = world
        self._stream = world.streams.stream(f"attempt:{spec.production}:{spec.job}:{spec.attempt.rpartition('-')[2]}")
        self._fate = fate_of(world.faults, self._stream)
        self._began_s = world.clock.elapsed_s
        self._seconds: dict[str, float] = {}
        self._read: list[File] = []
        self._transfers: list[Transfer] = []
        self._outputs: list[StoredFile] = []
        self._peak_memory_mb = 0.0
        self._cpu_s = 0.0

    def live(self) -> Generator[Wait, None, Ending]:
        """Probe, stage in, pay, check, stage out, report, and linger if that is asked for."""
        broken = None
        try:
            for stage, act in (
                (Stage.PROBE, self._probe),
                (Stage.STAGE_IN, self._stage_in),
                (Stage.SETUP, self._setup),
                (Stage.PAYLOAD, self._payload),
                (Stage.CHECKS, self._checks),
                (Stage.STAGE_OUT, self._stage_out),
            ):
                self.stage = stage
                began_s = self._now_s
                try:
                    yield from act()
                finally:
                    self._seconds[stage.value] = round(self._now_s - began_s, 3)
            self.stage = Stage.DONE
        except Broken as error:
            broken = error
        except Vanished as error:
            return Ending(None, error.cause)
        report = self._report(broken)
        if broken is None:
            return Ending(report)
        if broken.reason not in _WITHOUT_LINGER:
            yield from self._linger()
        return Ending(report, broken.cause)

    @property
    def _now_s(self) -> float:
        return self._world.clock.elapsed_s

    def _linger(self) -> Generator[Wait, None, None]:
        left_s = self._began_s + self.spec.linger_s - self._now_s
        if left_s > 0:
            try:
                yield left_s
            except Broken:  # told to stop: the report stands
                return

    def _probe(self) -> Generator[Wait, None, None]:
        yield _PROBE_S
        if self._node.trouble is Trouble.BLACK_HOLE:
            yield self._stream.uniform(*_FAST_S)
            self._sink(self._node.reason)
        if self._node.trouble is Trouble.SCRATCH_FULL:
            raise Broken(Reason.SCRATCH_FULL, "No space left on device", Cause.NODE_SCRATCH_FULL)
        if self.spec.limits.scratch_mb > self._node.scratch_mb:
            detail = f"{self._node.scratch_mb} MB of scratch, {self.spec.limits.scratch_mb} MB are asked for"
            raise Broken(Reason.NODE_UNFIT, detail, Cause.NODE_SCRATCH_FULL)

    def _sink(self, reason: Reason | None) -> None:
        """End as all that a black hole gets."""
        if reason is None:
            raise Vanished(Cause.BLACK_HOLE)
        if not self.spec.commands and reason not in _STAGE_OF:
            reason = Reason.NODE_UNFIT  # a probe runs no payload
        self.stage = _STAGE_OF.get(reason, Stage.PAYLOAD)
        crashed = reason is Reason.PAYLOAD_CRASHED
        raise Broken(reason, f"{reason} at once", Cause.BLACK_HOLE, None if crashed else 1, 4 if crashed else None)

    def _stage_in(self) -> Generator[Wait, None, None]:
        inputs = self.spec.inputs
        for number, entry in enumerate(inputs):
            if self._is_struck(Stage.STAGE_IN) and number == int(self._part * len(inputs)):
                self._strike()
            yield from self._bring(entry)

    def _bring(self, entry: InputFile) -> Generator[Wait, None, None]:
        began_s = self._now_s
        holder = self._world.files.holder(entry.url)
        yield from self._door(holder)
        file = self._world.files.get(entry.url)
        if file is None:
            cause = Cause.BAD_FILE if entry.url in self._world.files.flaws else Cause.FILE_ABSENT
            raise Broken(Reason.INPUT_MISSING, f"{entry.name} ({entry.url}): No such file or directory", cause)
        if file.locality is Locality.LOST:
            raise Broken(Reason.INPUT_UNREADABLE, f"{entry.name} ({entry.url}): Input/output error", Cause.TAPE_LOST)
        if file.locality is not Locality.ONLINE:
            raise Broken(Reason.INPUT_NEARLINE, f"{entry.name} ({entry.url}): on tape only", Cause.NOT_ONLINE)
        yield Order(holder, self._node.site, file.size_bytes)
        after = self._world.files.get(entry.url)
        if after is None or after.content != file.content:
            raise Broken(Reason.INPUT_UNREADABLE, f"{entry.name} ({entry.url}): Stale file handle", Cause.FILE_ABSENT)
        self._verify(entry, file)
        self._read.append(file)
        seconds = round(self._now_s - began_s, 3)
        verified = entry.adler32 is not None
        self._transfers.append(Transfer(entry.name, entry.url, file.size_bytes, seconds, file.adler32, verified))

    def _verify(self, entry: InputFile, file: File) -> None:
        where = f"{entry.name} ({entry.url})"
        flaw = self._world.files.flaws.get(entry.url)
        cause = Cause.FILE_ABSENT if flaw is None else Cause.BAD_FILE
        if entry.size_bytes is not None and entry.size_bytes != file.size_bytes:
            detail = f"{where}: {entry.size_bytes} bytes expected, {file.size_bytes} found"
            raise Broken(Reason.INPUT_CORRUPT, detail, cause)
        if entry.adler32 is not None and entry.adler32 != file.adler32:
            detail = f"{where}: adler32 {entry.adler32} expected, {file.adler32} found"
            raise Broken(Reason.INPUT_CORRUPT, detail, cause)
        if flaw is Flaw.TRUNCATED or not file.complete:
            raise Broken(Reason.INPUT_TRUNCATED, f"{where}: the tar ends early", cause)
        if flaw is Flaw.CORRUPT:
            raise Broken(Reason.INPUT_CORRUPT, f"{where}: a damaged tar", cause)

    def _setup(self) -> Generator[Wait, None, None]:
        if self._world.weather.is_bad(Cause.SOFTWARE_DOWN, self._node.site):
            yield _TIMEOUT_S / 2
            raise Broken(
                Reason.SOFTWARE_UNREACHABLE, "/cvmfs: Transport endpoint is not connected", Cause.SOFTWARE_DOWN
            )

    def _payload(self) -> Generator[Wait, None, None]:
        if not self.spec.commands:
            return
        toll = self._toll()
        seconds, limits = toll.seconds / self._node.speed, self.spec.limits
        part = self._stream.uniform(0.3, 0.9)
        ends: list[tuple[float, Exception | None]] = [(seconds, None)]
        peak_mb = min(toll.memory_mb, limits.memory_mb * self._stream.uniform(1.0, 1.05))
        if toll.memory_mb > limits.memory_mb:
            detail = f"{peak_mb:.0f} MB of memory where {limits.memory_mb} MB are granted"
            ends.append((part * seconds, Broken(Reason.OUT_OF_MEMORY, detail, Cause.OUT_OF_MEMORY, signal=9)))
        most_s = float(limits.walltime_s + self.spec.overtime_s)
        if seconds > most_s:
            detail = f"longer than the {most_s:g} s that are granted"
            ends.append((most_s, Broken(Reason.OUT_OF_TIME, detail, Cause.OUT_OF_TIME, signal=15)))
        ends += self._choke(seconds)
        if self._hangs:
            ends = [end for end in ends if end[1]] + [self._found_idle()]
        elif self._is_struck(Stage.PAYLOAD):
            ends.append((self._part * seconds, None))
        after_s, failure = min(ends, key=lambda end: end[0])
        try:
            yield after_s
        finally:
            self._cpu_s = after_s * limits.cores
            self._peak_memory_mb = round(peak_mb if after_s >= part * seconds else peak_mb * 0.7, 1)
        if failure:
            raise failure
        if after_s < seconds:
            self._strike()

    def _found_idle(self) -> tuple[float, Exception]:
        """When the runner ends a payload that hangs: at the second look after its walltime, if it may go on at all."""
        self._world.trace.fault(Cause.PAYLOAD_HANGS, attempt=self.spec.attempt, stage=self.stage.value)
        ends_s = self.spec.limits.walltime_s + min(_STRETCH_S, self.spec.overtime_s / 4)
        return ends_s, Broken(Reason.OUT_OF_TIME, "it hangs", Cause.PAYLOAD_HANGS, signal=15)

    def _toll(self) -> Toll:
        return self._world.tolls.of(self.spec, sum(file.size_bytes for file in self._read))

    def _choke(self, seconds: float) -> list[tuple[float, Exception | None]]:
        """What a payload does with an input that it cannot digest."""
        flaws = [self._world.files.flaws.get(file.url) for file in self._read]
        if Flaw.CHOKING in flaws:
            error = Broken(Reason.PAYLOAD_FAILED, "exit code 1", Cause.BAD_FILE, exit_code=1)
        elif Flaw.CRASHING in flaws:
            error = Broken(Reason.PAYLOAD_CRASHED, "Segmentation fault", Cause.BAD_FILE, signal=11)
        else:
            return []
        return [(0.1 * seconds, error)]

    def _checks(self) -> Generator[Wait, None, None]:
        if self.spec.checks:
            yield _CHECKS_S

    def _stage_out(self) -> Generator[Wait, None, None]:
        if not self.spec.outputs:
            return
        patient_until_s, pause_s = self._now_s + self.spec.patience_s, _FIRST_PAUSE_S
        while True:
            try:
                yield from self._store_all()
                return
            except Broken as broken:
                if broken.reason not in _PATIENT or self._now_s + pause_s > patient_until_s:
                    raise
            yield pause_s
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _store_all(self) -> Generator[Wait, None, None]:
        size_bytes = max(self._toll().output_bytes // len(self.spec.outputs), 1)
        contents = sorted(file.content for file in self._read)
        strikes = int(self._part * len(self.spec.outputs)) if self._is_struck(Stage.STAGE_OUT) else None
        try:
            for number, output in enumerate(self.spec.outputs):
                content = fingerprint(self.spec.job, output.name, *contents)
                yield from self._store(output, size_bytes, content, number == strikes)
        except Broken:
            for stored in self._outputs:
                self._withdraw(stored.url)
            self._outputs.clear()
            raise

    def _store(self, output: OutputFile, size_bytes: int, content: str, is_struck: bool) -> Generator[Wait, None, None]:
        began_s, files = self._now_s, self._world.files
        filename = f"{output.filename}.{self.spec.attempt}"
        url = f"{self.spec.destination.rstrip('/')}/{quote(filename)}"
        holder = files.holder(url)
        yield from self._door(holder)
        if self._world.weather.is_bad(Cause.STORAGE_FULL, holder):
            raise Broken(Reason.STORAGE_FULL, f"cannot store {url}: No space left on device", Cause.STORAGE_FULL)
        files.put(url, size_bytes // 2, checksum(f"half {content}"), f"half {content}", complete=False)
        try:
            yield Order(self._node.site, holder, size_bytes // 2 if is_struck else size_bytes)
            if is_struck:
                self._strike()
        except Broken:
            self._withdraw(url)
            raise
        adler32 = checksum(content)
        files.put(url, size_bytes, adler32, content)
        self._outputs.append(StoredFile(output.name, filename, url, size_bytes, adler32))
        seconds = round(self._now_s - began_s, 3)
        self._transfers.append(Transfer(output.name, url, size_bytes, seconds, adler32, verified=False))

    def _withdraw(self, url: str) -> None:
        """Remove an output again; what cannot be reached stays."""
        is_bad, site = self._world.weather.is_bad, self._world.files.holder(url)
        away = (Cause.STORAGE_DOWN, Cause.CREDENTIAL_REFUSED)
        if not is_bad(Cause.CREDENTIAL_EXPIRED) and not any(is_bad(cause, site) for cause in away):
            self._world.files.remove(url)

    def _door(self, site: str) -> Generator[Wait, None, None]:
        """Come to a storage."""
        yield _DOOR_S
        if self._world.weather.is_bad(Cause.CREDENTIAL_EXPIRED):
            raise Broken(Reason.CREDENTIAL_EXPIRED, "the proxy has expired", Cause.CREDENTIAL_EXPIRED)
        if self._world.weather.is_bad(Cause.CREDENTIAL_REFUSED, site):
            raise Broken(Reason.CREDENTIAL_REFUSED, f"{site}: Permission denied", Cause.CREDENTIAL_REFUSED)
        if self._world.weather.is_bad(Cause.STORAGE_DOWN, site):
            yield _TIMEOUT_S
            detail = f"the storage of {site or 'the submit host'}: Connection timed out"
            raise Broken(Reason.STORAGE_UNAVAILABLE, detail, Cause.STORAGE_DOWN)

    @property
    def _part(self) -> float:
        return self._fate.part if self._fate else 0.0

    @property
    def _hangs(self) -> bool:
        return self._fate is not None and self._fate.cause is Cause.PAYLOAD_HANGS

    def _is_struck(self, stage: Stage) -> bool:
        return self._fate is not None and self._fate.stage is stage

    def _strike(self) -> None:
        assert self._fate, "it is struck by its fate"
        cause = self._fate.cause
        self._world.trace.fault(cause, attempt=self.spec.attempt, stage=self.stage.value)
        if cause is Cause.RUNNER_KILLED:
            raise Vanished(cause)
        if cause is Cause.EVICTED:
            raise Broken(Reason.EVICTED, "the batch system took the node away", cause, signal=15)
        raise Broken(Reason.PAYLOAD_CRASHED, "Illegal instruction", cause, signal=4)

    def _report(self, broken: Broken | None) -> Report:
        spec, clock = self.spec, self._world.clock
        return Report(
            attempt=spec.attempt,
            job=spec.job,
            outcome="failed" if broken else "succeeded",
            stage=self.stage.value,
            reason=broken.reason.value if broken else None,
            detail=broken.detail if broken else "",
            exit_code=broken.exit_code if broken else 0,
            signal=broken.signal if broken else None,
            started=clock.moment(self._began_s).strftime("%Y-%m-%dT%H:%M:%SZ"),
            ended=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=self._seconds,
            peak_memory_mb=self._peak_memory_mb,
            cpu_s=round(self._cpu_s, 3),
            node={"site": self._node.site, "host": self._node.host, "memory_mb": self._node.memory_mb},
            ids={"batch": self._batch_id},
            software=spec.software,
            transfers=tuple(self._transfers),
            outputs=tuple(self._outputs),
            measurements={} if broken else look(spec),
        )
