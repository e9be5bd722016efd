"""Pure: a pipeline and its subbands become jobs and their needs. Frequency decides groups, nothing else."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from lofargrid.errors import Fault, InputError
from lofargrid.frequency import CLOCKS_MHZ, AbsoluteSubband, group_of, subband_width_hz
from lofargrid.model import PlannedJob, Slot, Subband
from lofargrid.names import group_key, job_name, sap_key
from lofargrid.pipelines import Step
from lofargrid.states import Reason

Beam = tuple[str, str, int]
"""Role, observation and SAP."""


@dataclass(frozen=True)
class SplitStep:
    """A step as splitting sees it: ``content`` is a hash of all that its result depends on but its inputs."""

    name: str
    step: Step
    content: str
    size: int = 0


def digest(*parts: object) -> str:
    """A short hash of values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def beams(subbands: Iterable[Subband]) -> dict[Beam, list[Subband]]:
    """The subbands of each SAP, in the order of their numbers whatever order the list had."""
    found: dict[Beam, list[Subband]] = defaultdict(list)
    for subband in sorted(subbands, key=lambda one: (one.role, one.observation, one.sap, one.number)):
        found[subband.role, subband.observation, subband.sap].append(subband)
    return dict(found)


def split(steps: Sequence[SplitStep], subbands: Iterable[Subband]) -> list[PlannedJob]:
    """Make every job that can be made before frequencies are known.

    A grouped step stands in the ``expansion`` of the jobs that need it; `expand` makes its jobs.

    Raises
    ------
    InputError
        A step needs the merge of another role and it cannot be told which SAP's.
    """
    by_beam = beams(subbands)
    plan = _Plan(steps, by_beam)
    return [job for one in steps if not one.step.grouped for job in plan.jobs_of(one)]


def expand(
    steps: Sequence[SplitStep],
    name: str,
    members: Sequence[tuple[Subband, AbsoluteSubband]],
    subbands: Iterable[Subband],
    finer: Mapping[tuple[Beam, int], int] = MappingProxyType({}),
) -> list[PlannedJob]:
    """Make the jobs of one grouped step over one SAP, now that frequencies are known.

    Parameters
    ----------
    steps
        All active steps of the production.
    name
        The grouped step.
    members
        The subbands of one SAP whose place in the spectrum is known.
    subbands
        All subbands of the production.
    finer
        In how many parts groups are made that are too large whole, by SAP and number of the group.
    """
    plan = _Plan(steps, beams(subbands))
    one = plan.steps[name]
    groups: dict[tuple[int, int | None], list[tuple[AbsoluteSubband, Subband]]] = defaultdict(list)
    for subband, absolute in members:
        number = group_of(absolute, one.size)
        parts = finer.get(((subband.role, subband.observation, subband.sap), number))
        part = None if parts is None else absolute.abn % one.size * parts // one.size
        groups[number, part].append((absolute, subband))
    return [
        plan.group_job(one, number, part, sorted(group, key=lambda pair: (pair[0], pair[1].number)))
        for (number, part), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    ]


