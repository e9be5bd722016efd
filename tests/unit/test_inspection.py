"""Inputs are looked at before anything starts; the policy decides what is lived with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.errors import BackendError, Fault
from lofargrid.inspection import inspect, refuse_unless_enough
from lofargrid.model import Subband
from lofargrid.names import file_url
from lofargrid.states import Reason
from lofargrid.zipapp import build_zipapp
from tests.unit.factories import faults_of, subband


def listed(count: int, lost: int, **changes: object) -> list[Subband]:
    """``count`` subbands, of which the first ``lost`` are not there."""
    bad = {"reason": Reason.INPUT_MISSING, "problem": "no such file"}
    return [subband(number, **{**(bad if number < lost else {}), **changes}) for number in range(count)]


def test_nothing_is_told_where_all_can_be_used() -> None:
    assert refuse_unless_enough(listed(3, 0), 1.0, "fail") == []


def test_what_cannot_be_used_is_told_with_file_and_line_and_lived_with() -> None:
    assert refuse_unless_enough(listed(20, 1), 0.95, "flag") == [
        Fault(
            "/raw/L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar: an input file is not there (no such file)",
            "Bring it back or correct the list, then `retry`, or `run --replan` for a changed list",
            "target.surls",
            1,
        )
    ]


@pytest.mark.parametrize(
    ("count", "lost", "minimum", "gaps", "what"),
    [
        (20, 2, 0.95, "flag", "18 of 20 subbands of target L654321 SAP000 can be used, minimum_subbands: 0.95 asks"),
        (4, 4, 0.0, "flag", "0 of 4 subbands of target L654321 SAP000 can be used"),
        (20, 1, 0.95, "fail", "19 of 20 subbands of target L654321 SAP000 can be used, gaps: fail asks for all"),
    ],
)
def test_less_than_the_policy_asks_for_is_refused_after_all_faults(
    count: int, lost: int, minimum: float, gaps: str, what: str
) -> None:
    *faults, last = faults_of(refuse_unless_enough, listed(count, lost), minimum, gaps)
    assert [fault.line for fault in faults] == list(range(1, lost + 1))
    assert last.what.startswith(what)
    assert (last.field, last.remedy) == ("policy", "Mend the files above, or ask for less in policy")


def test_what_may_not_be_read_is_told_once_for_all_files_alike() -> None:
    changes = {"reason": Reason.CREDENTIAL_REFUSED, "problem": "SURF does not let you read it"}
    (fault,) = refuse_unless_enough(
        [*listed(97, 0), *(subband(number, **changes) for number in (97, 98, 99))], 0.95, "flag"
    )
    assert fault.what.endswith("(SURF does not let you read it), and 2 more like it")
    assert fault.line == 98


def test_a_fraction_that_is_just_reached_is_enough() -> None:
    assert len(refuse_unless_enough(listed(100, 45), 0.55, "flag")) == 45


def test_each_sap_must_have_enough_by_itself() -> None:
    faults = faults_of(refuse_unless_enough, [*listed(98, 0), *listed(2, 1, sap=1)], 0.95, "flag")
    assert faults[-1].what.startswith("1 of 2 subbands of target L654321 SAP001")


def test_the_runner_itself_looks_at_what_is_here_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "no ms.tar").write_bytes(b"")
    absent = subband(0, url=file_url(str(tmp_path / "absent.tar")))
    wrong = subband(1, url=file_url(str(tmp_path / "no ms.tar")))
    remote = subband(2, url="srm://host/a.tar")
    found = inspect([remote, wrong, absent], build_zipapp(tmp_path / "runner.pyz"))
    assert [one.key for one in found] == [remote.key, wrong.key, absent.key]
    assert found[0] == remote
    assert found[1].reason is not None
    assert found[2].reason is Reason.INPUT_MISSING
    assert found[2].problem


def test_nothing_is_started_for_files_that_are_elsewhere(tmp_path: Path) -> None:
    remote = [subband(0, url="srm://host/a.tar")]
    assert inspect(remote, tmp_path / "no runner") == remote


def test_a_runner_that_does_not_answer_is_no_fault_of_the_inputs(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="could not be looked at"):
        inspect([subband(0)], tmp_path / "no runner")
