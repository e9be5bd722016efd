"""Splitting: every subband into exactly one group, decided by frequency and by nothing else."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.splitting import SplitStep, Splitting, beams, digest
from lofargrid.documents.inputs import inline_list, read_subbands
from lofargrid.frequency import CLOCKS_MHZ, AbsoluteSubband, absolute_subband, group_of
from lofargrid.model import PlannedJob, Subband
from lofargrid.states import Reason
from tests.unit.factories import (
    APPLY,
    AVERAGE,
    CALIBRATED,
    COLLECT,
    IMAGE,
    JOIN,
    SOLVE,
    at,
    faults_of,
    split_steps,
    subband,
)

STEPS = split_steps()
JOIN_ALL = {**JOIN, "split": "all"}


def split(steps: Sequence[SplitStep], subbands: Sequence[Subband]) -> list[PlannedJob]:
    return Splitting(steps, subbands).jobs()


def expand(
    steps: Sequence[SplitStep],
    name: str,
    members: Sequence[tuple[Subband, AbsoluteSubband]],
    subbands: Sequence[Subband],
) -> list[PlannedJob]:
    placed = {one.key: place for one, place in members}
    (beam,) = beams([one for one, _ in members])
    return Splitting(steps, subbands).groups(name, beam, placed)


def places(subbands: Sequence[Subband], known: dict[str, AbsoluteSubband]) -> dict[str, AbsoluteSubband]:
    splitting = Splitting([], subbands)
    (beam,) = splitting.beams
    return splitting.places(beam, known)


def groups(
    subbands: Sequence[Subband], first: int = 512, size: int = 10, steps: Sequence[SplitStep] = STEPS
) -> list[PlannedJob]:
    """The bands of one SAP whose subband numbers count on from ``first``."""
    members = [(one, at(first + one.number)) for one in subbands]
    return expand([replace(one, size=size) for one in steps], "join", members, subbands)


def by_name(jobs: Sequence[PlannedJob]) -> dict[str, PlannedJob]:
    return {job.name: job for job in jobs}


# The three ways to split


def test_a_step_for_each_subband_makes_a_job_for_each_in_order_of_their_numbers() -> None:
    jobs = split(split_steps({"average": AVERAGE}), [subband(7), subband(0), subband(2, sap=1)])
    assert [job.name for job in jobs] == [
        "L654321-SAP000-SB000-average",
        "L654321-SAP000-SB007-average",
        "L654321-SAP001-SB002-average",
    ]
    assert jobs[1].subbands == ("L654321-SAP000-SB007",)
    assert (jobs[1].needs, jobs[1].expansion, jobs[1].group) == ((), (), None)


def test_a_step_over_all_makes_one_job_for_each_sap() -> None:
    steps = split_steps({"average": AVERAGE, "join": JOIN_ALL})
    jobs = by_name(split(steps, [subband(1, sap=1), subband(1), subband(0)]))
    joined = jobs["L654321-SAP000-join"]
    assert joined.needs == ("L654321-SAP000-SB000-average", "L654321-SAP000-SB001-average")
    assert jobs["L654321-SAP001-join"].needs == ("L654321-SAP001-SB001-average",)
    assert (joined.key, joined.sap, joined.subbands) == ("L654321-SAP000", 0, tuple(need[:20] for need in joined.needs))


def test_a_grouped_step_makes_a_job_for_each_absolute_group() -> None:
    first, second = groups([subband(n) for n in (18, 9, 10, 8)])
    assert (first.name, first.group) == ("L654321-SAP000-G0052-join", 52)
    assert first.needs == ("L654321-SAP000-SB008-average", "L654321-SAP000-SB009-average")
    assert second.subbands == ("L654321-SAP000-SB010", "L654321-SAP000-SB018")
    assert (second.reason, second.detail) == (None, "")


def test_a_grouped_step_waits_for_frequencies_and_what_needs_it_says_so() -> None:
    jobs = split(STEPS, [subband(0), subband(1)])
    assert {job.step for job in jobs} == {"average", "image"}
    image = by_name(jobs)["L654321-SAP000-image"]
    assert (image.needs, image.expansion) == ((), ("join",))


def test_a_group_never_crosses_a_sap() -> None:
    subbands = [subband(n, sap=sap) for sap in (0, 1) for n in range(2)]
    made = [job for members in beams(subbands).values() for job in groups(members)]
    assert [job.subbands for job in made] == [tuple(f"L654321-SAP00{sap}-SB00{n}" for n in (0, 1)) for sap in (0, 1)]


def test_a_group_never_crosses_a_nyquist_zone() -> None:
    last, first = subband(0), subband(1)
    made = expand(STEPS, "join", [(last, at(1023)), (first, at(1024))], [last, first])
    assert [job.subbands for job in made] == [(last.key,), (first.key,)]
    assert [slot.abn for job in made for slot in job.slots] == [511, 0]


def test_a_later_step_over_the_same_groups_takes_each_its_own() -> None:
    polish = {**JOIN, "inputs": {"ms": {"from": "join.ms", "path": "in.MS"}}}
    steps = split_steps({"average": AVERAGE, "join": JOIN, "polish": polish})
    members = [(subband(n), at(512 + n)) for n in (0, 15)]
    made = expand(steps, "polish", members, [one for one, _ in members])
    assert [job.needs for job in made] == [("L654321-SAP000-G0052-join",), ("L654321-SAP000-G0053-join",)]


# Slots


def test_a_group_has_a_slot_for_each_absolute_subband_between_its_ends() -> None:
    (band,) = groups([subband(6), subband(3), subband(4)])
    assert [(slot.abn, slot.key[-5:]) for slot in band.slots] == [(3, "SB003"), (4, "SB004"), (5, ""), (6, "SB006")]
    assert [slot.frequency_hz for slot in band.slots] == [at(512 + n).frequency_hz for n in (3, 4, 5, 6)]


def test_two_subbands_of_one_frequency_are_a_clash_and_not_silently_joined() -> None:
    one, other, third = subband(0), subband(1), subband(2)
    (band,) = expand(STEPS, "join", [(one, at(700)), (other, at(700)), (third, at(701))], [one, other, third])
    assert band.reason is Reason.FREQUENCY_CLASH
    assert band.detail == "absolute subbands 188 are there more than once"


# Names of all forms


def test_both_name_forms_in_any_order_and_place_fall_into_the_same_groups() -> None:
    surf = "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops/projects/lc2_038/123456/"
    juelich = "srm://lofar-srm.fz-juelich.de:8443/srm/managerv2?SFN=/pnfs/fz-juelich.de/data/lofar/ops/"
    fifo = "https://lta-download.lofar.psnc.pl/lofigrid/SRMFifoGet.py?surl=srm://lta-head.lofar.psnc.pl:8443/lofar/ops/"
    lines = [
        f"{surf}L123456_SB100_uv.dppp.MS_3d78b8f1.tar",
        "",
        "# a comment",
        f"{fifo}L123456_SAP000_SB101_uv.MS_3d78b8f1.tar",
        f"{juelich}L123456_SAP000_SB000_uv.MS_3d78b8f1.tar",
        "/data/L123456_SB003_uv.MS",
    ]
    found = read_subbands("target", inline_list("list", lines), [Path("/")], many=False)
    backward = read_subbands("target", inline_list("list", lines[::-1]), [Path("/")], many=False)
    assert [job.subbands for job in groups(found)] == [
        ("L123456-SAP000-SB000", "L123456-SAP000-SB003"),
        ("L123456-SAP000-SB100", "L123456-SAP000-SB101"),
    ]
    assert [(job.name, job.signature) for job in groups(found)] == [
        (job.name, job.signature) for job in groups(backward)
    ]


# Nothing is lost, nothing doubled

Observation = tuple[list[Subband], dict[str, AbsoluteSubband], int]


def observation(chance: random.Random) -> Observation:
    """A list in random order, each subband's place in the spectrum, and a group size."""
    clock, size = chance.choice(CLOCKS_MHZ), chance.choice((1, 2, 3, 7, 10, 20, 512, 600))
    subbands, known = [], {}
    for sap in chance.sample(range(5), chance.randint(1, 3)):
        count = chance.randint(1, 5)
        # Anywhere in the three Nyquist zones; dense or with gaps; numbers in step with frequency or not.
        lowest, spread = chance.randrange(7, 1450), count + chance.choice((0, 1, 40))
        numbers = chance.sample(range(488), count)
        for number, place in zip(numbers, chance.sample(range(lowest, lowest + spread), count), strict=True):
            one = subband(number, sap=sap)
            subbands.append(one)
            known[one.key] = at(place, clock)
    chance.shuffle(subbands)
    return subbands, known, size


