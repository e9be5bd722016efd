"""From the words that people type to campaigns, productions, steps and jobs.

``NAME`` is a campaign or a production, which never have the same name; ``NAME/STEP`` a step of it; ``NAME/JOB`` a job
of it; anything else a job, an attempt or a batch id. Behind the slash a job is told from a step by its form alone.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from lofargrid.errors import Fault, InputError
from lofargrid.model import Job
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.campaigns import CampaignRecord
from lofargrid.tracker.records import ProductionRecord

_JOB = re.compile(r"L[0-9]+-SAP[0-9]+-")
_MOST_NAMES = 2000
"""So many names of jobs are compared with one that is mistyped."""


@dataclass(frozen=True)
class Choice:
    """What a word means: all of some productions, a step of them, or jobs of one."""

    word: str
    productions: tuple[ProductionRecord, ...]
    campaign: CampaignRecord | None = None
    step: str = ""
    jobs: tuple[Job, ...] = ()

    def holds(self, job: Job) -> bool:
        """Whether a job of one of its productions is chosen."""
        return job.id in {one.id for one in self.jobs} if self.jobs else self.step in ("", job.step)

    def among(self, tracker: Tracker, production: ProductionRecord, states: Collection[JobState]) -> list[Job]:
        """The chosen jobs of a production that are in some states now."""
        if self.jobs:
            # An attempt may name a job that a later generation has superseded: that one is left in peace.
            standing = (tracker.job(production.id, job.name) for job in self.jobs)
            return [job for job in standing if job and self.holds(job) and job.state in states]
        return [job for job in tracker.jobs(production.id, states) if self.holds(job)]

    def named(self, job: Job) -> str:
        """How to call a job so that its production is clear where there are several."""
        return f"{job.production}/{job.name}" if self.campaign else job.name


def choose(tracker: Tracker, text: str) -> Choice:
    """What a word means.

    Raises
    ------
    InputError
        It names nothing, or a job of several productions.
    """
    name, slash, rest = text.partition("/")
    owner = _owner(tracker, name)
    if not slash:
        return owner or _by_job(tracker, text)
    if owner is None:
        raise InputError(Fault(f"there is no campaign or production {name!r}", _nearest(tracker, name)))
    return _job_of(tracker, owner, rest) if _JOB.match(rest) else _step_of(tracker, owner, rest)


def choose_whole(tracker: Tracker, text: str, verb: str) -> Choice:
    """A campaign or a production.

    Raises
    ------
    InputError
        It is none.
    """
    owner = _owner(tracker, text)
    if owner is None:
        known = text.partition("/")[0]
        remedy = f"`{verb} {known}` is for all of it" if _owner(tracker, known) else _nearest(tracker, text)
        raise InputError(Fault(f"there is no campaign or production {text!r}", remedy))
    return owner


def choose_production(tracker: Tracker, name: str) -> ProductionRecord:
    """The production of a name.

    Raises
    ------
    InputError
        There is none.
    """
    production = tracker.production(name)
    if production is None:
        campaign = tracker.campaign(name)
        remedy = f"It is a campaign; `status {name}` lists its productions" if campaign else _nearest(tracker, name)
        raise InputError(Fault(f"there is no production {name!r}", remedy))
    return production


def _owner(tracker: Tracker, name: str) -> Choice | None:
    production = tracker.production(name)
    if production:
        return Choice(name, (production,))
    campaign = tracker.campaign(name)
    return Choice(name, tuple(tracker.productions(campaign.id)), campaign) if campaign else None


def _step_of(tracker: Tracker, owner: Choice, step: str) -> Choice:
    counts = tracker.campaign_counts(owner.campaign.id) if owner.campaign else tracker.counts(owner.productions[0].id)
    if step not in counts:
        close = difflib.get_close_matches(step, counts, n=1)
        remedy = f"Did you mean {owner.word}/{close[0]}?" if close else f"It has jobs of {', '.join(counts) or 'none'}"
        raise InputError(Fault(f"{owner.word} has no jobs of a step {step!r}", remedy))
    return Choice(f"{owner.word}/{step}", owner.productions, owner.campaign, step)


def _job_of(tracker: Tracker, owner: Choice, name: str) -> Choice:
    if owner.campaign:
        found = tracker.jobs_named(name, owner.campaign.id)
        _refuse_several(name, [production for production, _ in found])
        jobs = [tracker.job_by_id(job_id) for _, job_id in found]
    else:
        job = tracker.job(owner.productions[0].id, name)
        jobs = [job] if job else []
    if not jobs:
        known = _similar(tracker, name, None if owner.campaign else owner.productions[0].id)
        raise InputError(Fault(f"{owner.word} has no job {name!r}", _did_you_mean(name, known)))
    return _of_jobs(tracker, name, jobs)


def _by_job(tracker: Tracker, text: str) -> Choice:
    jobs = tracker.find_jobs(text)
    if not jobs:
        raise InputError(Fault(f"there is no campaign, production, job or attempt {text!r}", _nearest(tracker, text)))
    _refuse_several(text, [job.production for job in jobs])
    return _of_jobs(tracker, text, jobs)


def _of_jobs(tracker: Tracker, text: str, jobs: list[Job]) -> Choice:
    return Choice(text, (choose_production(tracker, jobs[0].production),), jobs=tuple(jobs))


def _refuse_several(text: str, productions: Collection[str]) -> None:
    names = sorted(set(productions))
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        what = f"{text!r} is a job of several productions: {shown}"
        raise InputError(Fault(what, f"Say which, such as {names[0]}/{text}"))


def _nearest(tracker: Tracker, name: str) -> str:
    return _did_you_mean(name, [*tracker.names(), *_similar(tracker, name, None)])


def _did_you_mean(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else "`status` lists the campaigns and productions"


def _similar(tracker: Tracker, name: str, production_id: int | None) -> list[str]:
    """Names of jobs that begin alike, as far as their subband or at least their SAP; never all of a million."""
    for beginning in (name.rpartition("-")[0], "-".join(name.split("-")[:2])):
        found = tracker.job_names(beginning, production_id, _MOST_NAMES) if beginning and _JOB.match(name) else []
        if found:
            return found
    return []
