"""Is a job tried again, when, where, and with how much? The reason decides, and what happened before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.retry import MOST_BLAMED, RULES, Decision, Past, Rule, decide, grow, overtime_min, rule_of
from lofargrid.model import Demand
from lofargrid.states import Reason

ASKED = Demand(cores=1, memory_mb=2000, walltime_min=60, scratch_mb=100)
MOST = Demand(cores=8, memory_mb=64000, walltime_min=2880, scratch_mb=400_000)

NO_FAULT_OF_THE_PAYLOAD = [
    Reason.LOST, Reason.STOPPED, Reason.EVICTED, Reason.HELD, Reason.NOT_STARTED, Reason.NODE_UNFIT,
    Reason.SCRATCH_FULL, Reason.SOFTWARE_UNREACHABLE, Reason.PAYLOAD_KILLED, Reason.STORAGE_UNAVAILABLE,
    Reason.STORAGE_FULL, Reason.STAGE_OUT_FAILED, Reason.CREDENTIAL_EXPIRED, Reason.INPUT_NEARLINE,
    Reason.OUT_OF_MEMORY, Reason.OUT_OF_TIME,
]  # fmt: skip
PAYLOADS_OWN = [
    Reason.PAYLOAD_FAILED, Reason.PAYLOAD_CRASHED, Reason.CHECK_FAILED, Reason.CHECK_BROKEN, Reason.OUTPUT_MISSING,
    Reason.RUNNER_ERROR,
]  # fmt: skip
HOPELESS = [
    Reason.INPUT_MISSING, Reason.INPUT_TRUNCATED, Reason.INPUT_UNSAFE, Reason.INPUT_WRONG_KIND,
    Reason.CREDENTIAL_REFUSED, Reason.SOFTWARE_MISSING, Reason.SUBMIT_FAILED, Reason.NEED_FAILED,
    Reason.TOO_FEW_INPUTS, Reason.GAP, Reason.FREQUENCY_UNKNOWN, Reason.FREQUENCY_CLASH, Reason.CANCELLED,
]  # fmt: skip


def decided(
    *reasons: Reason | Past, tries: int = 2, asked: Demand = ASKED, most: Demand = MOST, splittable: bool = False,
    rules: Mapping[Reason, Rule] = RULES,
) -> Decision:  # fmt: skip
    """What comes after some failures; those without a node happened on one and the same."""
    past = [one if isinstance(one, Past) else Past(one, "SURF", "wn1") for one in reasons]
    return decide(past, tries, asked, most, splittable, rules)


def on(node: str, reason: Reason = Reason.PAYLOAD_FAILED, site: str = "SURF", blamed: bool = False) -> Past:
    return Past(reason, site, node, blamed=blamed)


def attempts(reason: Reason, tries: int, nodes: bool = False, blamed: bool = False) -> list[Decision]:
    """All decisions over a job that fails for the same reason again and again, on the same node or on others."""
    made: list[Decision] = []
    asked = ASKED
    while not made or made[-1].again:
        past = [on(f"wn{number * nodes}", reason, blamed=blamed) for number in range(len(made) + 1)]
        made.append(decide(past, tries, asked, MOST))
        asked = made[-1].demand or asked
    return made


# How often


def test_every_reason_is_in_one_of_the_lists_here() -> None:
    again_once = [Reason.INPUT_CORRUPT, Reason.INPUT_UNREADABLE]
    assert sorted([*NO_FAULT_OF_THE_PAYLOAD, *PAYLOADS_OWN, *HOPELESS, *again_once]) == sorted(Reason)


@pytest.mark.parametrize("tries", [1, 2, 5])
@pytest.mark.parametrize("reason", PAYLOADS_OWN)
def test_a_payload_that_fails_is_tried_as_often_as_its_step_grants(reason: Reason, tries: int) -> None:
    made = attempts(reason, tries)
    assert len(made) == tries
    assert (made[-1].tries, made[-1].why) == (tries, f"all {tries} tries are used")


@pytest.mark.parametrize("reason", NO_FAULT_OF_THE_PAYLOAD)
def test_what_is_not_the_payloads_fault_costs_it_no_try(reason: Reason) -> None:
    made = attempts(reason, 1)
    assert len(made) > 1
    assert {one.tries for one in made} == {0}


@pytest.mark.parametrize("reason", HOPELESS)
def test_what_would_fail_again_is_not_tried_again(reason: Reason) -> None:
    assert decided(reason, tries=10).why == "another try would end the same"
    assert not decided(reason, tries=10).again


@pytest.mark.parametrize("reason", [Reason.INPUT_CORRUPT, Reason.INPUT_UNREADABLE])
def test_a_bad_input_is_read_twice_and_no_more(reason: Reason) -> None:
    made = attempts(reason, 10)
    assert len(made) == 2
    assert made[-1].why == "ended so 2 times"


def test_tries_burnt_for_other_reasons_count_too() -> None:
    burnt = [Reason.CHECK_FAILED, Reason.OUTPUT_MISSING]
    assert not decided(*burnt, Reason.PAYLOAD_FAILED, tries=3).again
    assert decided(*burnt, Reason.PAYLOAD_FAILED, tries=4).again
    assert decided(*burnt, Reason.LOST, tries=2).again, "the payload is not at fault this time"


def test_attempts_that_ended_so_are_counted_also_when_others_came_between() -> None:
    lost = [Reason.LOST, Reason.EVICTED] * 9 + [Reason.LOST]
    assert not decided(*lost).again
    assert decided(*lost[2:]).again


# Nodes at fault


def test_what_failed_by_a_nodes_fault_does_not_count() -> None:
    bad = [on(f"bad{number}", blamed=True) for number in range(5)]
    decision = decided(*bad, on("wn1"))
    assert (decision.again, decision.tries) == (True, 1)
    assert decided(*bad).tries == 0
    assert decided(on("wn1"), *bad[:1]).again


def test_what_no_second_try_could_mend_is_tried_again_if_the_node_was_at_fault() -> None:
    assert decided(on("bad", Reason.SOFTWARE_MISSING, blamed=True)).again
    assert not decided(on("good", Reason.SOFTWARE_MISSING)).again


def test_what_fails_alike_on_two_healthy_nodes_is_not_tried_further() -> None:
    decision = decided(on("wn1"), on("wn2"), tries=9)
    assert (decision.again, decision.why) == (False, "failed alike on 2 healthy nodes: it is not the node")


def test_nodes_of_one_name_at_two_sites_are_two() -> None:
    assert not decided(on("wn1"), on("wn1", site="Juelich"), tries=9).again


@pytest.mark.parametrize(
    "other",
    [on("wn1"), on("", site="SURF"), on("wn2", Reason.CHECK_FAILED), on("wn2", blamed=True)],
    ids=["the same node", "a node nobody knows", "another reason", "a node that was at fault"],
)
def test_only_another_healthy_node_and_the_same_reason_speak_against_the_job(other: Past) -> None:
    assert decided(other, on("wn1"), tries=9).again


def test_a_job_lost_on_many_nodes_that_were_all_at_fault_is_not_given_to_any_more() -> None:
    """It may be what brings them down."""
    bad = [on(f"bad{number}", Reason.LOST, blamed=True) for number in range(MOST_BLAMED)]
    assert decided(*bad[1:]).again
    assert decided(*bad) == Decision(False, 0, f"{MOST_BLAMED} nodes failed under it: it may be the job")


# When and where


def test_the_wait_doubles_up_to_the_longest() -> None:
    rules = {Reason.STORAGE_UNAVAILABLE: Rule(tries=9, burns=False, wait_s=30.0, longest_wait_s=200.0)}
    waits = [decided(*[Reason.STORAGE_UNAVAILABLE] * count, rules=rules).wait_s for count in range(1, 6)]
    assert waits == [30.0, 60.0, 120.0, 200.0, 200.0]
    assert [one.wait_s for one in attempts(Reason.PAYLOAD_FAILED, 3)] == [0.0, 0.0, 0.0]


def test_a_wait_that_doubled_for_ever_stays_at_the_longest() -> None:
    rules = {Reason.LOST: Rule(tries=5000, burns=False, wait_s=1.0)}
    assert decided(*[Reason.LOST] * 4000, rules=rules).wait_s == 3600.0


@pytest.mark.parametrize(
    ("reason", "where"),
    [(Reason.LOST, " on another node"), (Reason.HELD, " on another site"), (Reason.EVICTED, "")],
)
def test_the_history_tells_where_it_goes(reason: Reason, where: str) -> None:
    assert decided(reason).why == f"tried again{where}"


# Growth


@pytest.mark.parametrize(
    ("reason", "what", "why"),
    [
        (Reason.OUT_OF_MEMORY, "memory_mb", "tried again with {} MB of memory"),
        (Reason.OUT_OF_TIME, "walltime_min", "tried again with {} min of walltime"),
    ],
)
def test_a_job_that_asked_for_too_little_gets_at_least_twice_as_much(reason: Reason, what: str, why: str) -> None:
    decision = decided(reason)
    assert decision.demand
    more = getattr(decision.demand, what)
    assert more >= 2 * getattr(ASKED, what)
    assert decision.demand == replace(ASKED, **{what: more})
    assert (decision.again, decision.why) == (True, why.format(more))


def test_a_job_may_be_told_to_grow_its_scratch() -> None:
    rules = {Reason.SCRATCH_FULL: Rule(tries=5, burns=False, grow="scratch")}
    decision = decided(Reason.SCRATCH_FULL, rules=rules)
    assert (decision.demand, decision.why) == (replace(ASKED, scratch_mb=200), "tried again with 200 MB of scratch")


def test_what_was_seen_to_be_taken_is_granted_with_room_to_spare() -> None:
    last = Past(Reason.OUT_OF_MEMORY, "SURF", "wn1", peak_memory_mb=9000.0)
    assert grow("memory", last, ASKED, MOST) == replace(ASKED, memory_mb=13500)


@pytest.mark.parametrize(("reason", "times"), [(Reason.OUT_OF_MEMORY, 3), (Reason.OUT_OF_TIME, 2)])
def test_a_job_grows_and_then_it_has_failed_or_is_made_of_smaller_groups(reason: Reason, times: int) -> None:
    made = attempts(reason, 1)
    assert [one.again for one in made] == [True] * (times - 1) + [False]
    assert made[-1] == Decision(False, 0, f"ended so {times} times")
    split = decided(*[reason] * times, splittable=True)
    assert (split.again, split.split, split.why) == (False, True, "it has grown enough: smaller groups")


@pytest.mark.parametrize(
    ("reason", "word"), [(Reason.OUT_OF_MEMORY, "memory"), (Reason.OUT_OF_TIME, "walltime")]
)  # fmt: skip
@pytest.mark.parametrize("splittable", [False, True])
def test_growth_ends_at_what_sites_grant(reason: Reason, word: str, splittable: bool) -> None:
    nearly = replace(ASKED, memory_mb=40000, walltime_min=2000)
    decision = decided(reason, asked=nearly)
    assert decision.demand in (replace(nearly, memory_mb=64000), replace(nearly, walltime_min=2880))
    end = decided(reason, asked=MOST, splittable=splittable)
    assert end == Decision(False, 0, f"no site grants more {word}", split=splittable)


def test_a_payload_may_go_on_for_as_long_as_its_next_attempt_would_get() -> None:
    grown = decided(Reason.OUT_OF_TIME).demand
    assert grown
    assert overtime_min(ASKED, MOST) == grown.walltime_min - ASKED.walltime_min
    assert overtime_min(replace(ASKED, walltime_min=2000), MOST) == 880, "up to what the site grants"
    assert overtime_min(MOST, MOST) == 0


@pytest.mark.parametrize("rule", [Rule(), Rule(tries=1, grow="walltime"), Rule(tries=4, grow="memory")])
def test_there_is_no_overtime_where_the_next_attempt_would_get_no_more_time(rule: Rule) -> None:
    assert overtime_min(ASKED, MOST, {Reason.OUT_OF_TIME: rule}) == 0


def test_scratch_ends_growing_too() -> None:
    assert grow("scratch", Past(Reason.SCRATCH_FULL), MOST, MOST) is None


def test_what_grows_is_not_given_up_because_it_failed_alike_before_it_grew() -> None:
    rules = {Reason.PAYLOAD_CRASHED: Rule(tries=3, burns=False, grow="memory", nodes=2)}
    past = [on("wn1", Reason.PAYLOAD_CRASHED), on("wn2", Reason.PAYLOAD_CRASHED)]
    assert decided(*past, rules=rules).demand


@given(
    st.sampled_from(["memory", "walltime", "scratch"]), st.integers(1, 10**6), st.integers(1, 10**6),
    st.floats(0, 10**7),
)  # fmt: skip
def test_growth_gives_more_and_never_more_than_the_most(what: str, asked: int, most: int, peak: float) -> None:
    before = Demand(1, asked, asked, asked)
    grown = grow(what, Past(Reason.OUT_OF_MEMORY, peak_memory_mb=peak), before, Demand(1, most, most, most))  # type: ignore[arg-type]
    if grown is None:
        assert asked >= most
    else:
        values = {"memory": grown.memory_mb, "walltime": grown.walltime_min, "scratch": grown.scratch_mb}
        assert asked < values.pop(what) <= most
        assert set(values.values()) == {asked}, "and of nothing else"


# No end


PASTS = st.builds(
    Past, st.sampled_from(list(Reason)), st.sampled_from(["A", "B"]), st.sampled_from(["", "1", "2", "3"]),
    blamed=st.booleans(),
)  # fmt: skip


@given(st.sampled_from(list(Reason)), st.integers(1, 20), st.booleans(), st.booleans())
def test_no_reason_is_tried_for_ever(reason: Reason, tries: int, nodes: bool, blamed: bool) -> None:
    assert len(attempts(reason, tries, nodes, blamed)) <= max(tries, 50)


@given(st.lists(PASTS, min_size=1, max_size=12), st.integers(1, 5))
def test_no_mixture_of_reasons_is_tried_for_ever(some: Sequence[Past], tries: int) -> None:
    past = [one for one in some for _ in range(60)]
    for number in range(1, len(past) + 1):
        decision = decide(past[:number], tries, ASKED, MOST)
        burns = [one for one in past[:number] if not one.blamed and rule_of(one.reason).burns]
        assert decision.tries == len(burns)
        if not decision.again:
            return
    raise AssertionError("it is still tried")
