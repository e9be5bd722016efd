"""Which files are asked for next from tapes, and in which requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.window import Held, Wish, admit, requests

GB = 10**9


def wish(production_id: int, *names: str, size: int = 36 * GB, priority: int = 0) -> Wish:
    return Wish(production_id, dict.fromkeys(names, size), priority)


def asked(wishes: list[Wish]) -> list[list[str]]:
    return [sorted(one.files) for one in wishes]


def test_what_fits_beside_what_is_held_is_asked_for() -> None:
    held = [Held("a", 36 * GB, (1,))]
    wishes = [wish(1, "b"), wish(1, "c"), wish(1, "d")]
    assert asked(admit(wishes, held, 3 * 36 * GB, 100)) == [["b"], ["c"]]
    assert asked(admit(wishes, held, 1e15, 2)) == [["b"]]


def test_a_file_that_is_held_or_wished_for_twice_takes_its_space_once() -> None:
    wishes = [wish(1, "a", "b"), wish(2, "b", "c")]
    assert asked(admit(wishes, [Held("a", 36 * GB, (1, 2))], 3 * 36 * GB, 100)) == [["b"], ["c"]]


def test_productions_take_turns_by_the_bytes_they_hold() -> None:
    wishes = [wish(1, "a1"), wish(1, "a2"), wish(1, "a3"), wish(2, "b1"), wish(2, "b2"), wish(2, "b3")]
    assert asked(admit(wishes, [Held("a0", 36 * GB, (1,))], 5 * 36 * GB, 100)) == [["b1"], ["a1"], ["b2"], ["a2"]]


def test_a_higher_priority_goes_first() -> None:
    wishes = [wish(1, "a"), wish(2, "b1", priority=5), wish(2, "b2", priority=5)]
    assert asked(admit(wishes, [], 2 * 36 * GB, 100)) == [["b1"], ["b2"]]


def test_what_does_not_fit_is_waited_for_and_no_smaller_one_takes_its_turn() -> None:
    wishes = [wish(1, "large", size=50 * GB), wish(2, "small", size=GB)]
    assert admit(wishes, [Held("a", 60 * GB, (2,))], 100 * GB, 100) == []


def test_what_no_window_holds_is_alone_in_it() -> None:
    wishes = [wish(1, "huge", size=200 * GB), wish(2, "small", size=GB)]
    assert asked(admit(wishes, [], 100 * GB, 100)) == [["huge"]]
    assert admit(wishes, [Held("a", GB, (2,))], 100 * GB, 100) == []


def test_requests_are_of_no_more_files_and_bytes_than_may_be() -> None:
    wishes = [wish(1, *(f"{number}" for number in range(7)))]
    assert [len(one) for one in requests(wishes, 1e15, 3, alone=False)] == [3, 3, 1]
    assert [len(one) for one in requests(wishes, 75 * GB, 100, alone=False)] == [2, 2, 2, 1]


def test_where_only_whole_requests_are_released_each_job_has_its_own() -> None:
    wishes = [wish(1, "a", "b"), wish(1, "c")]
    assert [sorted(one) for one in requests(wishes, 1e15, 100, alone=False)] == [["a", "b", "c"]]
    assert [sorted(one) for one in requests(wishes, 1e15, 100, alone=True)] == [["a", "b"], ["c"]]


WISHES = st.lists(
    st.builds(
        Wish,
        st.integers(1, 4),
        st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 40), min_size=1, max_size=4),
        st.integers(0, 2),
    ),
    max_size=12,
)


@given(WISHES, st.integers(40, 120), st.integers(4, 8))
def test_a_window_is_never_exceeded_and_nothing_is_asked_for_twice(wishes: list[Wish], room: int, files: int) -> None:
    admitted = admit(wishes, [], room, files)
    urls = [url for one in admitted for url in one.files]
    assert len(urls) == len(set(urls)) <= files
    assert len(admitted) == 1 or sum(sum(one.files.values()) for one in admitted) <= room
    assert bool(admitted) == bool(wishes)
    assert [url for one in requests(admitted, room, files, alone=False) for url in one] == urls
