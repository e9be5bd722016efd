"""The fleet: starts pilots where jobs wait, follows them, drains and stops them."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lofargrid_runner.contract import (
    PILOT_REPORT,
    STARTD_FILE,
    TOKEN_FILE,
    PilotReport,
    PilotSpec,
    pilot_report_from_json,
)

from lofargrid.backends.htcondor.token import Token
from lofargrid.decisions.supply import Seen, wanted
from lofargrid.documents.batch import BatchDocument
from lofargrid.errors import BackendError, Fault, InputError
from lofargrid.model import Pilots, Site
from lofargrid.pilots.batch import HERE, BatchSystem, Commands, Request, ThisMachine
from lofargrid.pilots.joined import Joined
from lofargrid.pilots.script import pilot_script
from lofargrid.pilots.standing import Standing
from lofargrid.states import Phase
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import PilotRecord

if TYPE_CHECKING:
    from lofargrid.pilots.pool import Pool

BY_HAND = "script"
"""What a site says whose pilots somebody else starts."""
OUT = "pilot.out"
SCRIPT = "pilot.sh"
QUEUEING = timedelta(hours=12)
"""A token must last until its pilot has come to its turn, and then as long as the pilot."""
GRACE = timedelta(seconds=90)
"""So long a batch system may not know a pilot yet, or not any more."""
_SAMPLE = 50


@dataclass(frozen=True)
class Means:
    """What pilots are made of: the runner's zipapp, our content, the batch systems, and a folder for them."""

    runner: Path
    content: Path
    batches: Mapping[str, BatchDocument]
    root: Path
    owner: str
    contact: str


