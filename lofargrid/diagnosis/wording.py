"""Times, lengths, names and states in words, as diagnoses say them."""

from datetime import datetime, timedelta

from lofargrid.decisions import health
from lofargrid.diagnosis.facts import Facts
from lofargrid.diagnosis.finding import Diagnosis, Finding
from lofargrid.model import Job
from lofargrid.states import JobState
from lofargrid.tracker.diagnoses import Trouble
from lofargrid.tracker.records import QuarantineRecord

NOTHING = "nothing to do"
RUN = "nothing to do; `run` must be going"
BY_ITSELF = "nothing to do: it is tried again by itself"


def grown_text(job: Job) -> str:
    """What a job asks for in place of its step's resources."""
    words = {"memory_mb": "MB of memory", "walltime_min": "min of walltime", "scratch_mb": "MB of scratch"}
    return " and ".join(f"{job.grown[what]:.10g} {unit}" for what, unit in words.items() if what in job.grown)


def no_answer(facts: Facts, trouble: Trouble, what: str) -> Finding:
    """A service that does not answer keeps a job from going on."""
    cause = f"{what} {since_text(facts, trouble.since)}: {one_line(trouble.text)}"
    return Finding(cause, "nothing to do if the service comes back; it is tried with every tick", trouble.since)


def said_of(one: Diagnosis) -> str:
    """Another job's cause as part of a sentence."""
    verb = " is" if one.cause.startswith((JobState.READY, JobState.SUBMITTED, JobState.RUNNING)) else ":"
    verb = "" if one.cause.startswith(("waits", "is ", "could")) else verb
    return f"{one.job}{verb} {one.cause}"


def quarantine_text(facts: Facts, one: QuarantineRecord) -> str:
    """Since when and why a node or a site is quarantined."""
    return f"quarantined {since_text(facts, one.since)} until {time_text(one.until)}: {one.reason}"


def probation_text(facts: Facts, one: QuarantineRecord) -> str:
    """Why a site gets few jobs."""
    few = f"{health.PROBATION_JOBS} jobs at a time until one succeeds"
    return f"{one.site}, quarantined {since_text(facts, one.since)}, is on probation with {few}: {one.reason}"


def since_text(facts: Facts, stamp: str) -> str:
    """Since when something is so, and for how long."""
    passed = f", for {length_text(seconds_between(stamp, facts.now))}" if facts.now and facts.now > stamp else ""
    return f"since {time_text(stamp)}{passed}"


def time_text(stamp: str) -> str:
    """A time of the tracker for people."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S} UTC"


def seconds_between(start: str, end: str) -> float:
    """The seconds from one time of the tracker to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def length_text(seconds: float) -> str:
    """A length of time: ``40 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = timedelta(seconds=round(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    parts = [(whole.days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    shown = parts[first : first + 1] if first == 2 and rest >= 600 else parts[first : first + 2]
    return " ".join(f"{number} {unit}" for number, unit in shown if number) or "0 s"


def some_of(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """The first of some names, and how many others there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def detail_text(job: Job) -> str:
    """What a job says of its reason."""
    return f": {one_line(job.detail)}" if job.detail else ""


def one_line(text: str) -> str:
    """A text of several lines in one."""
    return " ".join(text.split())
