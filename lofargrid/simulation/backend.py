"""The simulated grid as a backend: queues, nodes, and what the batch systems tell."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from lofargrid_runner.contract import JobSpec, Reason, Report

from lofargrid.backends.base import LOG_NAME, REPORT_NAME, Changes, Observation
from lofargrid.errors import BackendError
from lofargrid.simulation.batch import Batch
from lofargrid.simulation.faults import Cause
from lofargrid.simulation.gate import Gate
from lofargrid.simulation.life import Broken, Ending, Life, World
from lofargrid.simulation.measure import Measure, Past
from lofargrid.simulation.network import Network
from lofargrid.simulation.nodes import Node, Trouble
from lofargrid.simulation.process import Process
from lofargrid.states import Phase

_STOP_S = 2.0
_SETTLE_S = 10.0
_HOLD_S = 60.0
_HELD_S = 3600.0
_SLOWEST_S = 86400.0
_RECENT = 50


class Task:
    """An attempt that the batch systems know."""

    __slots__ = ("batch_id", "is_lost", "is_over", "is_unwanted", "life", "node", "process", "spec", "started_s")

    def __init__(self, spec: JobSpec, batch_id: str) -> None:
        self.spec = spec
        self.batch_id = batch_id
        self.node: Node | None = None
        self.life: Life | None = None
        self.process: Process[Ending] | None = None
        self.started_s = 0.0
        self.is_over = False
        self.is_lost = False
        self.is_unwanted = False

    @property
    def cores(self) -> int:
        """What it was granted."""
        return self.spec.limits.cores


class SimulatedBackend:
    """Runs attempts in virtual time. See `Backend` for what its calls guarantee.

    ``settle_s`` is how long `wait` goes on after something has changed: what ends together is told together.

    Parameters
    ----------
    world
        What attempts find around them.
    network
        What they copy over.
    nodes
        The nodes of each site that computes.
    gate
        The way to the service.
    measure
        Where attempts that are over are recorded.
    """

    name = "simulated"

    def __init__(
        self, world: World, network: Network, nodes: Mapping[str, Sequence[Node]], gate: Gate, measure: Measure
    ) -> None:
        self.settle_s = _SETTLE_S
        self._world = world
        self._clock = world.clock
        self._network = network
        self._gate = gate
        self._measure = measure
        self._stream = world.streams.stream("backend")
        self._batches = {
            site: Batch(world.clock, given, self._start, world.streams.stream(f"batch:{site}"))
            for site, given in nodes.items()
        }
        self._tasks: dict[str, Task] = {}
        self._on_node: dict[str, list[Task]] = {}
        # What nodes would tell that are cut off.
        self._kept: dict[str, list[Observation]] = {}
        self._told: list[Observation] = []
        self._latest: dict[str, tuple[int, Observation]] = {}
        self._said = 0
        self._has_news = False

    # The port

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """See `Backend.submit`."""
        self._gate.call_each("submit jobs", jobs, self._accept)

    def changes(self, cursor: str | None) -> Changes:
        """See `Backend.changes`."""
        return self._gate.call("ask what has changed", lambda: self._changes(cursor))

    def cancel(self, attempts: Sequence[str]) -> None:
        """See `Backend.cancel`."""
        self._gate.call_each("cancel jobs", attempts, self._cancel)

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """See `Backend.avoid`."""
        self._gate.call("avoid nodes", lambda: self._avoid(nodes))

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """See `Backend.fetch`."""
        return self._gate.call(f"fetch the log of {attempt}", lambda: self._fetch(attempt, into))

    def wait(self, timeout_s: float) -> None:
        """See `Backend.wait`. Virtual time passes."""
        until_s = self._clock.elapsed_s + timeout_s
        while not self._has_news and self._clock.step(until_s):
            pass
        if self._has_news:
            self._clock.advance(min(until_s, self._clock.elapsed_s + self.settle_s))
        self._has_news = False

    def close(self) -> None:
        """See `Backend.close`."""

    # What the grid does to it

    def fall(self, node: Node) -> None:
        """A node has died or is cut off."""
        for task in list(self._on_node.get(node.host, ())):
            if node.trouble is Trouble.DEAD:
                assert task.process, "what is on a node runs"
                task.process.kill()
                self._over(task, Ending(None, Cause.NODE_DEAD))
            self._clock.at(self._patience_s(), partial(self._give_up, task))

    def rise(self, node: Node) -> None:
        """A node is back."""
        self._batches[node.site].look_again()
        for kept in self._kept.pop(node.host, ()):
            if self._stream.random() < 0.5:  # the others it forgot
                self._tell(kept)
        for task in self._on_node.get(node.host, ()):
            if task.is_unwanted:
                self._clock.at(_STOP_S, partial(self._stop, task))

    def queued(self, site: str) -> int:
        """How many wait at a site."""
        return len(self._batches[site])

    @property
    def running(self) -> int:
        """How many are on nodes."""
        return sum(len(tasks) for tasks in self._on_node.values())

    # Submit and start

    def _accept(self, jobs: Sequence[JobSpec]) -> None:
        for spec in jobs:
            if spec.attempt in self._tasks:
                continue
            if spec.site not in self._batches:
                raise BackendError(f"{spec.attempt}: no batch system at {spec.site!r}")
            self._world.trace.hide(spec.attempt.partition("-")[0])
            task = Task(spec, f"{1000 + len(self._tasks)}.0")
            self._tasks[spec.attempt] = task
            self._world.trace.note("submit", attempt=spec.attempt, job=spec.job, site=spec.site)
            # At once: what is handed over is known to who asks for everything.
            self._said += 1
            self._publish(self._said, Observation(spec.attempt, Phase.QUEUED, batch_id=task.batch_id))
            if self._stream.random() < self._world.faults.held:
                self._clock.at(self._stream.uniform(0.0, _HOLD_S), partial(self._hold, task))
            self._batches[spec.site].queue(spec)

    def _hold(self, task: Task) -> None:
        if task.node or task.is_over:
            return
        self._batches[task.spec.site].remove(task.spec.attempt)
        self._world.trace.fault(Cause.HELD, attempt=task.spec.attempt)
        detail = "Failed to create spool directory: Permission denied"
        self._tell(Observation(task.spec.attempt, Phase.HELD, batch_id=task.batch_id, detail=detail))
        if self._stream.random() < 0.3:
            self._clock.at(self._stream.expovariate(1.0 / _HELD_S), partial(self._let_go, task))

    def _let_go(self, task: Task) -> None:
        if not task.is_over:
            self._tell(Observation(task.spec.attempt, Phase.QUEUED, batch_id=task.batch_id))
            self._batches[task.spec.site].queue(task.spec)

    def _start(self, attempt: str, node: Node) -> None:
        task = self._tasks[attempt]
        task.node, task.started_s = node, self._clock.elapsed_s
        task.life = Life(task.spec, node, task.batch_id, self._world)
        task.process = Process(self._clock, self._network, task.life.live(), partial(self._ended, task))
        self._on_node.setdefault(node.host, []).append(task)
        self._world.trace.note("start", attempt=attempt, node=node.host)
        self._tell(Observation(attempt, Phase.RUNNING, node=node.host, batch_id=task.batch_id))
        task.process.start()

    # End

    def _ended(self, task: Task, ending: Ending) -> None:
        assert task.node, "it ran"
        self._over(task, ending)
        observation = self._final(task, ending.report)
        if task.node.trouble is Trouble.CUT_OFF:
            self._kept.setdefault(task.node.host, []).append(observation)
        else:
            self._tell(observation)

    def _over(self, task: Task, ending: Ending) -> None:
        node, report, spec = task.node, ending.report, task.spec
        assert node, "it ran"
        task.is_over, task.process = True, None
        self._on_node[node.host].remove(task)
        self._batches[node.site].free(node)
        succeeded = report is not None and report.succeeded
        reason = Reason(report.reason) if report and report.reason else None
        detail = report.detail if report else ""
        now_s = self._clock.elapsed_s
        self._measure.add(
            Past(spec.attempt, spec.job, spec.step, node.site, node.host, task.started_s, now_s, task.cores, succeeded,
                 report is not None, reason, ending.cause, detail)
        )  # fmt: skip
        word = "succeeded" if succeeded else reason or "none"
        self._world.trace.note("end", attempt=spec.attempt, node=node.host, how=word, cause=ending.cause or "none")

    def _final(self, task: Task, report: Report | None) -> Observation:
        assert task.node, "it ran"
        attempt, host = task.spec.attempt, task.node.host
        if report and self._happens(self._world.faults.report_lost, Cause.REPORT_LOST, attempt):
            report = None
        if report is None:
            detail = "it ended without a report"
            return Observation(attempt, Phase.ENDED, node=host, batch_id=task.batch_id, detail=detail)
        return Observation(attempt, Phase.ENDED, report, _text(report), host, task.batch_id)

    def _patience_s(self) -> float:
        """How long it takes until the batch system gives up a node that it does not see."""
        faults = self._world.faults
        if self._stream.random() < faults.slow_to_tell:
            return self._stream.uniform(faults.lost_after_s, _SLOWEST_S)
        return faults.lost_after_s

    def _give_up(self, task: Task) -> None:
        """Say that an attempt is lost, unless its node is back and it goes on."""
        node = task.node
        assert node, "it ran"
        is_back = node.seen and not task.is_over
        is_told = task.is_over and self._is_told_over(task.spec.attempt)
        if task.is_lost or is_back or is_told:
            return
        task.is_lost = True
        self._tell(Observation(task.spec.attempt, Phase.LOST, node=node.host, detail=f"no word from {node.host}"))

    def _is_told_over(self, attempt: str) -> bool:
        latest = self._latest.get(attempt)
        return latest is not None and latest[1].phase in (Phase.ENDED, Phase.LOST)

    # Tell

    def _tell(self, observation: Observation) -> None:
        """Let it be known, now or late."""
        self._said += 1
        if self._happens(self._world.faults.told_late, Cause.TOLD_LATE, observation.attempt):
            later_s = self._stream.expovariate(1.0 / self._world.faults.told_late_s)
            self._clock.at(later_s, partial(self._publish, self._said, observation))
        else:
            self._publish(self._said, observation)

    def _publish(self, number: int, observation: Observation) -> None:
        self._told.append(observation)
        self._has_news = True
        latest = self._latest.get(observation.attempt)
        if latest is None or latest[0] < number:  # what comes late does not go before what happened later
            self._latest[observation.attempt] = (number, observation)

    def _changes(self, cursor: str | None) -> Changes:
        mark = str(len(self._told))
        if cursor is None:
            return Changes(mark, tuple(observation for _, observation in self._latest.values()))
        fresh = self._told[int(cursor) :]
        faults = self._world.faults
        if self._told and self._happens(faults.told_again, Cause.TOLD_AGAIN, "several"):
            recent = self._told[-_RECENT:]
            fresh += self._stream.choices(recent, k=self._stream.randint(1, 3))
        if len(fresh) > 1 and self._stream.random() < faults.shuffled:
            self._stream.shuffle(fresh)
        return Changes(mark, tuple(fresh))

    # Cancel, avoid, fetch

    def _cancel(self, attempts: Sequence[str]) -> None:
        for attempt in attempts:
            task = self._tasks.get(attempt)
            if task is None or task.is_over or task.is_unwanted:
                continue
            self._world.trace.note("cancel", attempt=attempt)
            task.is_unwanted = True
            if task.node is None:
                task.is_over = True
                self._batches[task.spec.site].remove(attempt)
                detail = "cancelled before it started"
                self._tell(Observation(attempt, Phase.LOST, batch_id=task.batch_id, detail=detail))
            elif task.node.seen:
                self._clock.at(_STOP_S, partial(self._stop, task))

    def _stop(self, task: Task) -> None:
        if not task.is_over and task.process:
            task.process.interrupt(Broken(Reason.STOPPED, "SIGTERM", Cause.CANCELLED, signal=15))

    def _avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        for site, batch in self._batches.items():
            batch.avoid(nodes.get(site, ()))

    def _fetch(self, attempt: str, into: Path) -> list[Path]:
        task = self._tasks.get(attempt)
        if task is None:
            return []
        spec, log = task.spec, into / LOG_NAME
        keys = ("owner", "production", "job", "attempt", "contact", "step", "site")
        banner = "".join(f"{key}: {getattr(spec, key)}\n" for key in keys)
        stage = f"{task.life.stage.value}\n" if task.life else "queued\n"
        log.write_text(f"{banner}SIGTERM is safe: the job goes back to its queue\n\n{stage}")
        text = self._latest[attempt][1].report_text if attempt in self._latest else ""
        if not text:
            return [log]
        (into / REPORT_NAME).write_text(text)
        return [log, into / REPORT_NAME]

    def _happens(self, chance: float, cause: Cause, attempt: str) -> bool:
        if chance <= 0.0 or self._stream.random() >= chance:
            return False
        self._world.trace.fault(cause, attempt=attempt)
        return True


def _text(report: Report) -> str:
    """The report as JSON without line ends: there are thousands, and nobody reads them by eye."""
    records = {name: [one._asdict() for one in getattr(report, name)] for name in ("transfers", "outputs")}
    return json.dumps({**report._asdict(), **records})