class Fleet:
    """The pilots of a tracker.

    Parameters
    ----------
    tracker
        Knows which were started.
    sites
        The sites, by our names.
    pool
        What pilots join.
    means
        What they are made of.
    clock
        Gives the time, aware UTC.
    """

    def __init__(
        self, tracker: Tracker, sites: Mapping[str, Site], pool: "Pool", means: Means, clock: Callable[[], datetime]
    ) -> None:
        self._tracker = tracker
        self._sites = sites
        self._pool = pool
        self._means = means
        self._clock = clock

    def plan_of(self, site: str) -> Pilots:
        """How pilots of a site are made, with all figures.

        Raises
        ------
        InputError
            It says nothing of pilots.
        """
        found = self._sites[site].pilot
        if found is None:
            raise InputError(Fault(f"{site} has no pilots", "Give it `pilots:` in your sites.yaml", field="--site"))
        return found

    # Starting

    def supply(self) -> list[str]:
        """Start what is short at the sites that say `at_most`; tell what was done, a line each."""
        self.refresh()
        told = []
        for name, site in self._sites.items():
            if site.pilots and site.pilots.at_most and site.pilots.through != BY_HAND:
                started = self.start(name, self.short(name, site.pilots.at_most))
                if started:
                    number = "1 pilot" if len(started) == 1 else f"{len(started)} pilots"
                    told.append(f"{number} of {name} asked of {site.pilots.through}")
        return told

    def wishes(self) -> list[str]:
        """What somebody should do, a line each: jobs wait at sites whose pilots are not there and are not coming."""
        lines = []
        for name, site in self._sites.items():
            if site.pilots is None or not self.queued(name):
                continue
            latest = self._tracker.pilots_of(name, _SAMPLE)
            if any(one.ended is None for one in latest) or self._pool.cores(site.grid_name or name):
                continue
            what = f"jobs wait for pilots of {name}"
            last = latest[-1] if latest else None
            if last and last.reason:
                lines.append(f"{what}; the last one: {last.reason}: {last.detail}")
            elif site.pilots.through == BY_HAND:
                lines.append(f"{what}: `pilots script --site {name}` makes one to start there")
            elif not site.pilots.at_most:
                lines.append(f"{what}: `pilots start --site {name} --max N` starts them")
        return lines

    def queued(self, site: str) -> int:
        """How many jobs wait for a node of a site."""
        return self._tracker.at_sites().get(site, {}).get(Phase.QUEUED, 0)

    def short(self, site: str, at_most: int) -> int:
        """How many more pilots a site could use, if it may have so many."""
        latest = [_seen(one) for one in self._tracker.pilots_of(site, max(_SAMPLE, 2 * at_most))]
        return wanted(self.queued(site), self.plan_of(site).cores, latest, at_most, self._clock())

    def start(self, site: str, number: int) -> list[str]:
        """Start pilots of a site; give their ids.

        Raises
        ------
        BackendError
            The pool gives no token, or the batch system takes no job; what was started before stays.
        InputError
            Its pilots are not started from here.
        """
        plan = self.plan_of(site)
        if plan.through == BY_HAND:
            what = f"pilots of {site} are not started from here"
            raise InputError(Fault(what, f"`pilots script --site {site}` makes one to start there", field="--site"))
        batch = self._batch(plan)
        return [self._start(site, plan, batch) for _ in range(number)]

    def _start(self, site: str, plan: Pilots, batch: BatchSystem) -> str:
        pilot, script, token = self._made(site, plan)
        folder = self._means.root / pilot
        folder.mkdir(parents=True, mode=0o700)
        path = folder / SCRIPT
        path.touch(mode=0o700)
        path.write_text(script)
        request = Request(
            pilot, path, folder, self._out(plan, pilot), plan.cores, plan.memory_mb, plan.scratch_mb,
            round(plan.walltime_min), plan.options,
        )  # fmt: skip
        with self._tracker.transaction():
            self._tracker.enter_pilot(pilot, site, plan.through, token.id, _stamp(token.expires), _stamp(self._clock()))
        try:
            batch_id = batch.submit(request)
        except BackendError as error:
            path.unlink()
            with self._tracker.transaction():
                self._tracker.end_pilot(pilot, _stamp(self._clock()), "submit-failed", str(error))
            raise
        with self._tracker.transaction():
            self._tracker.name_pilot(pilot, batch_id)
        return pilot

    def script(self, site: str) -> tuple[str, str, Token]:
        """A pilot of a site as a script to be started by somebody else: its id, the script, its token."""
        return self._made(site, self.plan_of(site))

    def _made(self, site: str, plan: Pilots) -> tuple[str, str, Token]:
        walltime_s = round(plan.walltime_min * 60)
        token = self._pool.token(walltime_s + round(QUEUEING.total_seconds()))
        spec = PilotSpec(
            pilot=f"{self._tracker.id}-p{secrets.token_hex(3)}",
            site=self._sites[site].grid_name or site,
            owner=self._means.owner,
            contact=self._means.contact,
            collector=self._pool.collector,
            cores=plan.cores,
            memory_mb=plan.memory_mb,
            scratch_mb=plan.scratch_mb,
            walltime_s=walltime_s,
            idle_s=max(round(plan.idle_min * 60), 1),
            htcondor=plan.htcondor,
            sha256=plan.sha256,
            needs=plan.needs,
        )
        content = self._means.content / "pilots"
        files = {
            "bootstrap.sh": (content / "bootstrap.sh").read_bytes(),
            "runner.pyz": self._means.runner.read_bytes(),
            STARTD_FILE: (content / STARTD_FILE).read_bytes(),
            TOKEN_FILE: token.secret.encode(),
        }
        return spec.pilot, pilot_script(spec, files, f"{token.expires:%Y-%m-%d %H:%M}"), token

    def _batch(self, plan: Pilots) -> BatchSystem:
        if plan.through == HERE:
            return ThisMachine()
        known = self._means.batches
        if plan.through not in known:
            what = f"there is no batch system {plan.through!r}"
            remedy = f"There are {', '.join([*known, HERE])}, and {BY_HAND} for pilots that others start"
            raise InputError(Fault(what, remedy, field="pilots.through"))
        return Commands(known[plan.through], self._means.content / "jdl", plan.environment)

    def _out(self, plan: Pilots, pilot: str) -> Path:
        return Path(plan.logs) / f"{pilot}.out" if plan.logs else self._means.root / pilot / OUT

    # Following

    def refresh(self) -> list[Standing]:
        """Look which pilots there are, and write down what became of those that are gone."""
        joined = {one.pilot: one for one in self._pool.joined()}
        living = self._tracker.living_pilots()
        now = self._clock()
        with self._tracker.transaction():
            for one in living:
                if one.id in joined and (one.joined is None or one.node != joined[one.id].node):
                    self._tracker.see_pilot(one.id, joined[one.id].node, _stamp(now))
            for pilot in joined.values():
                if pilot.jobs:
                    self._tracker.note_pilot(pilot.pilot, pilot.jobs)
        for through in sorted({(one.site, one.through) for one in living}):
            self._bury([one for one in living if (one.site, one.through) == through], joined, now)
        return [Standing(one, joined.get(one.id)) for one in self._tracker.living_pilots()]

    def _bury(self, pilots: Sequence[PilotRecord], joined: Mapping[str, Joined], now: datetime) -> None:
        """Write down how those ended that their batch system does not know any more."""
        site = self._sites.get(pilots[0].site)
        if site is None or site.pilots is None:
            return
        plan = self.plan_of(pilots[0].site)
        there = self._batch(plan).living()
        for one in pilots:
            out = self._out(plan, one.id)
            report = _report(out)
            young = now - datetime.fromisoformat(one.asked) < GRACE
            if report is None and (one.batch_id in there or (young and not one.batch_id)):
                continue
            if report is None and one.id in joined:
                continue  # its batch system has forgotten it first
            with self._tracker.transaction():
                if report:
                    node = str(report.node.get("host", ""))
                    self._tracker.end_pilot(one.id, _stamp(now), report.reason, report.detail, node)
                else:
                    self._tracker.end_pilot(one.id, _stamp(now), "lost", "it ended without a word")
            (self._means.root / one.id / SCRIPT).unlink(missing_ok=True)

    def listing(self) -> list[Standing]:
        """All pilots that are there, ours and those that others started for the pool's sites."""
        ours = self.refresh()
        known = {one.id for one in ours}
        names = {site.grid_name or name for name, site in self._sites.items()}
        others = [one for one in self._pool.joined() if one.pilot not in known and one.site in names]
        return [*ours, *(Standing(None, one) for one in others)]

    def known_as(self, word: str) -> list[Standing]:
        """The pilots of an id, a batch id or a node: those that are there, else the last that was.

        Unlike `listing` it asks no batch system and writes nothing.
        """
        joined = {one.pilot: one for one in self._pool.joined()}
        found = [Standing(self._tracker.pilot(one.pilot), one) for one in joined.values()]
        found = [one for one in found if word in one.names]
        record = self._tracker.pilot(word)
        if record and record.id not in {one.id for one in found}:
            found.append(Standing(record, joined.get(record.id)))
        return found

    def output_of(self, pilot: PilotRecord) -> Path:
        """Where a pilot prints to."""
        return self._out(self.plan_of(pilot.site), pilot.id)

    # Ending

    def drain(self, pilots: Sequence[Standing]) -> None:
        """Let pilots take no more jobs; those that still wait for a node are stopped."""
        self._pool.drain([one.joined for one in pilots if one.joined])
        self.stop([one for one in pilots if not one.joined])

    def stop(self, pilots: Sequence[Standing]) -> None:
        """End pilots; what runs there goes back to its queue."""
        ours = [one.record for one in pilots if one.record and one.record.batch_id]
        for site in sorted({one.site for one in ours}):
            ids = [one.batch_id for one in ours if one.site == site]
            self._batch(self.plan_of(site)).cancel(ids)


def _seen(one: PilotRecord) -> Seen:
    ended = datetime.fromisoformat(one.ended) if one.ended else None
    return Seen(one.joined is not None, ended, one.reason is not None and one.reason != "stopped" and not one.jobs)


def _report(out: Path) -> PilotReport | None:
    """The report of a pilot that has ended, from the end of what it printed."""
    try:
        last = out.read_text(errors="replace").rstrip("\n").rpartition("\n")[2]
    except OSError:
        return None
    try:
        return pilot_report_from_json(last.removeprefix(PILOT_REPORT)) if last.startswith(PILOT_REPORT) else None
    except ValueError:
        return None


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
