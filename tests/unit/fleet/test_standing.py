"""A pilot as it stands: what we wrote down, and what the pool says."""

from __future__ import annotations

import pytest

from lofargrid.pilots.standing import Standing
from lofargrid.tracker.records import PilotRecord
from tests.unit.fleet.factories import joined


def record(**changes: object) -> PilotRecord:
    given: dict[str, object] = {
        "id": "t1-p1", "site": "Leiden", "through": "slurm", "batch_id": "4711", "asked": "",
        "token": "jti-1", "token_expires": "", "node": "", "joined": None, "ended": None, "reason": None, "detail": "",
        "jobs": 0, **changes,
    }  # fmt: skip
    return PilotRecord(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (Standing(record(), None), "waits for a node"),
        (Standing(record(joined="x"), None), "joined, not heard of"),
        (Standing(record(), joined("t1-p1")), "idle"),
        (Standing(None, joined("t1-p1", running=1)), "1 job"),
        (Standing(None, joined("t1-p1", running=2, draining=True)), "drains, 2 jobs"),
        (Standing(record(ended="x", detail="no job came"), None), "left: no job came"),
        (Standing(record(ended="x", reason="node-unfit", detail="small"), None), "node-unfit: small"),
    ],
)
def test_its_state_is_told_in_words(one: Standing, state: str) -> None:
    assert one.state == state
    assert one.facts()["state"] == state


def test_it_has_many_names() -> None:
    one = Standing(record(), joined("t1-p1", batch="slurm=4711 pbs=8.pbs"))
    assert one.names == {"t1-p1", "4711", "8.pbs", "wn1.leiden.example.org", "wn1"}
    assert Standing(record(batch_id=""), None).names == {"t1-p1"}


def test_one_that_others_started_has_the_ids_that_it_tells_itself() -> None:
    facts = Standing(None, joined("other-p1")).facts()
    assert (facts["pilot"], facts["site"], facts["through"], facts["batch_id"]) == (
        "other-p1",
        "Leiden",
        "script",
        "slurm=12",
    )
