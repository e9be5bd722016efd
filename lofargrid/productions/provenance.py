"""Provenance: beside every product a JSON that tells what it is made of, and is enough to make it again."""

import json
from collections.abc import Mapping
from typing import Any

from lofargrid import __version__
from lofargrid.model import Job, StoredOutput, Subband
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState
from lofargrid.tracker import Tracker

NOT_VERIFIED = "not verified at source"
_UNPLACED = "it is in no group: its frequency is not known"


def provenance(tracker: Tracker, recipe: Recipe, job: Job, product: StoredOutput) -> bytes:
    """Tell where a product comes from, as JSON."""
    ancestors = _ancestors(tracker, job)
    readers = [one for one in _contributors(tracker, job) if _reads_raw(recipe, one)]
    used = {(one.role, key) for one in readers for key in {*one.subbands} - {*tracker.lacks(one.id)}}
    inputs = [one for one in recipe.subbands if (one.role, one.key) in used]
    document = {
        "product": product.filename,
        "size_bytes": product.size_bytes,
        "adler32": product.adler32,
        "production": recipe.production,
        "pipeline": {"name": recipe.pipeline.pipeline, "version": recipe.pipeline.version},
        "recipe_hash": recipe.hash,
        "recipe": recipe.content(),
        "lofargrid": __version__,
        "generation": job.generation,
        "missing_subbands": _missing(tracker, recipe, [job, *ancestors]),
        "inputs": [_input(tracker, readers, one) for one in inputs],
        "jobs": [_job(tracker, one) for one in [*ancestors, job]],
    }
    return _text(document).encode()


def _text(document: Mapping[str, Any]) -> str:
    """JSON with a line for each entry and each of its parts: people read it, and it is quickly written."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_parts(value)}" for key, value in document.items()) + "\n}\n"


def _parts(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return "{\n  " + ",\n  ".join(f"{json.dumps(key)}: {json.dumps(one)}" for key, one in value.items()) + "\n }"
    if isinstance(value, list) and value:
        return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
    return json.dumps(value)


def _ancestors(tracker: Tracker, job: Job) -> list[Job]:
    """All jobs that a job rests on, the first made first."""
    found: dict[int, Job] = {}
    waiting = [job]
    while waiting:
        for need in tracker.needs(waiting.pop().id):
            if need.id not in found:
                found[need.id] = need
                waiting.append(need)
    return [found[number] for number in sorted(found)]


def _contributors(tracker: Tracker, job: Job) -> list[Job]:
    """The job and those whose results went into it, not those that it goes without."""
    found = {job.id: job}
    waiting = [job]
    while waiting:
        taker = waiting.pop()
        lacks = set(tracker.lacks(taker.id))
        for need in tracker.needs(taker.id):
            if need.state is JobState.SUCCEEDED and not lacks.issuperset(need.subbands) and need.id not in found:
                found[need.id] = need
                waiting.append(need)
    return list(found.values())


def _reads_raw(recipe: Recipe, job: Job) -> bool:
    return any(not source.step for source in recipe.steps[job.step].inputs.values())


def _missing(tracker: Tracker, recipe: Recipe, jobs: list[Job]) -> dict[str, str]:
    """Each subband that the product lacks, with the cause."""
    lacks = sorted({key for one in jobs for key in tracker.lacks(one.id)})
    causes = {one.key: one.problem for one in recipe.subbands if one.reason}
    for one in jobs:
        if one.state is JobState.FAILED and len(one.subbands) == 1:
            causes.setdefault(one.subbands[0], f"{one.name}: {one.reason}: {one.detail}")
    return {key: causes.get(key, _UNPLACED) for key in lacks}


def _input(tracker: Tracker, jobs: list[Job], subband: Subband) -> dict[str, Any]:
    """A raw input, with the checksum that was promised or else the one that was read."""
    readers = (job for job in jobs if subband.key in job.subbands and job.role == subband.role)
    read = next(filter(None, (_checksum_read(tracker, job, subband.url) for job in readers)), "")
    return {
        "role": subband.role,
        "subband": subband.key,
        "url": subband.url,
        "adler32": subband.adler32 or read,
        "verified": "at source" if subband.adler32 else NOT_VERIFIED,
    }


def _checksum_read(tracker: Tracker, job: Job, url: str) -> str:
    transfers = _report(tracker, job).get("transfers", [])
    return next((str(one["adler32"]) for one in transfers if one["url"] == url), "")


def _report(tracker: Tracker, job: Job) -> dict[str, Any]:
    record = tracker.attempt(job.attempt) if job.attempt else None
    return dict(json.loads(record.report)) if record and record.report else {}


def _job(tracker: Tracker, job: Job) -> dict[str, Any]:
    report = _report(tracker, job)
    attempts = tracker.attempts(job.id)
    return {
        "name": job.name,
        "generation": job.generation,
        "state": job.state,
        "reason": job.reason,
        "attempt": job.attempt,
        "attempts": len(attempts),
        "site": attempts[-1].site if attempts else "",
        "host": report.get("node", {}).get("host", ""),
        "software": report.get("software", {}),
        "started": report.get("started"),
        "ended": report.get("ended"),
    }
