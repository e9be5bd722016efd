"""What a production or a campaign has come to: products, what they lack, and each cause of failure once."""

from collections import Counter
from collections.abc import Iterator, Sequence

from lofargrid.cli.standing import DONE, NOT_COMPLETE, CampaignStanding, campaign_standing, standings, total
from lofargrid.cli.text import count, note
from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.diagnosis.finding import Diagnosis
from lofargrid.names import place_of
from lofargrid.productions.retrying import CONSEQUENCES
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.campaigns import CampaignRecord, FailedAlike
from lofargrid.tracker.records import ProductionRecord

MOST_CAUSES = 10


def tell_outcome(tracker: Tracker, production: ProductionRecord) -> int:
    """Print the products' paths, and to the side what is lacking and why.

    Returns
    -------
    code
        0 if every job that nothing else needs succeeded, 2 if a program is not installed, else 1.
    """
    products = tracker.products(production.id)
    for file in products:
        print(place_of(file.published))
    if lacks := tracker.lacking(production.id):
        note(f"lacking: {', '.join(lacks)}")
    failed = tracker.jobs(production.id, [JobState.FAILED])
    for line in causes([diagnose(tracker, job) for job in failed], MOST_CAUSES):
        note(line)
    (standing,) = standings(tracker, [production], {production.id: tracker.counts(production.id)})
    word = DONE if standing.complete else NOT_COMPLETE
    note(f"{production.name}: {word}, {count(len(products), 'product')}, {count(len(failed), 'job')} failed")
    return _code(standing.complete, any(job.reason is Reason.SOFTWARE_MISSING for job in failed))


def tell_campaign(tracker: Tracker, campaign: CampaignRecord) -> int:
    """Print the paths of all products of a campaign, and to the side what failed.

    Returns
    -------
    code
        As for a production; 0 if all productions are complete.
    """
    standing = campaign_standing(tracker, campaign)
    products = 0
    for one in standing.productions:
        for file in tracker.products(one.production.id):
            print(place_of(file.published))
            products += 1
    alike = tracker.failed_alike(campaign.id)
    for line in campaign_causes(tracker, alike, MOST_CAUSES):
        note(line)
    failed = total(standing.steps, JobState.FAILED)
    note(f"{campaign.name}: {words(standing)}; {count(products, 'product')}, {count(failed, 'job')} failed")
    complete = all(one.complete for one in standing.productions)
    return _code(complete, any(one.reason is Reason.SOFTWARE_MISSING for one in alike))


def _code(complete: bool, unequipped: bool) -> int:
    return 0 if complete else 2 if unequipped else 1


def words(standing: CampaignStanding) -> str:
    """``40 productions: 38 done, 2 not complete``."""
    counts = ", ".join(f"{number} {word}" for word, number in reversed(standing.words.items()))
    return f"{count(len(standing.productions), 'production')}: {counts or 'none'}"


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


def campaign_causes(tracker: Tracker, alike: Sequence[FailedAlike], most: int) -> Iterator[str]:
    """What failed in a campaign, jobs of one step that failed for one reason together, with one of them explained."""
    own = [one for one in alike if one.reason not in CONSEQUENCES]
    needy = sum(one.jobs for one in alike) - sum(one.jobs for one in own)
    for one in (own or alike)[:most]:
        job = tracker.job_by_id(one.first)
        found = diagnose(tracker, job)
        where = f"{job.production}/{job.name}"
        if one.jobs == 1:
            yield f"{where}: {found.cause}"
        else:
            yield (
                f"{one.step}: {one.jobs} jobs of {count(one.productions, 'production')} {one.reason or 'failed'},"
                f" such as {where}: {found.cause}"
            )
        yield f"  {found.remedy}"
    if len(own or alike) > most:
        yield f"and {len(own or alike) - most} more causes; `status` lists the productions, `why` one of them tells all"
    if own and needy:
        yield f"{count(needy, 'other job')} failed only because they needed these"
