"""Pure: attempts become a submit description, and a line each in the list that it queues from."""

import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from lofargrid_runner.contract import JobSpec

from lofargrid.backends.htcondor.nodes import Machine

SEPARATOR = "\x1f"
LEASE_SHARE = 0.75
"""HTCondor looks whether a lease has run out at growing intervals, up to five minutes: it is to be in time."""
FIELDS = (
    "attempt", "job", "production", "step", "owner", "site", "where", "shunned", "cores", "memory_mb", "scratch_kb",
    "walltime_s", "lease_s", "carried", "brought",
)  # fmt: skip
"""What may differ between the jobs of one submit description."""


@dataclass(frozen=True)
class Reach:
    """How a site is reached.

    ``name`` is what its nodes call it, in GLIDEIN_Site; one that is not heard of for ``lost_after_s`` is given up.
    ``pilot`` is what one of its pilots offers, where there are such.
    """

    name: str
    lost_after_s: int
    pilot: Machine | None = None


_TEMPLATES = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
_ODD = re.compile(r"[^A-Za-z0-9._@:+-]")


@dataclass(frozen=True)
class Description:
    """What is handed over: the submit description, the fields of the list that it queues from, and its lines."""

    text: str
    fields: tuple[str, ...]
    items: tuple[str, ...]


def describe(template: str, places: Mapping[str, Path | str | int], rows: Sequence[Mapping[str, str]]) -> Description:
    """Describe attempts.

    Parameters
    ----------
    template
        The text of jdl/htcondor.sub.j2.
    places
        What it names, besides the fields.
    rows
        The fields of each attempt, see `fields`.
    """
    # What is the same for all is said once: for each job HTCondor expands each macro.
    listed = tuple(one for one in FIELDS if one == "attempt" or len({row[one] for row in rows}) > 1)
    text = _TEMPLATES.from_string(template).render(**places, fields=", ".join(FIELDS))
    for one in FIELDS:
        if one not in listed:
            text = text.replace(f"$({one})", rows[0][one])
    return Description(text, listed, tuple(SEPARATOR.join(row[one] for one in listed) for row in rows))


def fields(
    spec: JobSpec, site: Reach, shunned: Collection[str], carried: Sequence[str], brought: Sequence[str]
) -> dict[str, str]:  # fmt: skip
    """What a description says of one attempt.

    Parameters
    ----------
    spec
        The attempt.
    site
        How its site is reached.
    shunned
        Nodes of the site that get no jobs.
    carried, brought
        Files that travel to the node and home, besides those of every job.
    """
    return {
        "attempt": _plain(spec.attempt),
        "job": _plain(spec.job),
        "production": _plain(spec.production or "-"),
        "step": _plain(spec.step),
        "owner": _plain(spec.owner),
        "site": _plain(site.name),
        "where": _where(spec),
        "shunned": nodes(shunned),
        "cores": str(spec.limits.cores),
        "memory_mb": str(spec.limits.memory_mb),
        # The inputs travel twice over: as they came, and unpacked. Whoever wrote scratch_mb has counted both.
        "scratch_kb": str(max(int(spec.limits.scratch_mb * 1024), 1)),
        "walltime_s": str(math.ceil(spec.limits.walltime_s + spec.overtime_s)),
        "lease_s": str(round(LEASE_SHARE * site.lost_after_s)),
        "carried": "".join(f",{_plain(one)}" for one in carried),
        "brought": "".join(f",{_plain(one)}" for one in brought),
    }


def _where(spec: JobSpec) -> str:
    """Which nodes of its site may run an attempt, as an expression: one alone, or any but those that it avoids."""
    if spec.node:
        return f'TARGET.Machine == "{_plain(spec.node)}"'
    # Of the shunned ones it is told in an attribute: that is edited while the job waits.
    lists = ["LofargridShunned", f'"{nodes(spec.avoid)}"'] if spec.avoid else ["LofargridShunned"]
    return " && ".join(f"!stringListMember(TARGET.Machine, {one})" for one in lists)


def nodes(names: Collection[str]) -> str:
    """Nodes as a ClassAd list. Their names came in reports from nodes: nothing in them may mean anything."""
    return ",".join(sorted(_plain(one) for one in names))


@functools.lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """A text in which a submit description sees no macro, quote or separator."""
    return _ODD.sub("_", text) if not text.startswith("../") else text
