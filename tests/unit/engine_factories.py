"""A small world to tick in: a scripted backend, real files, a real tracker, and a clock that a test moves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lofargrid_runner.contract import JobSpec, Report, StoredFile, Transfer, to_json

from lofargrid.backends.base import LOG_NAME, REPORT_NAME, Changes, Observation
from lofargrid.documents.pipelines import Pipeline
from lofargrid.documents.software import Software, Values
from lofargrid.engine.engine import Engine, Places, Tick
from lofargrid.errors import BackendError
from lofargrid.model import Job, Site, Subband
from lofargrid.names import file_url, path_of
from lofargrid.productions import entering
from lofargrid.productions.jobs import Entered
from lofargrid.productions.retrying import retry_failed
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import FINAL, JobState, Phase, Reason
from lofargrid.storage.base import Keys, Recall, Storage
from lofargrid.storage.local import LocalStorage
from lofargrid.tracker import Tracker, open_tracker
from lofargrid.tracker.records import ProductionRecord, QuarantineRecord

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = "2024-01-01T00:00:00.000+00:00"
SUBBAND_HZ = 195312.5

FIRST = {
    "over": "target",
    "split": "subband",
    "inputs": {"raw": {"from": "target", "path": "raw.MS"}},
    "commands": [["average", "{{ strength }}"]],
    "outputs": {"ms": {"path": "first.MS", "suffix": ".MS"}},
    "retry": {"tries": 2},
}
ALONE = {"first": FIRST}
BAND = {
    "over": "target",
    "split": {"group": "group_size"},
    "inputs": {"ms": {"from": "first.ms", "path": "in/{key}.MS"}},
    "commands": [["join"]],
    "outputs": {"ms": {"path": "band.MS", "suffix": ".MS", "product": True}},
}
IMAGE = {
    "over": "target",
    "split": "all",
    "inputs": {"ms": {"from": "band.ms", "path": "in/{key}.MS"}},
    "commands": [["image", "{{ iterations }}"]],
    "outputs": {"fits": {"path": "image.fits", "suffix": ".fits", "product": True}},
}
CALIBRATE = {
    "over": "calibrator",
    "split": "subband",
    "inputs": {"raw": {"from": "calibrator", "path": "raw.MS"}},
    "commands": [["solve"]],
    "outputs": {"gains": {"path": "gains.h5", "suffix": ".h5"}},
}
GAINS = {
    "over": "calibrator",
    "split": "all",
    "inputs": {"gains": {"from": "calibrate.gains", "path": "in/{key}.h5"}},
    "commands": [["collect"]],
    "outputs": {"gains": {"path": "all.h5", "suffix": ".h5"}},
}


def pipeline(steps: Mapping[str, Any] | None = None, roles: Sequence[str] = ("target",)) -> Pipeline:
    """By default: each subband, then bands of two by frequency, then one image; bands and image are products."""
    return Pipeline.model_validate(
        {
            "pipeline": "bands",
            "version": "1",
            "description": "A pipeline of tests",
            "roles": {role: {"description": role} for role in roles},
            "parameters": {
                "group_size": {"type": "int", "description": "size of a group"},
                "strength": {"type": "int", "description": "of the first step"},
                "iterations": {"type": "int", "description": "of the image"},
            },
            "steps": dict(steps or {"first": FIRST, "band": BAND, "image": IMAGE}),
        }
    )


def subband(number: int, **changes: Any) -> Subband:
    one = Subband("target", "L1", 0, number, f"file:///raw/L1_SB{number:03d}.MS", "list", number, 100)
    return replace(one, **changes)


def recipe(subbands: Sequence[int | Subband] = (100, 101), steps: Mapping[str, Any] | None = None,
           roles: Sequence[str] = ("target",), parameters: Mapping[str, Any] | None = None, **changes: Any,
           ) -> Recipe:  # fmt: skip
    """A production `field`; subbands 100 and 101 make one band of two."""
    one = Recipe(
        production="field",
        pipeline=pipeline(steps, roles),
        parameters={"group_size": 2, "strength": 1, "iterations": 10} | dict(parameters or {}),
        subbands=tuple(subband(given) if isinstance(given, int) else given for given in subbands),
        output="",
        software="local",
        backend="local",
        gaps="flag",
        minimum_subbands=0.5,
        keep_intermediates=False,
        digests={},
        files={},
        templates={},
    )
    return replace(one, **changes)


def frequency_of(job: str) -> float:
    """The true centre of the subband that a job is named after."""
    return int(job.partition("-SB")[2][:3]) * SUBBAND_HZ


class ScriptedBackend:
    """A batch system whose jobs do what the test says, when it says so. It outlives any engine.

    ``down`` makes every call fail as an unreachable service does; ``accepts`` bounds how many jobs the next
    submit takes before the service goes away. ``auto`` lets every job succeed as soon as anybody looks.
    """

    name = "scripted"

    def __init__(self) -> None:
        self.specs: dict[str, JobSpec] = {}
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.down = False
        self.accepts: int | None = None
        self.auto = False
        self.avoided: dict[str, list[str]] = {}
        self._told: list[Observation] = []
        self._latest: dict[str, Observation] = {}

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        self._answer()
        for spec in jobs:
            if self.accepts is not None:
                if self.accepts == 0:
                    self.accepts = None
                    raise BackendError("the scripted backend went away")
                self.accepts -= 1
            if spec.attempt not in self.specs:
                self.specs[spec.attempt] = spec
                self.started.append(spec.job)
                self._tell(Observation(spec.attempt, Phase.QUEUED))

    def changes(self, cursor: str | None) -> Changes:
        self._answer()
        if self.auto:
            for spec in self.waiting():
                self.succeed(spec.job, attempt=spec.attempt)
        if cursor is None:
            return Changes(str(len(self._told)), tuple(self._latest.values()))
        return Changes(str(len(self._told)), tuple(self._told[int(cursor) :]))

    def cancel(self, attempts: Sequence[str]) -> None:
        self._answer()
        for attempt in attempts:
            if attempt in self.specs and not self._over(attempt):
                self.cancelled.append(attempt)
                report = self._report(self.specs[attempt], reason=Reason.STOPPED.value, outcome="failed")
                self._tell(Observation(attempt, Phase.ENDED, report, to_json(report)))

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        self._answer()
        self.avoided = {site: sorted(names) for site, names in nodes.items()}

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        self._answer()
        if attempt not in self.specs:
            return []
        log, report = into / LOG_NAME, into / REPORT_NAME
        log.write_text(f"job: {self.specs[attempt].job}\n")
        text = self._latest[attempt].report_text
        return [log] + ([report] if text and report.write_text(text) else [])

    def wait(self, timeout_s: float) -> None:
        """Nothing happens here but by the test's hand."""

    def close(self) -> None:
        """Nothing is held."""

    # What the test says.

    def spec(self, job: str) -> JobSpec:
        """The last attempt at a job."""
        return next(spec for spec in reversed(self.specs.values()) if spec.job == job)

    def waiting(self) -> list[JobSpec]:
        """Attempts that have not ended."""
        return [spec for spec in self.specs.values() if not self._over(spec.attempt)]

    def run(self, job: str, node: str = "wn1") -> None:
        self._tell(Observation(self.spec(job).attempt, Phase.RUNNING, node=node, batch_id="42.0"))

    def hold(self, job: str) -> None:
        self._tell(Observation(self.spec(job).attempt, Phase.HELD, detail="no disk"))

    def succeed(self, job: str, attempt: str = "", measured: Mapping[str, Any] | None = None) -> None:
        """Leave outputs on scratch, as a runner does, and end; a subband tells its frequency."""
        spec = self.specs[attempt] if attempt else self.spec(job)
        told = {"centre_frequency_hz": frequency_of(job), "clock_mhz": 200} if "-SB" in job else {}
        outputs = []
        for output in spec.outputs:
            url = f"{spec.destination}/{output.filename}.{spec.attempt}"
            place = Path(path_of(url))
            place.parent.mkdir(parents=True, exist_ok=True)
            content = f"{output.filename} of {spec.job}".encode()
            place.write_bytes(content)
            name = place.name
            outputs.append(StoredFile(output.name, name, url, len(content), f"{zlib.adler32(content):08x}"))
        report = self._report(
            spec, outputs=tuple(outputs), measurements={"look": dict(told if measured is None else measured)}
        )
        self._tell(Observation(spec.attempt, Phase.ENDED, report, to_json(report)))

    def fail(self, job: str, reason: Reason | None = Reason.PAYLOAD_FAILED, detail: str = "exit code 1") -> None:
        spec = self.spec(job)
        report = self._report(spec, reason=reason and reason.value, detail=detail, outcome="failed")
        self._tell(Observation(spec.attempt, Phase.ENDED, report, to_json(report)))

    def lose(self, job: str) -> None:
        """Say that an attempt vanished."""
        self._tell(Observation(self.spec(job).attempt, Phase.LOST, detail="the node is gone"))

    def forget(self, job: str) -> None:
        """Know nothing of an attempt any more."""
        attempt = self.spec(job).attempt
        del self.specs[attempt], self._latest[attempt]

    def _report(self, spec: JobSpec, **changes: Any) -> Report:
        transfers = tuple(
            Transfer(one.name, one.url, one.size_bytes or 0, 0.1, "0badcafe", verified=False) for one in spec.inputs
        )
        one = Report(spec.attempt, spec.job, "succeeded", "done", node={"host": "wn1"}, transfers=transfers)
        return one._replace(software={"DP3": "6.3"}, started="t0", ended="t1", **changes)

    def _over(self, attempt: str) -> bool:
        return self._latest[attempt].phase in (Phase.ENDED, Phase.LOST)

    def _tell(self, observation: Observation) -> None:
        self._told.append(observation)
        self._latest[observation.attempt] = observation

    def _answer(self) -> None:
        if self.down:
            raise BackendError("the scripted backend does not answer")


