"""What a production has come to: its products, what they lack, and each cause of failure once."""

from collections import Counter
from collections.abc import Iterator, Sequence

from lofargrid.cli.text import count, note
from lofargrid.diagnosis import Diagnosis, diagnose
from lofargrid.model import Job
from lofargrid.names import path_of
from lofargrid.productions import recipe_of
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

MOST_CAUSES = 10


def tell_outcome(tracker: Tracker, production: ProductionRecord) -> int:
    """Print the products' paths, and to the side what is lacking and why.

    Returns
    -------
    code
        0 if every job that nothing else needs succeeded, 2 if a program is not installed, else 1.
    """
    jobs = tracker.jobs(production.id)
    products = tracker.products(production.id)
    for file in products:
        print(path_of(file.published))
    lacks = sorted({key for job in jobs if job.state is JobState.SUCCEEDED for key in tracker.lacks(job.id)})
    if lacks:
        note(f"lacking: {', '.join(lacks)}")
    failed = [job for job in jobs if job.state is JobState.FAILED]
    for line in causes([diagnose(tracker, job) for job in failed], MOST_CAUSES):
        note(line)
    good = is_complete(tracker, production, jobs)
    word = "done" if good else "not complete"
    note(f"{production.name}: {word}, {count(len(products), 'product')}, {count(len(failed), 'job')} failed")
    unequipped = any(job.reason is Reason.SOFTWARE_MISSING for job in failed)
    return 0 if good else 2 if unequipped else 1


def causes(failures: Sequence[Diagnosis], most: int | None = None) -> Iterator[str]:
    """Each cause once, at the job that it lies in, with its remedy; most failed jobs only needed that one."""
    needy = Counter(one.root for one in failures if one.root != one.job)
    first: dict[str, Diagnosis] = {}
    for one in sorted(failures, key=lambda one: one.root != one.job):
        first.setdefault(one.root, one)  # a root that was cancelled need not be among the failures
    for root, one in list(first.items())[:most]:
        others = needy[root] - (one.job != root)
        yield f"{one.job}: {one.cause}" + (f" ({count(others, 'other job')} needed it)" if others else "")
        yield f"  {one.remedy}"
    if most is not None and len(first) > most:
        yield f"and {len(first) - most} more causes; `why` tells all"


def is_complete(tracker: Tracker, production: ProductionRecord, jobs: list[Job]) -> bool:
    """Whether all jobs of the steps that no other step needs succeeded; the policy lived with what else failed."""
    steps = recipe_of(tracker, production).steps
    ends = set(steps) - {need for step in steps.values() for need in step.needs}
    made = {job.step for job in jobs}
    return ends <= made and all(job.state is JobState.SUCCEEDED for job in jobs if job.step in ends)
