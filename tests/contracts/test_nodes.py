"""What every backend with nodes promises of them."""

from __future__ import annotations

import pytest

from lofargrid.states import Phase
from tests.contracts.backends import SITE, Simulated, Watcher

JOBS = 4


def _nodes(cluster: Simulated, watcher: Watcher, *numbers: int) -> dict[int, str]:
    """Where jobs run, a while after they were handed over; nothing for one that does not run."""
    for number in numbers:
        cluster.underway(cluster.job(number))
    watcher.look()
    running = {one.attempt: one.node for one in watcher.told if one.phase is Phase.RUNNING}
    return {number: node for number in numbers if (node := running.get(f"abcd1234-{number}-1"))}


def test_an_attempt_that_names_a_node_runs_there_and_nowhere_else(cluster: Simulated) -> None:
    watcher, wanted = Watcher(cluster.backend), cluster.nodes[2]
    cluster.backend.submit([cluster.job(number)._replace(node=wanted) for number in (1, 2)])
    assert _nodes(cluster, watcher, 1, 2) == {1: wanted}, "the other one waits, though other nodes are free"
    cluster.end(cluster.job(1))
    assert _nodes(cluster, watcher, 2) == {2: wanted}


def test_an_attempt_keeps_away_from_the_nodes_that_it_avoids(cluster: Simulated) -> None:
    watcher, *others = Watcher(cluster.backend), *cluster.nodes[1:]
    cluster.backend.submit([cluster.job(1)._replace(avoid=tuple(others))])
    assert _nodes(cluster, watcher, 1) == {1: cluster.nodes[0]}
    cluster.backend.submit([cluster.job(2)._replace(avoid=tuple(cluster.nodes))])
    assert _nodes(cluster, watcher, 2) == {}


def test_nodes_to_avoid_get_no_more_attempts_but_those_that_name_them(cluster: Simulated) -> None:
    watcher, shunned = Watcher(cluster.backend), cluster.nodes[:3]
    cluster.backend.avoid({SITE: shunned})
    cluster.backend.submit([cluster.job(number) for number in (1, 2)])
    assert set(_nodes(cluster, watcher, 1, 2).values()) == {cluster.nodes[3]}
    cluster.backend.submit([cluster.job(3)._replace(node=shunned[1])])
    assert _nodes(cluster, watcher, 3) == {3: shunned[1]}


def test_the_nodes_given_last_take_the_place_of_those_before(cluster: Simulated) -> None:
    watcher = Watcher(cluster.backend)
    cluster.backend.avoid({SITE: cluster.nodes})
    cluster.backend.submit([cluster.job(number) for number in range(1, JOBS + 1)])
    assert _nodes(cluster, watcher, 1, 2, 3, 4) == {}
    cluster.backend.avoid({SITE: cluster.nodes[:1]})
    assert sorted(_nodes(cluster, watcher, 1, 2, 3, 4).values()) == cluster.nodes[1:]
    cluster.backend.avoid({})
    assert sorted(_nodes(cluster, watcher, 1, 2, 3, 4).values()) == cluster.nodes


@pytest.mark.parametrize("other", ["elsewhere", ""])
def test_nodes_of_another_site_are_not_meant(cluster: Simulated, other: str) -> None:
    watcher = Watcher(cluster.backend)
    cluster.backend.avoid({other: cluster.nodes})
    cluster.backend.submit([cluster.job(1)])
    assert list(_nodes(cluster, watcher, 1)) == [1]


def test_what_runs_on_a_node_goes_on_when_it_is_to_be_avoided(cluster: Simulated) -> None:
    watcher, job = Watcher(cluster.backend), cluster.job(1)
    cluster.backend.submit([job])
    assert list(_nodes(cluster, watcher, 1)) == [1]
    cluster.backend.avoid({SITE: cluster.nodes})
    cluster.end(job)
    report = watcher.until_over(job)[job.attempt].report
    assert report
    assert report.succeeded


def test_a_probe_on_a_named_node_succeeds_and_leaves_nothing(cluster: Simulated) -> None:
    watcher, host = Watcher(cluster.backend), cluster.nodes[0]
    probe = cluster.job(1)._replace(step="probe", commands=(), inputs=(), node=host)
    cluster.backend.avoid({SITE: cluster.nodes})
    cluster.backend.submit([probe])
    report = watcher.until_over(probe)[probe.attempt].report
    assert report
    assert (report.succeeded, report.node["host"], report.outputs) == (True, host, ())
