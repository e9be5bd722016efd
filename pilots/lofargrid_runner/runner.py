"""The driver: a list of stages, run in order, and a report whatever happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from . import workdir
from .contract import LOG_FILE, JobSpec, Reason, Report, Stage, StoredFile, Transfer, to_json
from .failure import Failure, free_text
from .log import Log
from .names import is_probe, validate
from .node import MIB, batch_ids, probe, require_scratch
from .remote import Manner
from .report import readable, write_report
from .stop import Stop
from .storages import Storages
from .watch import Bounds, Ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .environment import Place

KEEP_WORK = "LOFARGRID_KEEP_WORK"
PATIENT = (Reason.STAGE_OUT_FAILED, Reason.STORAGE_UNAVAILABLE, Reason.STORAGE_FULL, Reason.CREDENTIAL_EXPIRED)
LONGEST_PAUSE_S = 300.0


class Setting(NamedTuple):
    """Where and how an attempt runs.

    ``folder`` is the attempt directory, ``work`` the work directory to be made, ``environment`` the one
    that the batch system gave us, ``keep`` the descriptors a watchman holds for us (the lock).
    ``pause_s`` is the wait before outputs are stored once more, or a storage is asked once more; each further one is
    twice as long. A storage of which nothing comes for ``stall_s`` hangs.
    """

    folder: str
    work: str
    environment: Mapping[str, str]
    grace_s: float = 10.0
    keep: tuple[int, ...] = ()
    pause_s: float = 15.0
    stall_s: float = 120.0


class Run:
    """One attempt on its way: what was asked, and what is known so far."""

    def __init__(self, spec: JobSpec, setting: Setting, stop: Stop, log: Log) -> None:
        self.spec = spec
        self.setting = setting
        self.stop = stop
        self.log = log
        self.stage = Stage.PROBE
        self.started = _now()
        self.began = time.monotonic()
        self.has_work = False
        self.place: Place | None = None
        self.node: dict[str, Any] = {}
        self.ids: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.transfers: list[Transfer] = []
        self.outputs: list[StoredFile] = []
        self.measurements: dict[str, Mapping[str, Any]] = {}
        self.peak_bytes = 0
        self.cpu_s = 0.0

    def note(self, ending: Ending) -> None:
        """Keep what a command took."""
        self.peak_bytes = max(self.peak_bytes, ending.peak_bytes)
        self.cpu_s += ending.cpu_s

    def bounds(self, deadline: float, overtime_s: float = 0.0) -> Bounds:
        """Give the bounds of the commands that must end by ``deadline``, or later while they work."""
        memory_bytes = self.spec.limits.memory_mb * MIB
        return Bounds(deadline, memory_bytes, self.setting.grace_s, self.setting.keep, overtime_s)

    def storages(self) -> Storages:
        """Give the storages that this stage reaches."""
        setting = self.setting
        manner = Manner(self.stage, self.stop, self.log, setting.work, setting.stall_s, setting.pause_s, setting.keep)
        return Storages(manner, setting.environment, self.spec.tools)


def _probe(run: Run) -> None:
    try:
        validate(run.spec)
    except ValueError as error:
        raise Failure(Reason.RUNNER_ERROR, f"job.json: {error}") from error
    run.ids = batch_ids(run.setting.environment)
    workdir.make(run.setting.work, run.spec.attempt)
    run.has_work = True
    run.node = probe(run.setting.work)
    for key, value in (*run.node.items(), *run.ids.items()):
        if key != "cpu_flags":
            run.log.line(f"probe: {key} {value}")
    require_scratch(run.spec.limits, run.setting.work)


def _stage_in(run: Run) -> None:
    if not run.spec.inputs:
        return
    from .stage_in import stage_in

    storages = run.storages()
    for entry in run.spec.inputs:
        transfer = stage_in(entry, run.setting.folder, run.setting.work, run.stop, storages)
        run.transfers.append(transfer)
        run.log.line(f"stage-in: {entry.name}: {transfer.size_bytes} bytes, adler32 {transfer.adler32}")


def _setup(run: Run) -> None:
    if is_probe(run.spec):
        return
    from .environment import prepare

    run.place = prepare(run.spec, run.setting.folder, run.setting.work, run.setting.environment)


def _payload(run: Run) -> None:
    if is_probe(run.spec):
        return
    from .payload import run_payload

    assert run.place, "setup made it"
    bounds = run.bounds(time.monotonic() + run.spec.limits.walltime_s, run.spec.overtime_s)
    run_payload(run.spec, run.place, bounds, run.stop, run.log, run.note)


def _checks(run: Run) -> None:
    if not run.spec.checks:
        return
    from .checks import check_deadline, run_check

    assert run.place, "setup made it"
    verdicts = []
    for check in run.spec.checks:
        verdict = run_check(check, run.spec, run.place, run.bounds(check_deadline()), run.stop, run.log)
        run.measurements[check.name] = readable(verdict.measured)
        run.log.line(f"check {check.name}: {verdict.detail or 'holds'}")
        verdicts.append(verdict)
    # All have measured; the first that does not hold names the reason.
    bad = [verdict for verdict in verdicts if verdict.reason is not None]
    if bad and bad[0].reason:
        raise Failure(bad[0].reason, "; ".join(verdict.detail for verdict in bad))


def _stage_out(run: Run) -> None:
    from .stage_out import stage_out

    deadline = time.monotonic() + run.spec.patience_s
    pause_s = run.setting.pause_s
    while True:
        try:
            stored = stage_out(run.spec, run.setting.folder, run.setting.work, run.stop, run.log, run.storages())
            break
        except Failure as failure:
            # The payload's work is done: waiting for the storage is cheaper than doing it again.
            if failure.reason not in PATIENT or time.monotonic() + pause_s > deadline:
                raise
            run.log.line(f"stage-out: {failure.detail}; tried again in {pause_s:g} s")
        run.stop.wait(pause_s)
        run.stop.check()
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    run.outputs = [one.file for one in stored]
    run.transfers += [one.transfer for one in stored]


STAGES: tuple[tuple[Stage, Callable[[Run], None]], ...] = (
    (Stage.PROBE, _probe),
    (Stage.STAGE_IN, _stage_in),
    (Stage.SETUP, _setup),
    (Stage.PAYLOAD, _payload),
    (Stage.CHECKS, _checks),
    (Stage.STAGE_OUT, _stage_out),
)


def run(spec: JobSpec, setting: Setting) -> Report:
    """Run one attempt from probe to stage-out, write its report, and leave nothing behind.

    Returns
    -------
        The report as it was written to the attempt directory.

    Raises
    ------
    OSError
        The attempt directory takes no log, or no report even after the work directory was removed.
    """
    log = Log(os.path.join(setting.folder, LOG_FILE))
    try:
        with Stop() as stop:
            one = Run(spec, setting, stop, log)
            _banner(one)
            report = _report(one, _drive(one))
            log.line(f"{report.outcome}: {report.stage} {report.reason or ''} {report.detail}".rstrip())
            _close(report, one)
            _linger(one, report)
            return report
    finally:
        log.close()


def _banner(run: Run) -> None:
    spec = run.spec
    for key in ("owner", "production", "job", "attempt", "contact", "step", "site"):
        run.log.write(f"{key}: {getattr(spec, key)}\n".encode("utf-8", "replace"))
    run.log.write(b"SIGTERM is safe: the job goes back to its queue\n\n")


def _drive(run: Run) -> Failure | None:
    try:
        for stage, act in STAGES:
            run.stop.check()
            run.stage = stage
            began = time.monotonic()
            try:
                act(run)
            finally:
                run.seconds[stage.value] = round(time.monotonic() - began, 3)
        run.stage = Stage.DONE
    except Failure as failure:
        return failure
    except Exception as error:
        return _unexpected(error, run.log)
    return None


def _unexpected(error: Exception, log: Log) -> Failure:
    import traceback

    lines = traceback.format_exception(type(error), error, error.__traceback__)
    log.write("".join(lines).encode("utf-8", "replace"))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}"
    return Failure(Reason.RUNNER_ERROR, f"{type(error).__name__}: {error} ({place})")


def _report(run: Run, failure: Failure | None) -> Report:
    return Report(
        attempt=run.spec.attempt,
        job=run.spec.job,
        outcome="failed" if failure else "succeeded",
        stage=run.stage.value,
        reason=failure.reason.value if failure else None,
        detail=readable(failure.detail[:2000]) if failure else "",
        exit_code=failure.exit_code if failure else 0,
        signal=failure.signal if failure else None,
        started=run.started,
        ended=_now(),
        seconds=run.seconds,
        peak_memory_mb=round(run.peak_bytes / MIB, 1),
        cpu_s=round(run.cpu_s, 3),
        node=run.node,
        ids=run.ids,
        software=run.spec.software,
        transfers=tuple(run.transfers),
        outputs=tuple(run.outputs),
        measurements=run.measurements,
    )


def _close(report: Report, run: Run) -> None:
    # The report first: who sent SIGTERM sends SIGKILL soon, and removing a large folder takes its time.
    folder = run.setting.folder
    try:
        write_report(folder, report)
        _clean(run)
    except OSError as error:
        run.log.line(f"cannot write the report ({free_text(folder)}): {error}; once more after cleaning")
        _clean(run)
        _write_anywhere(folder, report)


def _linger(run: Run, report: Report) -> None:
    """Keep the slot of an attempt that failed soon: a broken node gets few jobs."""
    left_s = run.spec.linger_s - (time.monotonic() - run.began)
    if left_s > 0 and not report.succeeded and report.reason != Reason.STOPPED.value:
        run.log.line(f"keeps its slot for {left_s:.0f} s more: it failed soon, and the next job may too")
        run.stop.wait(left_s)


def _write_anywhere(folder: str, report: Report) -> None:
    try:
        write_report(folder, report)
    except OSError:
        # The batch system brings stderr home: the last way for a report to leave the node.
        sys.stderr.write(to_json(report))
        raise


def _clean(run: Run) -> None:
    work = run.setting.work
    if not run.has_work:  # what stands there, if anything, is somebody else's
        return
    kept = run.setting.environment.get(KEEP_WORK) == "1"
    try:
        (workdir.keep if kept else workdir.remove)(work)
        run.has_work = False
    except OSError as error:
        run.log.line(f"could not {'let go of' if kept else 'remove'} {work}: {error}")
    if kept:
        run.log.line(f"work directory {work} kept: {KEEP_WORK}=1")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