class CrashError(BaseException):
    """The process dies: nothing may catch it."""


@dataclass
class World:
    """A tracker, a backend, a disk, a clock, and an engine over them that can be started again."""

    folder: Path
    backend: ScriptedBackend = field(default_factory=ScriptedBackend)
    storage: Storage = field(default_factory=LocalStorage)
    time: datetime = START
    sandbox: Callable[[Recipe], str] = lambda recipe: "/sandbox"
    sites: dict[str, Site] = field(default_factory=lambda: {"nowhere": Site("nowhere", slots=500, guarded=False)})
    recall: Recall | None = None
    keys: Keys | None = None
    require: Callable[[Recipe, float], None] = lambda recipe, minutes: None

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.tracker = open_tracker(self.folder / "tracker.db")
        self.engine = self.new_engine(self.tracker)

    @property
    def output(self) -> Path:
        return self.folder / "products"

    @property
    def now(self) -> str:
        return self.time.isoformat(timespec="milliseconds")

    def new_engine(self, tracker: Tracker) -> Engine:
        software = Software("local", (), {}, {}, Values(), {}, {})
        places = Places("someone", "someone@example.org", lambda one: self.sandbox(one), self.scratch,
                        lambda one: (software, {"DP3": "6.3"}), keys=self.keys,
                        require=lambda one, minutes: self.require(one, minutes))  # fmt: skip
        return Engine(tracker, self.backend, self.sites, self.storage, places, lambda: self.time,
                      recall=self.recall)  # fmt: skip

    @property
    def slots(self) -> int:
        return self.sites["nowhere"].slots

    @slots.setter
    def slots(self, slots: int) -> None:
        """How many jobs the one site takes from now on; a new engine looks at it."""
        self.sites["nowhere"] = replace(self.sites["nowhere"], slots=slots)
        self.engine = self.new_engine(self.tracker)

    def shut(self) -> None:
        """Let the one site take no jobs: they stay ready."""
        record = QuarantineRecord("nowhere", "", "quarantined", self.now, "9999", 1, "the test says so", "")
        self.tracker.put_in_quarantine(record)

    def open(self) -> None:
        """Let the site take jobs again."""
        self.tracker.release("nowhere", "", self.now)

    def scratch(self, given: Recipe, site: Site | None = None) -> str:
        return f"{given.output}/.lofargrid-{self.tracker.id}-{given.production}"

    def restart(self) -> None:
        """The process ends and another one begins: only the file and the backend remain."""
        self.tracker.close()
        self.tracker = open_tracker(self.folder / "tracker.db")
        self.engine = self.new_engine(self.tracker)

    def here(self, given: Recipe) -> Recipe:
        """The recipe with this world's output unless it names one."""
        return given if given.output else replace(given, output=file_url(str(self.output)))

    def enter(self, given: Recipe | None = None, again: bool = False) -> Entered:
        return entering.enter(self.tracker, self.here(given or recipe()), self.now, again)

    def tick(self, ticks: int = 1, later_s: float = 0) -> Tick:
        self.time += timedelta(seconds=later_s)
        for _ in range(ticks - 1):
            self.engine.tick()
        return self.engine.tick()

    def finish(self, most: int = 60) -> None:
        """Let everything succeed until nothing is left to do."""
        self.backend.auto = True
        for _ in range(most):
            if self.tick(later_s=60).moves == 0 and not self.backend.waiting():
                break
        else:
            raise AssertionError(f"it does not come to an end: {self.states()}")
        self.backend.auto = False

    @property
    def production(self) -> ProductionRecord:
        found = self.tracker.production("field")
        assert found is not None
        return found

    def job(self, name: str) -> Job:
        found = self.tracker.job(self.production.id, name)
        assert found is not None, f"no job {name} in {list(self.states())}"
        return found

    def states(self) -> dict[str, JobState]:
        return {job.name: job.state for job in self.tracker.jobs(self.production.id)}

    def history(self, name: str) -> list[str]:
        """The moves of a job, a word each."""
        return [row["new"] for row in self.tracker.events(self.job(name).id) if row["new"]]

    def move(self, name: str, *states: JobState) -> None:
        """Move a job by hand along a path of states."""
        for state in states:
            assert self.tracker.move(self.job(name), state, self.now)

    def cancel(self, *names: str) -> None:
        """What the operator's `cancel` does: to some jobs, or to all."""
        chosen = [self.job(name) for name in names] or self.tracker.jobs(self.production.id)
        for job in chosen:
            if job.state not in FINAL:
                self.tracker.move(job, JobState.CANCELLED, self.now, Reason.CANCELLED, "by the operator")
        self.backend.cancel([job.attempt for job in chosen if job.attempt and job.state not in FINAL])

    def retry(self, *names: str) -> tuple[str, ...]:
        """What the operator's `retry` does to jobs: to some, or to all."""
        chosen = [self.job(name) for name in names] or self.tracker.jobs(self.production.id)
        with self.tracker.transaction():
            return retry_failed(self.tracker, chosen, self.now)

    def scratch_files(self) -> list[str]:
        """What lies on any scratch folder of this world, names without the attempt."""
        return sorted(path.name.split(".")[0] for path in self.output.glob(".lofargrid-*/*"))

    def products(self) -> list[str]:
        return sorted(path.name for path in self.output.glob("*") if path.is_file())


def open_needs(tracker: Tracker, job: Job) -> int:
    """How many needs of a job are not final, counted one by one."""
    return sum(need.state not in FINAL for need in tracker.needs(job.id))


def name(number: int, step: str = "first") -> str:
    """``L1-SAP000-SB100-first``."""
    return f"L1-SAP000-SB{number:03d}-{step}"


GROUP = "L1-SAP000-G0050-band"
IMAGE_JOB = "L1-SAP000-image"