class _Plan:
    """The jobs of one production while they are worked out; signatures are remembered."""

    def __init__(self, steps: Sequence[SplitStep], by_beam: Mapping[Beam, list[Subband]]) -> None:
        self.steps = {one.name: one for one in steps}
        self.by_beam = by_beam
        self._depths = {one.name: depth for depth, one in enumerate(steps)}
        self._signatures: dict[tuple[str, Beam, str], str] = {}

    def jobs_of(self, one: SplitStep) -> Iterable[PlannedJob]:
        for beam, members in self.by_beam.items():
            if beam[0] != one.step.over:
                continue
            if one.step.split == "all":
                yield self._job(one, beam, sap_key(beam[1], beam[2]), members)
            else:
                for subband in members:
                    yield self._job(one, beam, subband.key, [subband])

    def group_job(
        self, one: SplitStep, number: int, part: int | None, group: Sequence[tuple[AbsoluteSubband, Subband]]
    ) -> PlannedJob:  # fmt: skip
        members = [subband for _, subband in group]
        first = members[0]
        beam = (first.role, first.observation, first.sap)
        job = self._job(one, beam, group_key(first.observation, first.sap, number, part), members)
        job = replace(job, group=number, slots=_slots(group))
        numbers = [absolute for absolute, _ in group]
        if len(set(numbers)) == len(numbers):
            return job
        twice = sorted({one.abn for one in numbers if numbers.count(one) > 1})
        detail = f"absolute subbands {', '.join(map(str, twice))} are there more than once"
        return replace(job, reason=Reason.FREQUENCY_CLASH, detail=detail)

    def _job(self, one: SplitStep, beam: Beam, key: str, members: Sequence[Subband]) -> PlannedJob:
        needs: list[str] = []
        expansion: list[str] = []
        for need in one.step.needs:
            maker = self.steps[need]
            if maker.step.grouped and one.step.split == "all":
                expansion.append(need)
            elif maker.step.grouped:
                needs.append(job_name(key, need))
            elif maker.step.split == "all":
                needs.append(job_name(sap_key(*self._beam_of(one, maker, beam)[1:]), need))
            else:
                needs += [job_name(subband.key, need) for subband in members]
        return PlannedJob(
            name=job_name(key, one.name),
            step=one.name,
            role=beam[0],
            sap=beam[2],
            key=key,
            signature=self._signature(one, beam, members),
            subbands=tuple(subband.key for subband in members),
            needs=tuple(needs),
            expansion=tuple(expansion),
            depth=self._depths[one.name],
            reason=members[0].reason if _uses_unusable(one, members) else None,
            detail=members[0].problem if _uses_unusable(one, members) else "",
        )

    def _beam_of(self, one: SplitStep, maker: SplitStep, beam: Beam) -> Beam:
        """The SAP whose merge a job uses: its own, or the same or the only one of another role."""
        if maker.step.over == one.step.over:
            return beam
        others = [other for other in self.by_beam if other[0] == maker.step.over]
        same = [other for other in others if other[2] == beam[2]]
        for candidates in (others, same):
            if len(candidates) == 1:
                return candidates[0]
        what = f"{one.name} of {sap_key(*beam[1:])} needs {maker.name}, and {maker.step.over} has {len(others)} SAPs"
        raise InputError(Fault(what, "List one SAP of it, or the same SAP numbers", field=f"inputs.{maker.step.over}"))

    def _signature(self, one: SplitStep, beam: Beam, members: Sequence[Subband]) -> str:
        label = members[0].key if len(members) == 1 else digest([subband.key for subband in members])
        known = self._signatures.get((one.name, beam, label))
        if known is None:
            known = digest(one.content, self._inputs(one, members), self._needs(one, beam, members))
            self._signatures[one.name, beam, label] = known
        return known

    def _inputs(self, one: SplitStep, members: Sequence[Subband]) -> list[object]:
        raw = any(not source.step for source in one.step.inputs.values())
        return [[subband.url, subband.size_bytes, subband.adler32] for subband in members if raw]

    def _needs(self, one: SplitStep, beam: Beam, members: Sequence[Subband]) -> list[str]:
        found = []
        for need in one.step.needs:
            maker = self.steps[need]
            other = self._beam_of(one, maker, beam) if maker.step.split == "all" else beam
            # A grouped step counts as one thing over its SAP: its groups follow from the same subbands.
            whole = self.by_beam[other] if maker.step.split == "all" or one.step.split == "all" else members
            if maker.step.split == "subband":
                found += [self._signature(maker, other, [subband]) for subband in whole]
            else:
                found.append(self._signature(maker, other, whole))
        return found


def _uses_unusable(one: SplitStep, members: Sequence[Subband]) -> bool:
    raw = any(not source.step for source in one.step.inputs.values())
    return raw and one.step.split == "subband" and members[0].reason is not None


def _slots(group: Sequence[tuple[AbsoluteSubband, Subband]]) -> tuple[Slot, ...]:
    """One slot an absolute subband from the first to the last that the list has."""
    keys = {absolute.number: subband.key for absolute, subband in group}
    clock = group[0][0].clock_mhz
    every = (AbsoluteSubband(clock, number) for number in range(min(keys), max(keys) + 1))
    return tuple(Slot(one.abn, one.frequency_hz, keys.get(one.number, "")) for one in every)


def places(subbands: Sequence[Subband], known: Mapping[str, AbsoluteSubband]) -> dict[str, AbsoluteSubband]:
    """The place in the spectrum of each subband of a SAP, also of some whose data never came.

    A subband without data is placed where all others of its SAP agree on one distance between subband number
    and place; else it stays out of every group, and products name it as lacking.
    """
    placed = _of_one_clock({subband.key: known[subband.key] for subband in subbands if subband.key in known})
    distances = {
        (placed[subband.key].clock_mhz, placed[subband.key].number - subband.number)
        for subband in subbands
        if subband.key in placed
    }
    if len(distances) == 1 and len(placed) > 1:
        clock, distance = distances.pop()
        for subband in subbands:
            placed.setdefault(subband.key, AbsoluteSubband(clock, subband.number + distance))
    return placed


def _of_one_clock(placed: dict[str, AbsoluteSubband]) -> dict[str, AbsoluteSubband]:
    """A SAP has one clock, but every fifth subband of 160 MHz lies on the grid of 200 MHz too and is taken for it."""
    if len({one.clock_mhz for one in placed.values()}) > 1:
        for clock in sorted(CLOCKS_MHZ):
            numbers = {key: one.frequency_hz / subband_width_hz(clock) for key, one in placed.items()}
            if all(number.is_integer() for number in numbers.values()):
                return {key: AbsoluteSubband(clock, int(number)) for key, number in numbers.items()}
    return placed
