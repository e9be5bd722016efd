"""How pilots end: drained, stopped, killed, refused; and how they are found by those whose nodes they are on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grid.opening import prefix
from tests.grid.processes import AS_NOBODY, until
from tests.production.conftest import Desk
from tests.production.gated import SUBBANDS, Gated, gated, is_done
from tests.production.piloted import NODE, Grid, are_gone, endings, opened_grid, pilots_of, processes_of, work_folders
from tests.production.soundness import asked, running

PATIENCE_S = 90
LOST_AFTER_S = 30
RUNS = "j.state = 'running' AND EXISTS (SELECT 1 FROM attempts a WHERE a.job_id = j.id AND a.phase = 'running')"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with opened_grid(tmp_path_factory) as one:
        yield one


@pytest.fixture
def desk(grid: Grid, tmp_path: Path) -> Iterator[Gated]:
    """A desk whose gate is where nodes see it."""
    one = gated(tmp_path)
    gate = grid.slurm.logs / tmp_path.name
    os.mkfifo(gate)
    one.write(
        pipeline="gated", inputs={"data": "data.surls"}, parameters={"gate": str(gate)}, policy=None, backend="htcondor"
    )
    yield one
    one("cancel", "field", code=None)
    grid.slurm.ask("scancel", "--me")
    until(lambda: not grid.slurm.queue(), "a pilot did not leave")


def open_gate(grid: Grid, desk: Gated) -> int:
    return os.open(grid.slurm.logs / desk.folder.parent.name, os.O_RDWR)


def the_pilot(desk: Desk) -> dict[str, object]:
    [one] = [one for one in pilots_of(desk) if one["running"] and one["token"]]
    return one


def is_seen(desk: Gated) -> dict[str, object]:
    """The one pilot that runs two jobs; who asks for it knows by then which they are."""
    desk.wait_for(2, RUNS)
    until(lambda: [one["running"] for one in pilots_of(desk) if one["running"]] == [2], "the pool does not tell of two")
    return the_pilot(desk)


@pytest.mark.parametrize("how", ["by the pool", "by its site"])
def test_a_drained_pilot_ends_its_jobs_and_takes_no_more(grid: Grid, desk: Gated, how: str) -> None:
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs))
    with running(desk) as process:
        pilot = is_seen(desk)
        if how == "by the pool":
            desk("pilots", "drain", str(pilot["batch_id"]))
        else:
            grid.slurm.ask("scancel", "--batch", "--signal=USR1", str(pilot["batch_id"]))
        until(lambda: the_pilot(desk)["state"] == "drains, 2 jobs", "it is not told that it drains")
        gate = open_gate(grid, desk)
        _, said = process.communicate(timeout=PATIENCE_S)
        os.close(gate)
    assert process.returncode == 0, said
    are_gone(grid, desk)
    is_done(desk)
    assert asked(desk, "SELECT count(*) FROM attempts") == [(SUBBANDS,)], "nothing was done twice"
    assert endings(desk) == [(None, "it was drained"), (None, "no job came for 15 s")]


def test_a_stopped_pilots_jobs_go_back_to_the_queue(grid: Grid, desk: Gated) -> None:
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs))
    with running(desk) as process:
        first = is_seen(desk)
        desk("pilots", "stop", "--site", "university")
        until(lambda: is_seen(desk)["pilot"] != first["pilot"], "no other pilot came")
        gate = open_gate(grid, desk)
        _, said = process.communicate(timeout=PATIENCE_S)
        os.close(gate)
    assert process.returncode == 0, said
    are_gone(grid, desk)
    is_done(desk)
    assert endings(desk) == [("stopped", "SIGTERM asked the pilot to stop"), (None, "no job came for 15 s")]


def test_the_jobs_of_a_pilot_that_was_killed_are_back_in_time(grid: Grid, desk: Gated) -> None:
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs), lost_after_min=LOST_AFTER_S / 60)
    with running(desk) as process:
        first = str(is_seen(desk)["pilot"])
        killed = time.monotonic()
        for pid in processes_of({first}):
            os.kill(pid, signal.SIGKILL)
        desk.wait_for(0, RUNS)
        assert time.monotonic() - killed < LOST_AFTER_S + 10, "a look of ours later"
        until(lambda: is_seen(desk)["pilot"] != first, "no other pilot came")
        gate = open_gate(grid, desk)
        _, said = process.communicate(timeout=PATIENCE_S)
        os.close(gate)
    assert process.returncode == 0, said
    for left in work_folders(first):
        shutil.rmtree(left)  # what was killed cannot clean up
    are_gone(grid, desk)
    is_done(desk)
    assert endings(desk)[0] == ("lost", "it ended without a word")


def test_a_site_admin_finds_what_runs_by_any_name_of_it(grid: Grid, desk: Gated) -> None:
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs))
    with running(desk) as process:
        pilot = is_seen(desk)
        jobs = {job for (job,) in asked(desk, "SELECT j.name FROM jobs j WHERE j.state = 'running'")}
        for name in (pilot["batch_id"], pilot["pilot"], NODE, NODE.partition(".")[0]):
            said = desk("why", str(name)).out
            assert f"pilot {pilot['pilot']} (slurm {pilot['batch_id']}) of site university on {NODE}: 2 jobs" in said
            assert "contact " in said
            assert {job for job in jobs if f"runs field/{job} attempt 1" in said} == jobs
            assert "lofargrid" in desk("logs", str(name), "--tail", "20").out
        gate = open_gate(grid, desk)
        process.communicate(timeout=PATIENCE_S)
        os.close(gate)
    are_gone(grid, desk)
    told = json.loads(desk("why", str(pilot["batch_id"]), "--json").out)
    assert {one["job"] for one in told["ended"]} >= jobs
    assert told["running"] == []


def test_htcondor_comes_as_a_tarball_that_is_what_it_should_be(grid: Grid, desk: Gated, tmp_path: Path) -> None:
    tarball = grid.slurm.logs / "htcondor.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(prefix() / "usr", "usr")
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    os.close(os.dup(gate := open_gate(grid, desk)))
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs), htcondor=str(tarball), sha256="0" * 64)
    with running(desk) as process:
        assert process.stderr
        assert any(f"its SHA-256 is {digest}, not {'0' * 64}" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert endings(desk)[0][0] == "software-missing"
    grid.has(through="slurm", at_most=1, logs=str(grid.slurm.logs), htcondor=str(tarball), sha256=digest)
    with running(desk) as process:
        # Where the last pilot was of no use none is started for a while, but by hand.
        until(lambda: "1 pilot asked" in desk("pilots", "start", "--site", "university", "--count", "1").err, "no jobs")
        _, said = process.communicate(timeout=PATIENCE_S)
    os.close(gate)
    assert process.returncode == 0, said
    are_gone(grid, desk)
    is_done(desk)


def test_nothing_is_started_where_nothing_waits(grid: Grid, desk: Gated) -> None:
    grid.has(through="slurm", logs=str(grid.slurm.logs))
    desk("submit", "production.yaml")
    for words in (("--count", "2"), ("--max", "2")):
        assert "nothing waits" in desk("pilots", "start", "--site", "university", *words).err
    assert grid.slurm.queue() == []


def test_a_cluster_that_takes_no_pilot_is_told_once_in_its_own_words(grid: Grid, desk: Gated) -> None:
    grid.has(through="slurm", at_most=1, memory_mb=999_999)
    with running(desk) as process:
        until(lambda: [one["reason"] for one in pilots_of(desk)] == ["submit-failed"], "it was taken")
        desk.wait_for(SUBBANDS, "j.state = 'submitted'")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert said.count("Memory specification can not be satisfied") == 1
    assert list((desk.tracker / "pilots").rglob("pilot.sh")) == []


def test_a_token_that_was_revoked_opens_nothing(grid: Grid, desk: Gated) -> None:
    grid.has(through="script")
    script = grid.slurm.logs / "revoked.sh"
    said = desk("pilots", "script", "--site", "university", "--output", str(script)).err
    token = said.partition("its token ")[2].split()[0]
    with grid.pool.config.open("a") as config:
        config.write(f'SEC_TOKEN_REVOCATION_EXPR = jti == "{token}"\n')
    grid.pool.ask(f"{grid.pool.prefix}/usr/sbin/condor_reconfig")
    out = joined(grid, script)
    print(out)
    assert '"credential-refused"' in out
    assert "the pool did not take it" in out


def joined(grid: Grid, script: Path) -> str:
    """What a pilot prints that is started by hand as an ordinary user."""
    import subprocess

    done = subprocess.run(
        [*AS_NOBODY, "/bin/sh", str(script)], cwd="/", capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return done.stdout + done.stderr