def all_groups(subbands: Sequence[Subband], known: dict[str, AbsoluteSubband], size: int) -> list[PlannedJob]:
    steps = [replace(one, size=size) for one in STEPS[:2]]
    return [
        job
        for members in beams(subbands).values()
        for job in expand(steps, "join", [(one, known[one.key]) for one in members], subbands)
    ]


def check(subbands: Sequence[Subband], known: dict[str, AbsoluteSubband], size: int, jobs: list[PlannedJob]) -> None:
    assert Counter(key for job in jobs for key in job.subbands) == Counter(one.key for one in subbands)
    assert len({job.name for job in jobs}) == len(jobs)
    where: dict[tuple[int, int, int], str] = {}
    for job in jobs:
        members = [known[key] for key in job.subbands]
        assert members == sorted(members)
        assert all(key.startswith(f"L654321-SAP{job.sap:03d}-") for key in job.subbands)
        assert len({(one.zone, one.abn // size) for one in members}) == 1
        assert where.setdefault((job.sap, members[0].zone, members[0].abn // size), job.name) == job.name
        assert tuple(slot.key for slot in job.slots if slot.key) == job.subbands
        assert [slot.abn for slot in job.slots] == list(range(members[0].abn, members[-1].abn + 1))
        assert job.needs == tuple(f"{key}-average" for key in job.subbands)
        assert job.reason is None


def test_ten_thousand_random_observations_lose_and_double_nothing_in_any_order() -> None:
    chance = random.Random(20240101)
    for number in range(10_000):
        subbands, known, size = observation(chance)
        jobs = all_groups(subbands, known, size)
        check(subbands, known, size, jobs)
        if number % 10 == 0:
            again = chance.sample(subbands, len(subbands))
            assert all_groups(again, known, size) == jobs


def test_a_full_observation_of_488_subbands_makes_the_groups_that_one_counts_by_hand() -> None:
    # 244 subbands a beam from ABN 51: group 5 lacks its first, so nine, 23 full ones, and five at the end.
    subbands = [subband(n, sap=sap) for sap in (0, 1) for n in range(244)]
    known = {one.key: at(512 + 51 + one.number) for one in subbands}
    jobs = all_groups(subbands, known, 10)
    assert [len(job.subbands) for job in jobs] == [9, *[10] * 23, 5] * 2
    check(subbands, known, 10, jobs)


# Needs and beams


def test_jobs_of_another_role_are_needed_from_its_only_beam() -> None:
    steps = split_steps(CALIBRATED)
    calibrator = [subband(n, role="calibrator", observation="L1000", sap=3) for n in range(2)]
    jobs = by_name(split(steps, [subband(0), subband(0, sap=1), *calibrator]))
    for sap in (0, 1):
        assert jobs[f"L654321-SAP00{sap}-SB000-average"].needs == ("L1000-SAP003-collect",)


def test_the_merge_of_the_same_role_is_that_of_the_same_beam() -> None:
    back = {**AVERAGE, "inputs": {**AVERAGE["inputs"], "all": {"from": "join.ms", "path": "all.MS"}}}
    steps = split_steps({"average": AVERAGE, "join": JOIN_ALL, "back": back})
    subbands = [subband(n, sap=sap) for sap in (0, 1) for n in range(2)]
    before = by_name(split(steps, subbands))
    assert before["L654321-SAP001-SB000-back"].needs == ("L654321-SAP001-join",)
    after = by_name(split(steps, [*subbands[:3], replace(subbands[3], adler32="00000001")]))
    names = {name for name in before if before[name].signature != after[name].signature}
    other = "L654321-SAP001"
    assert names == {f"{other}-SB001-average", f"{other}-join", f"{other}-SB000-back", f"{other}-SB001-back"}


def test_with_several_beams_the_one_of_the_same_number_is_taken() -> None:
    steps = split_steps({"solve": SOLVE, "collect": COLLECT, "average": APPLY})
    both = [subband(0, role=role, sap=sap) for role in ("calibrator", "target") for sap in (0, 1)]
    jobs = by_name(split(steps, [replace(one, observation=f"L{one.role[0]}") for one in both]))
    assert jobs["Lt-SAP001-SB000-average"].needs == ("Lc-SAP001-collect",)


def test_when_no_beam_fits_the_fault_says_which_are_there() -> None:
    steps = split_steps({"solve": SOLVE, "collect": COLLECT, "average": APPLY})
    subbands = [subband(0, sap=7), *(subband(0, role="calibrator", sap=sap) for sap in (0, 1))]
    (fault,) = faults_of(split, steps, subbands)
    assert fault.what == "average of L654321-SAP007 needs collect, and calibrator has 2 SAPs"
    assert (fault.field, fault.remedy) == ("inputs.calibrator", "List one SAP of it, or the same SAP numbers")


def test_what_cannot_be_read_fails_its_own_job_only() -> None:
    bad = subband(1, reason=Reason.INPUT_MISSING, problem="not there")
    jobs = by_name(split(split_steps({"average": AVERAGE, "join": JOIN_ALL}), [subband(0), bad]))
    assert (jobs[f"{bad.key}-average"].reason, jobs[f"{bad.key}-average"].detail) == (
        Reason.INPUT_MISSING,
        "not there",
    )
    assert [job.reason for job in jobs.values() if job.reason] == [Reason.INPUT_MISSING]


# Signatures


def signatures(subbands: Sequence[Subband], steps: Sequence[SplitStep] = STEPS) -> dict[str, str]:
    jobs = [*split(steps, subbands), *groups(subbands, steps=steps)]
    return {job.name.removeprefix("L654321-SAP000-"): job.signature for job in jobs}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_signature_does_not_depend_on_the_order_of_the_list() -> None:
    subbands = [subband(n) for n in range(12)]
    assert signatures(subbands) == signatures(subbands[::-1])


@pytest.mark.parametrize("change", [{"url": "file:///elsewhere"}, {"size_bytes": 5}, {"adler32": "00000001"}])
def test_another_input_changes_its_own_job_its_group_and_what_needs_that(change: dict[str, object]) -> None:
    subbands = [subband(n) for n in range(12)]
    other = [*subbands[:3], subband(3, **change), *subbands[4:]]
    assert changed(signatures(subbands), signatures(other)) == {"SB003-average", "G0052-join", "image"}


@pytest.mark.parametrize("change", [{"source": "other.surls", "line": 99}, {"reason": Reason.INPUT_MISSING}])
def test_where_a_subband_is_listed_changes_no_signature(change: dict[str, object]) -> None:
    subbands = [subband(n) for n in range(2)]
    assert signatures(subbands) == signatures([subbands[0], replace(subbands[1], **change)])


def test_one_subband_more_changes_its_group_and_what_needs_all() -> None:
    before, after = ([subband(n) for n in range(count)] for count in (11, 12))
    assert changed(signatures(before), signatures(after)) == {"SB011-average", "G0053-join", "image"}


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("average", {"SB000-average", "SB001-average", "G0052-join", "image"}),
        ("join", {"G0052-join", "image"}),
        ("image", {"image"}),
    ],
)
def test_another_content_of_a_step_changes_it_and_what_needs_it(step: str, names: set[str]) -> None:
    subbands = [subband(n) for n in range(2)]
    steps = [replace(one, content="new") if one.name == step else one for one in STEPS]
    assert changed(signatures(subbands), signatures(subbands, steps)) == names


def test_gains_of_the_calibrator_reach_the_signatures_of_the_target() -> None:
    steps = split_steps(CALIBRATED)
    subbands = [subband(0), *(subband(n, role="calibrator", sap=9) for n in range(2))]
    other = [*subbands[:2], replace(subbands[2], adler32="00000001")]
    before, after = (by_name(split(steps, given)) for given in (subbands, other))
    names = {name for name in before if before[name].signature != after[name].signature}
    assert names == {
        "L654321-SAP009-SB001-solve",
        "L654321-SAP009-collect",
        "L654321-SAP000-SB000-average",
        "L654321-SAP000-image",
    }


def test_the_name_of_a_job_alone_makes_no_signature() -> None:
    steps = split_steps({"average": AVERAGE, "again": AVERAGE})
    one, other = split([replace(step, content="same") for step in steps], [subband(0)])
    assert one.signature == other.signature


def test_a_digest_is_of_values_and_not_of_their_order_in_mappings() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


# Places


def test_a_subband_without_data_is_placed_where_all_others_agree() -> None:
    subbands = [subband(n) for n in range(4)]
    known = {one.key: at(600 + one.number) for one in subbands if one.number != 2}
    assert places(subbands, known)[subbands[2].key] == at(602)


@pytest.mark.parametrize(
    "known",
    [{0: 600}, {0: 600, 1: 602}, {}],
    ids=["one says nothing of a distance", "two disagree", "none is known"],
)
def test_a_subband_is_not_guessed_where_it_cannot_be_told(known: dict[int, int]) -> None:
    subbands = [subband(n) for n in range(3)]
    given = {subbands[n].key: at(place) for n, place in known.items()}
    assert places(subbands, given) == given


def test_places_of_other_saps_are_left_alone() -> None:
    subbands = [subband(n) for n in range(2)]
    assert places(subbands, {"L654321-SAP001-SB000": at(600)}) == {}


@pytest.mark.parametrize("clock_mhz", CLOCKS_MHZ)
@pytest.mark.parametrize("first", [300, 512, 601, 1100])
def test_frequencies_of_a_list_give_one_clock_to_a_whole_sap(clock_mhz: int, first: int) -> None:
    # Every fifth subband of 160 MHz has a frequency that is one of 200 MHz too.
    subbands = [subband(n) for n in range(12)]
    true = {one.key: at(first + one.number, clock_mhz) for one in subbands}
    read = {key: absolute_subband(place.frequency_hz) for key, place in true.items() if not key.endswith("SB003")}
    assert places(subbands, read) == true


def test_clocks_that_no_grid_reconciles_are_left_as_they_were_measured() -> None:
    subbands = [subband(0), subband(1)]
    known = {subbands[0].key: at(601, 200), subbands[1].key: at(601, 160)}
    assert places(subbands, known) == known


def test_a_sap_known_to_run_at_160_mhz_stays_there_even_where_both_grids_fit() -> None:
    subbands = [subband(0), subband(5)]
    known = {one.key: at(700 + one.number, 160) for one in subbands}
    assert places(subbands, known) == known
    taken_for_200 = {subbands[0].key: at(560, 200), subbands[1].key: at(705, 160)}
    assert places(subbands, taken_for_200) == known


def test_a_merge_may_take_raw_subbands() -> None:
    raw = {**IMAGE, "inputs": {"ms": {"from": "target", "path": "{key}.MS"}}}
    (image,) = split(split_steps({"image": raw}), [subband(0), subband(1)])
    assert (image.needs, len(image.subbands)) == ((), 2)


# Finer groups


@given(st.sets(st.integers(0, 119), min_size=1, max_size=40), st.integers(1, 60),
       st.dictionaries(st.integers(0, 119), st.integers(2, 70)))  # fmt: skip
def test_of_finer_groups_too_each_subband_is_in_exactly_one(
    numbers: set[int], size: int, finer: dict[int, int]
) -> None:
    subbands = [subband(number) for number in sorted(numbers)]
    beam = ("target", "L654321", 0)
    placed = {one.key: at(512 + one.number) for one in subbands}
    first = group_of(at(512), size)
    parts = {(beam, first + number // size): count for number, count in finer.items()}
    splitting = Splitting([replace(one, size=size) for one in STEPS], subbands)
    whole, jobs = splitting.groups("join", beam, placed), splitting.groups("join", beam, placed, parts)
    assert Counter(key for job in jobs for key in job.subbands) == Counter(one.key for one in subbands)
    assert len({job.name for job in jobs}) == len(jobs)
    assert [job.group for job in jobs] == sorted(job.group or 0 for job in jobs)
    for job in jobs:
        cut = (beam, job.group) in parts
        assert ("p" in job.key.rpartition("-G")[2]) == cut
        assert cut or job in whole, "other groups stay as they are"
        assert job.needs == tuple(f"{key}-average" for key in job.subbands)
        assert tuple(slot.key for slot in job.slots if slot.key) == job.subbands


def test_a_finer_group_is_another_job_with_another_signature_unless_it_holds_the_same() -> None:
    subbands = [subband(number) for number in range(10)]
    beam = ("target", "L654321", 0)
    placed = {one.key: at(512 + one.number) for one in subbands}
    splitting = Splitting([replace(one, size=10) for one in STEPS], subbands)
    (whole,) = splitting.groups("join", beam, placed)
    halves = splitting.groups("join", beam, placed, {(beam, whole.group or 0): 2})
    assert [job.name for job in halves] == ["L654321-SAP000-G0052p0-join", "L654321-SAP000-G0052p1-join"]
    assert len({whole.signature, *(job.signature for job in halves)}) == 3


def test_groups_of_another_beam_stay_whole() -> None:
    subbands = [subband(number, sap=1) for number in range(10)]
    beam = ("target", "L654321", 1)
    placed = {one.key: at(512 + one.number) for one in subbands}
    splitting = Splitting([replace(one, size=10) for one in STEPS], subbands)
    assert len(splitting.groups("join", beam, placed, {(("target", "L654321", 0), 52): 2})) == 1
