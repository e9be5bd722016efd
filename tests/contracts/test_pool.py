"""What the HTCondor backend promises of nodes, queues and logs, on a real pool."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lofargrid.backends.base import LOG_NAME, Backend, Observation
from lofargrid.backends.htcondor import backend
from lofargrid.backends.htcondor.schedd import Schedd
from lofargrid.errors import BackendError
from lofargrid.states import Phase
from tests.contracts.backends import LOST_AFTER_S, SITE, Condor, Watcher
from tests.grid.pool import Pool
from tests.grid.processes import until

pytestmark = pytest.mark.service


@pytest.fixture
def condor(tmp_path: Path, runner: Path, pool: Pool) -> Iterator[Condor]:
    one = Condor(tmp_path, runner)
    yield one
    one.close()


def hosts(pool: Pool) -> list[str]:
    return [node.host for node in pool.nodes.values()]


def test_attempts_run_where_they_may_and_probes_also_where_others_may_not(condor: Condor, pool: Pool) -> None:
    first, second = hosts(pool)
    watcher = Watcher(condor.backend)
    watcher.look()
    condor.backend.avoid({SITE: [first]})
    named, other = condor.job(1)._replace(node=first), condor.job(2)
    shut_out = condor.job(3)._replace(avoid=(second,))
    probe = condor.job(4)._replace(step="probe", commands=(), sandbox="", destination="", node=first)
    condor.backend.submit([named, other, shut_out, probe])
    condor.underway(named)
    condor.underway(other)
    report = watcher.until_over(probe)[probe.attempt].report
    assert report
    assert (report.succeeded, report.node["host"]) == (True, first)
    ran = {one.attempt: one.node for one in watcher.told if one.phase is Phase.RUNNING}
    assert (ran[named.attempt], ran[other.attempt], ran.get(shut_out.attempt)) == (first, second, None)
    condor.backend.avoid({})
    condor.underway(shut_out)
    running = watcher.until(lambda latest: latest[shut_out.attempt].phase is Phase.RUNNING)
    assert running[shut_out.attempt].node == first, "what waits is told too which nodes it may use"


def test_inputs_travel_whatever_they_are_called_and_outputs_come_home(condor: Condor, tmp_path: Path) -> None:
    from lofargrid_runner.contract import InputFile, OutputFile

    odd = tmp_path / "a b,c;$(x)'\"%20.txt"
    odd.write_text("content")
    job = condor.job(1)._replace(
        commands=(("cp", "in.txt", "out.txt"),),
        inputs=(InputFile("raw", "k", odd.as_uri(), "in.txt"),),
        outputs=(OutputFile("copy", "out.txt", "job-1.txt"),),
    )
    watcher = Watcher(condor.backend)
    condor.backend.submit([job])
    told = watcher.until_over(job)[job.attempt]
    assert told.report
    assert told.report.succeeded, told.report.detail
    assert (tmp_path / "out put" / f"job-1.txt.{job.attempt}").read_text() == "content"
    assert told.report.outputs[0].url == f"{job.destination}/job-1.txt.{job.attempt}"


def test_an_input_that_is_not_there_is_told_by_the_runner(condor: Condor, tmp_path: Path) -> None:
    from lofargrid_runner.contract import InputFile

    job = condor.job(1)._replace(inputs=(InputFile("raw", "k", (tmp_path / "none").as_uri(), "in.txt"),))
    watcher = Watcher(condor.backend)
    condor.backend.submit([job])
    report = watcher.until_over(job)[job.attempt].report
    assert report
    assert report.reason == "input-missing"


def test_an_output_that_did_not_come_home_is_no_success(condor: Condor, tmp_path: Path) -> None:
    from lofargrid_runner.contract import OutputFile

    job = condor.job(1)._replace(
        commands=(("sh", "-c", "echo x > out.txt"),), outputs=(OutputFile("copy", "out.txt", "job-1.txt"),)
    )
    condor.backend.submit([job])
    name = f"job-1.txt.{job.attempt}"
    arrived = tmp_path / "out put" / name
    other = Watcher(condor.reopen())
    other.until(lambda latest: latest.get(job.attempt) is not None and latest[job.attempt].phase is Phase.ENDED)
    arrived.unlink()
    told = Watcher(condor.reopen()).until_over(job)[job.attempt]
    assert (told.phase, told.detail) == (Phase.LOST, f"it succeeded, but {name} did not come home")


def test_what_the_queue_does_not_hold_is_taken_from_it_by_others_without_harm(condor: Condor) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    condor.backend.submit([job])
    condor.end(job)
    watcher.until_over(job)
    schedd = Schedd(condor.tracker)
    schedd.let_go([one.id for one in schedd.all()])
    for _ in range(2):
        watcher.look()
    assert watcher.phases(job).count(Phase.ENDED) == 1


def test_a_job_whose_end_was_told_leaves_the_queue_even_if_the_schedd_has_forgotten_that(
    condor: Condor, tmp_path: Path
) -> None:
    """As one does that dies on a full disk."""
    schedd = Schedd(condor.tracker)
    job = condor.job(1)
    condor.backend.submit([job])
    condor.end(job)
    Watcher(condor.backend).until_over(job)
    assert len(schedd.all()) == 1
    folders = tmp_path / "attempts"
    (folders / "active" / job.attempt).rename(folders / "ended" / job.attempt)
    Watcher(condor.reopen()).look()
    until(lambda: not schedd.all(), "it stays in the queue")


def test_a_held_job_is_told_with_htcondors_words_and_numbers(condor: Condor, pool: Pool) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job])
    condor.underway(job)
    [queued] = Schedd(condor.tracker).all()
    pool.ask("condor_hold", "-reason", "the disk is on fire", queued.id)
    told = watcher.until(lambda latest: latest[job.attempt].phase is Phase.HELD)[job.attempt]
    assert told.detail == "held by HTCondor: the disk is on fire (by user nobody) (code 1, subcode 0)"
    assert told.batch_id == queued.id
    again = {one.attempt: one for one in condor.reopen().changes(None).observations}
    assert again[job.attempt].detail == told.detail


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_without_its_event_log_the_queue_is_asked(condor: Condor, tmp_path: Path, how: str) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job])
    condor.underway(job)
    watcher.until(lambda latest: latest[job.attempt].phase is Phase.RUNNING)
    log = tmp_path / "attempts" / "events.log"
    log.unlink() if how == "deleted" else log.write_text("")
    condor.end(job)
    assert watcher.until_over(job)[job.attempt].phase is Phase.ENDED


def test_a_job_that_htcondor_has_lost_without_a_word_is_noticed(
    condor: Condor, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_ASK_ANYHOW_S", 0.5)
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job])
    condor.underway(job)
    [queued] = Schedd(condor.tracker).all()
    pool.ask("condor_qedit", queued.id, "UserLog", '"/dev/null"', "LeaveJobInQueue", "false")
    pool.ask("condor_rm", queued.id)
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, told.detail) == (Phase.LOST, "HTCondor does not know it any more")


def test_the_log_of_a_running_attempt_can_be_had_by_another_process(condor: Condor, tmp_path: Path) -> None:
    job = condor.job(1)
    condor.backend.submit([job])
    condor.underway(job)
    into = tmp_path / "into"
    into.mkdir()
    assert [path.name for path in condor.reopen().fetch(job.attempt, into)] == [LOG_NAME]


def test_a_pool_that_is_not_there_is_told_and_nothing_is_thought_to_be_lost(
    tmp_path: Path, runner: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import htcondor2

    one = Condor(tmp_path, runner)
    monkeypatch.setitem(htcondor2.param, "SCHEDD_HOST", "nobody@nowhere.test")
    unknown = "HTCondor did not do what it was asked: the pool knows of no schedd nobody@nowhere.test"
    with pytest.raises(BackendError, match=unknown):
        one.backend.changes(None)
    with pytest.raises(BackendError, match=unknown):
        one.backend.submit([one.job(1)])
    monkeypatch.undo()
    one.close()


def test_what_no_node_can_take_is_told_at_the_next_look_and_waits(condor: Condor, pool: Pool) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job._replace(limits=job.limits._replace(memory_mb=900_000))])
    with pytest.raises(BackendError, match="no node of here has 1 cores and 900000 MB: they have 4 cores and 40000 MB"):
        for _ in range(3):
            watcher.look()
    [known] = condor.reopen().changes(None).observations
    assert known.phase is Phase.QUEUED


def test_nodes_that_a_collector_does_not_know_yet_are_not_missed(
    condor: Condor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[object] = [BackendError("the collector is away"), [], []]

    def machines(_: Schedd) -> object:
        one = answers.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(backend, "_JUDGE_S", 0.0)
    monkeypatch.setattr(Schedd, "machines", machines)
    job = condor.job(1)._replace(node="nowhere")
    cursor = condor.backend.changes(None).cursor
    condor.backend.submit([job])
    cursor = condor.backend.changes(cursor).cursor
    with pytest.raises(BackendError, match="the collector is away"):
        condor.backend.changes(cursor)
    assert condor.backend.changes(cursor).observations == ()
    monkeypatch.setattr(backend, "_LEARNS_S", 0.0)
    with pytest.raises(BackendError, match="no node whose GLIDEIN_Site is 'here' now"):
        condor.backend.changes(cursor)


def test_whoever_looks_at_a_removed_job_sees_that_we_did_it(condor: Condor, pool: Pool) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job._replace(avoid=tuple(hosts(pool)))])
    condor.backend.cancel([job.attempt])
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, told.detail) == (Phase.LOST, "lofargrid does not want it any more (by user nobody)")


def test_a_node_that_is_taken_away_costs_no_attempt(condor: Condor, pool: Pool) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job])
    condor.underway(job)
    node = watcher.until(lambda latest: latest[job.attempt].phase is Phase.RUNNING)[job.attempt].node
    [name] = [one.name for one in pool.nodes.values() if one.host == node]
    pool.stop(name)
    condor.underway(job)
    moved = watcher.until(
        lambda latest: latest[job.attempt].phase is Phase.RUNNING and latest[job.attempt].node != node
    )
    assert Phase.QUEUED in watcher.phases(job)
    condor.end(job)
    report = watcher.until_over(job)[job.attempt].report
    assert report
    assert report.node["host"] == moved[job.attempt].node
    pool.start_node(name)
    pool.until_nodes(set(pool.nodes))


def test_a_node_that_dies_is_noticed_and_its_job_is_back_in_the_queue_in_time(condor: Condor, pool: Pool) -> None:
    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    condor.backend.submit([job])
    condor.underway(job)
    node = watcher.until(lambda latest: latest[job.attempt].phase is Phase.RUNNING)[job.attempt].node
    [name] = [one.name for one in pool.nodes.values() if one.host == node]
    pool.kill(name)
    died = time.monotonic()
    watcher.until(lambda latest: latest[job.attempt].phase is Phase.QUEUED, LOST_AFTER_S)
    print(f"noticed after {time.monotonic() - died:.1f} of {LOST_AFTER_S} s")
    assert time.monotonic() - died < LOST_AFTER_S
    condor.underway(job)
    condor.end(job)
    assert watcher.until_over(job)[job.attempt].phase is Phase.ENDED
    pool.start_node(name)
    pool.until_nodes(set(pool.nodes))


# The user's proxy


def write_proxy(path: Path, hours: int = 12) -> str:
    """What HTCondor takes for a proxy: a certificate and its key in one file."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "janneke")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(hours=hours))
    content = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    content += key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
    return content.decode()


