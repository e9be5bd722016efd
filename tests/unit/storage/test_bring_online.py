"""What is made of gfal2's answers; the Python that gives them is a script of the test."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lofargrid.errors import BackendError, UncertainError
from lofargrid.storage.base import Locality, Recalled, RecallState
from lofargrid.storage.bring_online import BringOnline

URLS = [f"davs://door.example.org:2880/lofar/{number}" for number in range(3)]
SAID = "[SE][Ls][SRM_INVALID_PATH] No such file or directory"

Answering = Callable[..., BringOnline]


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Give a driver whose gfal2 answers as told; what it was asked is in ``asked``."""

    def given(answer: Any, ending: str = "") -> BringOnline:
        script = tmp_path / "python3"
        (tmp_path / "answer").write_text(json.dumps(answer))
        script.write_text(f"#!/bin/sh\ncat > '{tmp_path}/asked'\ncat '{tmp_path}/answer'\n{ending}\n")
        script.chmod(0o755)
        monkeypatch.setenv("GFAL_PYTHONBIN", str(script))
        return BringOnline("the tape service of T1", "srm://srm.example.org:8443", tmp_path / "proxy", tmp_path)

    return given


def test_files_are_asked_for_at_the_server_that_the_site_names(answering: Answering, tmp_path: Path) -> None:
    assert answering({"files": [[0, ""]] * 3, "request": "-214:-213"}).request(URLS) == "-214:-213"
    asked = json.loads((tmp_path / "asked").read_text())
    assert asked["urls"] == [f"srm://srm.example.org:8443/lofar/{number}" for number in range(3)]


def test_where_a_file_is_or_why_that_is_not_told(answering: Answering) -> None:
    told = [[0, "ONLINE_AND_NEARLINE"], [errno.ENOENT, SAID], [errno.EACCES, "SRM_AUTHORIZATION_FAILURE"]]
    found = answering({"files": told}).locality(URLS)
    assert [found[url] for url in URLS] == [Locality.ONLINE, Locality.ABSENT, Locality.REFUSED]


def test_files_of_a_request_may_fare_differently(answering: Answering) -> None:
    found = answering({"files": [[0, ""], [errno.EAGAIN, "queued"], [errno.EIO, "tape broken"]]}).poll("1", URLS)
    states = [Recalled(RecallState.ONLINE), Recalled(RecallState.QUEUED), Recalled(RecallState.FAILED, "tape broken")]
    assert [found[url] for url in URLS] == states


@pytest.mark.parametrize(
    ("answer", "ending", "kind", "words"),
    [
        ({"error": [errno.ECONNREFUSED, "refused"]}, "", BackendError, "refused"),
        ({"error": [errno.ECOMM, "it broke off"]}, "", UncertainError, "it broke off"),
        ({"files": [[errno.EACCES, "no right"]] * 3, "request": ""}, "", BackendError, "no right"),
        ({"files": [[errno.ETIMEDOUT, "too late"]] * 3, "request": ""}, "", UncertainError, "too late"),
        ({}, "kill -9 $$", UncertainError, "ended with -9"),
        ({}, "echo 'no gfal2 here' >&2; exit 127", BackendError, "no gfal2 here"),
        ({}, "echo 'it fell over' >&2; exit 1", UncertainError, "it fell over"),
        ({}, "echo 'and more'", UncertainError, "gives an answer that is none"),
    ],
)
def test_a_request_whose_answer_got_lost_may_stand(
    answering: Answering, answer: Any, ending: str, kind: type[BackendError], words: str
) -> None:
    with pytest.raises(BackendError, match=f"asked the tape service of T1 for files from tape: .*{words}") as raised:
        answering(answer, ending).request(URLS)
    assert type(raised.value) is kind


def test_a_python_without_gfal2_is_told_of(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    recall = answering({})
    monkeypatch.setenv("GFAL_PYTHONBIN", sys.executable)
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(BackendError, match="has no gfal2: install python3-gfal2, or let GFAL_PYTHONBIN name a Python"):
        recall.locality(URLS)
