"""What users of earlier pipelines complained of when subbands were missing; each test names its thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from lofargrid.decisions.merging import Need, Verdict, judge
from lofargrid.decisions.splitting import Splitting
from lofargrid.documents.pipelines import StepInput, read_pipeline
from lofargrid.model import PlannedJob, Source, Subband
from lofargrid.recipes.rendering import grid, slots
from lofargrid.states import JobState, Reason
from tests.unit.factories import CONTENT, SHIPPED, at, job, pipeline, split_steps, subband

FIRST = 512 + 50
STEPS = pipeline().steps
MS = StepInput(**{"from": "average.ms", "path": "in/{key}.MS"})


def listed(numbers: Collection[int]) -> list[Subband]:
    return [subband(number) for number in numbers]


def bands(subbands: Sequence[Subband], lost: Collection[int] = (), size: int = 10) -> list[PlannedJob]:
    """The groups of a SAP of which the subbands ``lost`` never told their frequency."""
    known = {one.key: at(FIRST + one.number) for one in subbands if one.number not in lost}
    splitting = Splitting(split_steps(size=size), subbands)
    (beam,) = splitting.beams
    return splitting.groups("join", beam, splitting.places(beam, known))


def verdict(band: PlannedJob, lost: Collection[int], gaps: str = "flag", minimum_subbands: float = 0.95) -> Verdict:
    """May this band be joined, when the jobs of the subbands ``lost`` failed?"""
    keys = {subband(number).key for number in lost}
    needs = [
        Need(job(key, "average", JobState.FAILED if key in keys else JobState.SUCCEEDED, [key]))
        for key in band.subbands
    ]
    one = job(band.key, subbands=band.subbands, slots=band.slots)
    return judge(one, STEPS["join"], needs, {}, minimum_subbands, gaps)


def joined(band: PlannedJob, lost: Collection[int] = ()) -> dict[str, object]:
    """The channels that the joined data of a band must have; each subband has four."""
    keys = {subband(number).key for number in lost}
    offsets = (-73_242.1875, -24_414.0625, 24_414.0625, 73_242.1875)
    sources = [
        Source(slot.key, "", measurements={"frequencies_hz": [slot.frequency_hz + offset for offset in offsets]})
        for slot in band.slots
        if slot.key and slot.key not in keys
    ]
    return grid(slots(band.slots, sources, MS, "flag"), sources)


# https://github.com/lofar-astron/prefactor/issues/13
# "Less than 10% of the data but evenly distributed along the bandwidth. This would imply to loose more than 60%."


def test_prefactor_13_few_lost_subbands_spread_over_the_band_cost_no_group() -> None:
    lost = set(range(4, 244, 13))
    made = bands(listed(range(244)), lost)
    assert 0.07 < len(lost) / 244 < 0.1
    assert sum(1 for band in made if verdict(band, lost).lacks) > 0.6 * len(made)
    assert [verdict(band, lost).reason for band in made] == [None] * 25
    lacking = [key for band in made for key in verdict(band, lost).lacks]
    assert lacking == [subband(number).key for number in sorted(lost)]


def test_prefactor_13_channels_stay_evenly_spaced_across_a_lost_subband() -> None:
    (band,) = bands(listed(range(10)), {4})
    channels = joined(band, {4})
    assert (channels["regular"], channels["channels"], channels["absent_channels"]) == (True, 40, 4)


# https://github.com/lofar-astron/prefactor/issues/90
# "If the first subband is missing then only 9 go into the concat step and it doesnt know whether to add a dummy
# on the start or end."


def test_prefactor_90_a_lost_first_subband_leaves_its_gap_at_the_start() -> None:
    (band,) = bands(listed(range(10)), {0})
    present = slots(band.slots, [Source(key, "") for key in band.subbands[1:]], MS, "flag")
    assert [slot["present"] for slot in present] == [False, *[True] * 9]
    assert present[0]["path"] == "absent/ABN050.MS"
    assert joined(band, {0}) == joined(band) | {"absent_channels": 4}


def test_prefactor_90_a_band_is_the_same_slice_of_the_sky_whichever_subbands_a_node_has() -> None:
    whole, part = bands(listed(range(30))), bands(listed(range(11, 20)))
    assert (part[0].name, part[0].group) == (whole[1].name, whole[1].group)
    assert set(part[0].slots) < set(whole[1].slots)


# https://github.com/lofar-astron/prefactor/issues/105
# "Not enough input subbands to create at least one full (frequency-)group!"


@pytest.mark.parametrize("count", [1, 4, 9])
def test_prefactor_105_fewer_subbands_than_a_group_holds_make_a_group_all_the_same(count: int) -> None:
    (band,) = bands(listed(range(count)))
    assert len(band.subbands) == count
    assert verdict(band, ()).reason is None


def test_prefactor_105_the_last_incomplete_group_is_not_cut_off() -> None:
    made = bands(listed(range(244)))
    assert len(made[-1].subbands) == 4
    assert sum(len(band.subbands) for band in made) == 244


# https://github.com/lofar-astron/prefactor/issues/119
# "A concat of 10 subbands contains just 5 and the others are missing. It seems that the aoflagger part of the
# concat step flags all the remaining data."


@pytest.mark.parametrize("name", SHIPPED)
def test_prefactor_119_no_shipped_pipeline_flags_after_joining(name: str) -> None:
    folder = CONTENT / "sandbox" / name
    grouped = [step for step in read_pipeline(folder).steps.values() if step.grouped]
    assert grouped
    for step in grouped:
        words = [*step.words(), *((folder / template).read_text() for template in step.files.values())]
        assert not [word for word in words if "aoflag" in word.lower()]


def test_prefactor_119_a_band_with_hardly_any_data_left_is_told_and_not_silently_flagged() -> None:
    (band,) = bands(listed(range(10)))
    assert verdict(band, range(5)).reason is None
    few = verdict(band, range(6))
    assert few.reason is Reason.TOO_FEW_INPUTS
    assert few.detail.startswith("4 of 10 subbands, 50% are asked for; lacking: L654321-SAP000-SB000, ")


# https://github.com/lofar-astron/factor/issues/106
# "If one of the groups is missed or discarded, creating a gap in the frequency coverage, factor fails."


def test_factor_106_a_whole_band_that_failed_fails_no_other_and_the_image_names_what_it_lacks() -> None:
    made = bands(listed(range(40)))
    lost = set(range(10, 20))
    assert [verdict(band, lost).reason for band in made] == [None, Reason.TOO_FEW_INPUTS, None, None]
    needs = [
        Need(job(band.key, "join", JobState.FAILED if band is made[1] else JobState.SUCCEEDED, band.subbands))
        for band in made
    ]
    every = [key for band in made for key in band.subbands]
    image = judge(job("L654321-SAP000", "image", subbands=every), STEPS["image"], needs, {}, 0.75, "flag")
    assert (image.reason, image.lacks) == (None, made[1].subbands)


def test_factor_106_bands_keep_their_numbers_when_one_is_absent() -> None:
    whole = {band.group: band.slots for band in bands(listed(range(40)))}
    rest = {band.group: band.slots for band in bands(listed([*range(10), *range(20, 40)]))}
    assert rest == {group: slots for group, slots in whole.items() if group != 58}


# https://github.com/lmorabit/lofar-vlbi/issues/66
# "If the gap is this big, then there is an entire missing file; the resultant file doesn't have equal frequency
# widths across the band."


def test_lofar_vlbi_66_no_band_spans_a_gap_that_is_wider_than_a_band() -> None:
    made = bands(listed([*range(13), *range(47, 60)]))
    assert [band.group for band in made] == [57, 58, 61, 62]
    assert all(len(band.slots) <= 10 and joined(band)["regular"] for band in made)


def test_lofar_vlbi_66_all_full_bands_are_equally_wide_even_with_a_lost_subband_in_each() -> None:
    lost = {0, 15, 29}
    made = bands(listed(range(30)), lost)
    assert [joined(band, lost)["channels"] for band in made] == [40, 40, 40]


# https://github.com/lofar-astron/prefactor/issues/279
# "When every other subband is systematically missing, the minimum spacing will be twice as big as expected."


def test_prefactor_279_every_other_subband_missing_doubles_no_width() -> None:
    (band,) = bands(listed(range(0, 10, 2)))
    assert [slot.frequency_hz for slot in band.slots] == [at(FIRST + number).frequency_hz for number in range(9)]
    assert (joined(band)["channels"], joined(band)["absent_channels"], joined(band)["regular"]) == (36, 16, True)


# https://github.com/lofar-astron/prefactor/issues/67
# "The concat step seems to fail if there are less than 10 subbands" - a group of 4 at the end of 244.


def test_prefactor_67_every_group_may_be_run_on_its_own() -> None:
    subbands = listed(range(244))
    whole = bands(subbands)
    for band in whole:
        alone = [one for one in subbands if one.key in band.subbands]
        assert [(one.name, one.slots, one.signature) for one in bands(alone)] == [
            (band.name, band.slots, band.signature)
        ]
