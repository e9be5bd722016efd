"""Quarantine: nodes and sites that fail get no jobs until a probe, or a few jobs, show that they work again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from lofargrid_runner.contract import JobSpec, Limits

from lofargrid.backends.base import Backend, Observation
from lofargrid.decisions import health
from lofargrid.decisions.health import Verdict
from lofargrid.engine.moving import Moves
from lofargrid.model import Site
from lofargrid.productions.retrying import retry_failed
from lofargrid.states import Phase, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import AttemptRecord, QuarantineRecord

_LOOK_BACK = timedelta(days=2)
_NODE_WINDOW = 10


@dataclass(frozen=True)
class Prober:
    """Whom probes speak for."""

    owner: str
    contact: str


class Quarantine:
    """The quarantines of one tracker's nodes and sites.

    Parameters
    ----------
    tracker
        Holds them, and the evidence.
    backend
        Is told which nodes to avoid, and runs probes.
    sites
        The sites; only nodes of guarded ones are quarantined.
    moves
        Gives the time, and brings back jobs that failed by a node's fault.
    prober
        Whom probes speak for.
    """

    def __init__(
        self, tracker: Tracker, backend: Backend, sites: Mapping[str, Site], moves: Moves, prober: Prober
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._backend = backend
        self._sites = sites
        self._moves = moves
        self._prober = prober
        self._told: dict[str, list[str]] | None = None

    def consider(self, attempt: AttemptRecord, reason: Reason | None) -> bool:
        """Weigh an attempt that has just ended, inside the transaction that wrote it down.

        Returns
        -------
        revived
            Whether it brought back jobs that had failed by a node's fault.
        """
        site = self._sites.get(attempt.site)
        if site is None or not site.guarded:
            return False
        if reason is None:
            self._trust(attempt.site)
        elif reason in health.AT_SITE:
            self._weigh_site(attempt)
        return reason in health.EVIDENCE and bool(attempt.node) and self._weigh_node(attempt)

    def _trust(self, site: str) -> None:
        standing = self._tracker.quarantined(site, "")
        if standing and standing.state == "probation":
            self._release(standing, "a job succeeded there")

    def _weigh_node(self, attempt: AttemptRecord) -> bool:
        site, node = attempt.site, attempt.node
        before = self._tracker.quarantined(site, node)
        if before and before.state != "released":
            # It was there when the node was found to be bad, in another slot.
            self._tracker.blame(site, node, [attempt.job_id])
            return False
        latest = self._tracker.ended_at(site, node, self._since(before), _NODE_WINDOW)
        verdict = health.judge_node(latest)
        if not verdict.quarantine:
            return False
        # A node that has done nothing well since its probe is not probed at once again: it deceives probes.
        deceives = before is not None and health.last_good(latest) <= before.since
        self._enter(site, node, verdict, before.strikes + 1 if before and deceives else 0)
        return self._acquit(site, node, verdict)

    def _weigh_site(self, attempt: AttemptRecord) -> None:
        site = attempt.site
        before = self._tracker.quarantined(site, "")
        if before and before.state == "probation":
            if attempt.intended >= before.until:  # else it was there before, and is only told now
                self._strike(before)
        elif before is None or before.state == "released":
            verdict = health.judge_site(self._tracker.ended_at(site, None, self._since(before), health.SITE_WINDOW))
            if verdict.quarantine:
                self._enter(site, "", verdict, 1)

    def _since(self, before: QuarantineRecord | None) -> str:
        """From when on something is evidence: not from before the last release."""
        oldest = self._moves.now(-_LOOK_BACK.total_seconds())
        return max(oldest, before.since) if before else oldest

    def _enter(self, site: str, node: str, verdict: Verdict, strikes: int) -> None:
        now, until = self._moves.now(), self._until(node, strikes)
        record = QuarantineRecord(site, node, "quarantined", now, until, strikes, verdict.why, "")
        self._tracker.put_in_quarantine(record)
        how_long = f"until {until}" if strikes else "and probed"
        self._tell(site, node, f"quarantined {how_long}: {verdict.why}")

    def _until(self, node: str, strikes: int) -> str:
        longest = (health.NODE_FIRST_S, health.NODE_LONGEST_S) if node else (health.SITE_FIRST_S, health.SITE_LONGEST_S)
        return self._moves.now(health.sentence_s(strikes, *longest))

    def _acquit(self, site: str, node: str, verdict: Verdict) -> bool:
        """The jobs that a bad node failed are not to pay for it."""
        self._tracker.blame(site, node, verdict.jobs)
        wrongly = [self._tracker.job_by_id(job_id) for job_id in self._tracker.wrongly_failed(verdict.jobs)]
        names = retry_failed(self._tracker, wrongly, self._moves.now())
        for name in names:
            self._tell(site, node, f"{name} is tried again: the node was at fault")
            self._moves.count += 1
        return bool(names)

    def _strike(self, record: QuarantineRecord) -> None:
        strikes = record.strikes + 1
        until = self._until(record.node, strikes)
        self._tracker.put_in_quarantine(replace(record, state="quarantined", until=until, strikes=strikes, probe=""))
        self._tell(record.site, record.node, f"not better yet, quarantined until {until}")

    def _release(self, record: QuarantineRecord, why: str) -> None:
        self._tracker.release(record.site, record.node, self._moves.now())
        self._tell(record.site, record.node, f"back from quarantine: {why}")

    def _tell(self, site: str, node: str, text: str) -> None:
        self._tracker.site_event(self._moves.now(), site, node, text)

    # Time passes

    def review(self) -> None:
        """Look again at those whose time has come: probe a node, let a few jobs to a site. Tell the backend."""
        standing = self._tracker.quarantines()
        now = self._moves.now()
        for record in standing:
            if record.until > now:
                continue
            if not record.node:
                if record.state == "quarantined":
                    with self._tracker.transaction():
                        self._on_probation(record)
            elif record.state == "probed":
                self._backend.cancel([record.probe])
                with self._tracker.transaction():
                    self._strike(record)
            else:
                self._probe(record)
        avoided: dict[str, list[str]] = {}
        for record in standing:
            if record.node:
                avoided.setdefault(record.site, []).append(record.node)
        if avoided != self._told:
            self._backend.avoid(avoided)
            self._told = avoided

    def _on_probation(self, record: QuarantineRecord) -> None:
        self._tracker.put_in_quarantine(replace(record, state="probation"))
        self._tell(record.site, "", f"on probation: {health.PROBATION_JOBS} jobs at a time until one succeeds")

    def _probe(self, record: QuarantineRecord) -> None:
        if not record.probe:
            with self._tracker.transaction():
                record = replace(record, probe=self._tracker.probe_id())
                self._tracker.put_in_quarantine(record)
        spec = JobSpec(
            attempt=record.probe, job=f"probe-{record.node}", production="", step="probe", owner=self._prober.owner,
            contact=self._prober.contact, site=record.site, sandbox="", commands=(), limits=Limits(300, 500),
            destination="", node=record.node,
        )  # fmt: skip
        self._backend.submit([spec])
        # Only now: a probe that did not get through is handed over again by the next tick.
        with self._tracker.transaction():
            self._tracker.put_in_quarantine(replace(record, state="probed", until=self._moves.now(health.PROBE_S)))

    def heard(self, observation: Observation) -> bool:
        """Take what a backend says of a probe; False if it is not of a probe."""
        if not self._tracker.is_probe(observation.attempt):
            return False
        record = self._tracker.probed(observation.attempt)
        if record and observation.phase in (Phase.ENDED, Phase.LOST):
            if not observation.report or not observation.report.succeeded:
                self._strike(record)
            else:
                if not record.strikes:  # it works, at the first look: what failed there may have been the jobs' fault
                    self._tracker.absolve(record.site, record.node)
                self._release(record, "its probe succeeded")
        return True

    # What placement asks

    def closed(self) -> dict[str, str]:
        """The sites that get no jobs, and why."""
        return {
            one.site: f"quarantined until {one.until}: {one.reason}"
            for one in self._tracker.quarantines()
            if not one.node and one.state == "quarantined"
        }

    def limits(self) -> dict[str, int]:
        """How many jobs those sites get that are on probation, or doubtful."""
        probation = {one.site for one in self._tracker.quarantines() if not one.node and one.state == "probation"}
        return dict.fromkeys(sorted(probation | self.doubtful()), health.PROBATION_JOBS)

    def doubtful(self) -> set[str]:
        """The sites whose known nodes are all in quarantine; others that work may be there, and some jobs find out."""
        since = self._moves.now(-_LOOK_BACK.total_seconds())
        suspects = {one.site for one in self._tracker.quarantines() if one.node}
        return {site for site in suspects if not self._tracker.good_nodes(site, since)}
