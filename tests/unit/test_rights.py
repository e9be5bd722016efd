"""Rights: one file of each folder is asked for, and a service that does not answer refuses nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from lofargrid.errors import BackendError
from lofargrid.model import Subband
from lofargrid.rights import Rights
from lofargrid.states import Reason
from lofargrid.storage.base import Locality, Pinning, Recall
from lofargrid.storage.tapes import Tapes
from tests.unit.factories import subband

TODAY = "2026-11-29"


class Service:
    """Knows who may read what; of all else that a tape service can nothing is asked."""

    def __init__(self, closed: str = "closed", away: bool = False, opens: bool = False) -> None:
        self.closed, self.away, self.opens = closed, away, opens
        self.asked: list[str] = []

    def pinning(self, url: str) -> Pinning:
        return Pinning(opens=self.opens)

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        if self.away:
            raise BackendError("it does not answer")
        self.asked += urls
        return {url: Locality.REFUSED if self.closed in url else Locality.NEARLINE for url in urls}


def site_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0] if url.startswith("srm:") else ""


def rights(notes: list[str], **services: Service) -> Rights:
    return Rights(Tapes(cast("Mapping[str, Recall]", services), site_of), site_of, notes.append, TODAY)


def lying(folder: str, *numbers: int, **changes: object) -> list[Subband]:
    return [subband(number, url=f"{folder}/SB{number}.tar", **changes) for number in numbers]


def test_a_folder_is_asked_for_once_and_all_in_it_are_as_the_first() -> None:
    surf, notes = Service(), list[str]()
    known = rights(notes, SURF=surf)
    closed = lying("srm://SURF/closed", 1, 2, project="LC9_001", public_from="2027-03-01")
    marked = known.marked([*lying("srm://SURF/open", 0), *closed, *lying("file:///closed", 3)])
    why = "SURF does not let you read it: it is of the project LC9_001, public from 2027-03-01"
    assert [(one.reason, one.problem) for one in marked] == [
        (None, ""), *[(Reason.CREDENTIAL_REFUSED, why)] * 2, (None, "")
    ]  # fmt: skip
    known.marked(closed)
    assert surf.asked == ["srm://SURF/open/SB0.tar", "srm://SURF/closed/SB1.tar"]
    assert notes == []


@pytest.mark.parametrize(("changes", "more"), [({}, ""), ({"project": "LC9_001"}, ": it is of the project LC9_001")])
def test_what_is_not_known_of_it_is_not_told(changes: dict[str, str], more: str) -> None:
    (marked,) = rights([], SURF=Service()).marked(lying("srm://SURF/closed", 1, **changes))
    assert marked.problem == f"SURF does not let you read it{more}"


def test_a_service_that_does_not_answer_is_told_of_and_keeps_no_other_from_being_asked() -> None:
    notes: list[str] = []
    known = rights(notes, SURF=Service(away=True), Poznan=Service())
    one, other = known.marked([*lying("srm://SURF/closed", 1), *lying("srm://Poznan/closed", 2)])
    assert (one.reason, other.reason) == (None, Reason.CREDENTIAL_REFUSED)
    assert notes == ["whether you may read what lies at SURF is not known: it does not answer"]


def test_without_tapes_nobody_is_asked() -> None:
    files = lying("srm://SURF/closed", 1)
    assert Rights(None, site_of, print, TODAY).marked(files) == files


def test_where_only_a_recall_tells_what_is_not_public_yet_is_told_once() -> None:
    notes: list[str] = []
    known = rights(notes, SURF=Service("none", opens=True), Poznan=Service("none"))
    later = {"project": "LC9_001", "public_from": "2027-03-01"}
    files = [*lying("srm://SURF/a", 0, 1, **later), *lying("srm://SURF/b", 2, public_from=TODAY)]
    marked = known.marked([*files, *lying("srm://Poznan/a", 3, **{**later, "project": "LC9_002"})])
    assert {one.reason for one in marked} == {None}
    known.marked(lying("srm://SURF/c", 4, **later))
    assert notes == [
        "SURF: files of LC9_001 are public from 2027-03-01 on; until then only members of the project get them"
    ]
