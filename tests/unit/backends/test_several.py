"""Several backends as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from lofargrid_runner.contract import JobSpec

from lofargrid.backends.base import Changes
from lofargrid.backends.several import SeveralBackends
from lofargrid.errors import BackendError
from tests.contracts.backends import spec
from tests.unit.engine_factories import ScriptedBackend


class Deaf(ScriptedBackend):
    """One that does not answer."""

    def changes(self, cursor: str | None) -> Changes:
        raise BackendError("no answer")

    def submit(self, jobs: object) -> None:
        raise BackendError("no answer")


def both(tmp_path: Path) -> tuple[JobSpec, JobSpec]:
    return spec(tmp_path, 1)._replace(site="near"), spec(tmp_path, 2)._replace(site="far")


def several(near: ScriptedBackend, far: ScriptedBackend) -> SeveralBackends:
    return SeveralBackends({"one": near, "other": far}, {"near": "one", "far": "other"})


def test_each_attempt_goes_to_the_backend_of_its_site_and_all_are_heard_of(tmp_path: Path) -> None:
    one, other = ScriptedBackend(), ScriptedBackend()
    near, far = both(tmp_path)
    backend = several(one, other)
    cursor = backend.changes(None).cursor
    backend.submit([near, far])
    assert [[told.attempt for told in each.changes(None).observations] for each in (one, other)] == [
        [near.attempt], [far.attempt],
    ]  # fmt: skip
    one.run(near.job)
    other.run(far.job)
    changes = backend.changes(cursor)
    assert {told.attempt for told in changes.observations} == {near.attempt, far.attempt}
    assert backend.changes(changes.cursor).observations == ()


def test_one_that_does_not_answer_does_not_keep_the_other_from_being_heard(tmp_path: Path) -> None:
    one = ScriptedBackend()
    near, far = both(tmp_path)
    backend = several(one, Deaf())
    with pytest.raises(BackendError, match="no answer"):
        backend.submit([far, near])
    one.run(near.job)
    start = several(ScriptedBackend(), ScriptedBackend()).changes(None).cursor
    assert near.attempt in {told.attempt for told in backend.changes(start).observations}


def test_who_asks_for_everything_needs_every_answer(tmp_path: Path) -> None:
    one = ScriptedBackend()
    one.submit([both(tmp_path)[0]])
    with pytest.raises(BackendError, match="no answer"):
        several(one, Deaf()).changes(None)


def test_nodes_to_avoid_are_told_to_the_backend_of_their_site() -> None:
    one, other = Avoiding(), Avoiding()
    several(one, other).avoid({"near": ["n1"], "far": ["f1"], "elsewhere": ["e1"]})
    assert (one.avoided, other.avoided) == ({"near": ["n1"]}, {"far": ["f1"]})


class Avoiding(ScriptedBackend):
    """One that remembers what it is to avoid."""

    def avoid(self, nodes: object) -> None:
        self.avoided = nodes