def test_files_that_never_came_whole_to_a_schedd_elsewhere_are_sent_again(
    elsewhere: None, condor: Condor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import htcondor2

    def interrupted(*_: object) -> None:
        raise htcondor2.HTCondorException("the connection was lost")

    job, watcher = condor.job(1), Watcher(condor.backend)
    watcher.look()
    with monkeypatch.context() as patch:
        patch.setattr(htcondor2.Schedd, "spool", interrupted)
        with pytest.raises(BackendError, match="the connection was lost"):
            condor.backend.submit([job])
    assert condor.reopen().changes(None).observations == ()
    condor.backend.submit([job])
    condor.end(job)
    assert watcher.until_over(job)[job.attempt].phase is Phase.ENDED
    assert condor.starts(job) == 1


def with_proxy(condor: Condor, proxy: Path) -> Backend:
    condor.proxy = proxy
    condor.backend = condor.reopen()
    return condor.backend


# The payload does not see the proxy; it lies beside the job for the runner.
COPY_PROXY = 'stat -c %a "$LOFARGRID_WORK"/../proxy.pem; cat "$LOFARGRID_WORK"/../proxy.pem'


def test_a_proxy_travels_as_a_file_and_a_renewed_one_reaches_what_runs(condor: Condor, tmp_path: Path) -> None:
    from lofargrid_runner.contract import OutputFile

    proxy = tmp_path / "proxy.pem"
    written = [write_proxy(proxy)]
    watcher = Watcher(with_proxy(condor, proxy))
    script = f"{{ {COPY_PROXY}; }} > first.txt; cp first.txt now.txt; env > environment.txt;"
    script += f" while cmp -s first.txt now.txt; do sleep 0.2; {{ {COPY_PROXY}; }} > now.txt; done"
    job = condor.job(1)
    names = ("first.txt", "now.txt", "environment.txt")
    job = job._replace(
        commands=(("sh", "-c", script),),
        outputs=tuple(OutputFile(name.partition(".")[0], name, f"job-1-{name}") for name in names),
    )
    condor.backend.submit([job])
    watcher.until(lambda latest: latest[job.attempt].phase is Phase.RUNNING)
    moments = itertools.count(int(time.time()) + 5, 5)

    def is_over(latest: dict[str, Observation]) -> bool:
        # Again and again: a slow payload begins after the first renewal has come. HTCondor tells a renewed proxy by
        # the second of its last change, and from when the job began.
        written.append(write_proxy(proxy))
        os.utime(proxy, (next(moments),) * 2)
        return latest[job.attempt].phase is Phase.ENDED

    report = watcher.until(is_over)[job.attempt].report
    assert report
    assert report.succeeded, report.detail
    came = {name: (tmp_path / "out put" / f"job-1-{name}.{job.attempt}").read_text() for name in names}
    known = [f"600\n{one}" for one in written]
    assert known.index(came["first.txt"]) < known.index(came["now.txt"])
    assert "proxy.pem" not in came["environment.txt"]
    key = written[-1].partition("PRIVATE KEY-----\n")[2].splitlines()[1]
    attempts = [one for one in (tmp_path / "attempts").rglob("*") if one.is_file() and not one.is_symlink()]
    assert attempts
    assert not [one for one in attempts if key.encode() in one.read_bytes()]


def test_a_proxy_that_is_gone_or_expired_hands_nothing_over(condor: Condor, tmp_path: Path) -> None:
    proxy = tmp_path / "proxy.pem"
    ours = with_proxy(condor, proxy)
    job = condor.job(1)
    with pytest.raises(BackendError, match="there is no proxy"):
        ours.submit([job])
    write_proxy(proxy, hours=-1)
    with pytest.raises(BackendError, match=r"(?i)proxy.*expired|expired.*proxy"):
        ours.submit([job])
    write_proxy(proxy)
    ours.submit([job])
    condor.end(job)
    assert Watcher(ours).until_over(job)[job.attempt].phase is Phase.ENDED
