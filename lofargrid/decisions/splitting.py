"""Pure: a pipeline and its subbands become jobs and their needs. Frequency decides groups, nothing else."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from lofargrid.documents.pipelines import Step
from lofargrid.errors import Fault, InputError
from lofargrid.frequency import CLOCKS_MHZ, AbsoluteSubband, group_of, part_of, subband_width_hz
from lofargrid.model import PlannedJob, Slot, Subband
from lofargrid.names import group_key, job_name, sap_key
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

    @cached_property
    def over(self) -> str:
        """The role whose subbands it works on."""
        return self.step.over

    @cached_property
    def each(self) -> bool:
        """Whether it has a job for each subband."""
        return self.step.split == "subband"

    @cached_property
    def all(self) -> bool:
        """Whether it has one job for a whole SAP."""
        return self.step.split == "all"

    @cached_property
    def grouped(self) -> bool:
        """Whether it splits by frequency."""
        return self.step.grouped

    @cached_property
    def raw(self) -> bool:
        """Whether it takes raw subbands."""
        return any(not source.step for source in self.step.inputs.values())


class _Member(NamedTuple):
    """A listed subband. ``text`` is all of it that a result depends on."""

    key: str
    text: str
    subband: Subband


_Placed = tuple[int, int, int, _Member]
"""A subband that has its place: clock, absolute subband counted through all zones, and its number to settle a tie."""


def digest(*parts: object) -> str:
    """A short hash of values that JSON can hold."""
    return _short(json.dumps(parts, sort_keys=True, default=str))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def beams(subbands: Iterable[Subband]) -> dict[Beam, list[Subband]]:
    """The subbands of each SAP, in the order of their numbers whatever order the list had."""
    found: dict[Beam, list[Subband]] = defaultdict(list)
    for subband in sorted(subbands, key=lambda one: (one.role, one.observation, one.sap, one.number)):
        found[subband.role, subband.observation, subband.sap].append(subband)
    return dict(found)


class Splitting:
    """The jobs of one production while they are worked out; what is found once is remembered.

    Parameters
    ----------
    steps
        All active steps of the production.
    subbands
        All its subbands.
    """

    def __init__(self, steps: Sequence[SplitStep], subbands: Iterable[Subband]) -> None:
        self.beams = beams(subbands)
        self._steps = {one.name: one for one in steps}
        self._needs = {one.name: [self._steps[need] for need in one.step.needs] for one in steps}
        self._depths = {one.name: depth for depth, one in enumerate(steps)}
        self._members = {beam: [_member(one) for one in found] for beam, found in self.beams.items()}
        self._merges: dict[tuple[str, str, Beam], tuple[Beam, str]] = {}
        self._signatures: dict[tuple[str, str], str] = {}

    def jobs(self) -> list[PlannedJob]:
        """Make every job that can be made before frequencies are known.

        A grouped step stands in the ``expansion`` of the jobs that need it; `groups` makes its jobs.

        Raises
        ------
        InputError
            A step needs the merge of another role and it cannot be told which SAP's.
        """
        return [job for one in self._steps.values() if not one.grouped for job in self._jobs_of(one)]

    def _jobs_of(self, one: SplitStep) -> Iterator[PlannedJob]:
        for beam, members in self._members.items():
            if beam[0] != one.over:
                continue
            if one.all:
                yield self._job(one, beam, sap_key(beam[1], beam[2]), members)
            else:
                for member in members:
                    yield self._job(one, beam, member.key, [member])

    def places(self, beam: Beam, known: Mapping[str, AbsoluteSubband]) -> dict[str, AbsoluteSubband]:
        """The place in the spectrum of each subband of a SAP by key, also of some whose data never came.

        A subband without data is placed where all others of its SAP agree on one distance between subband number
        and place; else it stays out of every group, and products name it as lacking.
        """
        numbers = {member.key: member.subband.number for member in self._members[beam]}
        placed = _of_one_clock({key: known[key] for key in numbers if key in known})
        if 1 < len(placed) < len(numbers):
            distances = {(one.clock_mhz, one.number - numbers[key]) for key, one in placed.items()}
            if len(distances) == 1:
                clock, distance = distances.pop()
                for key, number in numbers.items():
                    placed.setdefault(key, AbsoluteSubband(clock, number + distance))
        return placed

    def groups(
        self,
        name: str,
        beam: Beam,
        placed: Mapping[str, AbsoluteSubband],
        finer: Mapping[tuple[Beam, int], int] = MappingProxyType({}),
    ) -> list[PlannedJob]:
        """Make the jobs of one grouped step over one SAP, now that frequencies are known.

        Parameters
        ----------
        name
            The grouped step.
        beam
            The SAP.
        placed
            The place in the spectrum of each of its subbands that has one, by key.
        finer
            In how many parts groups are made that are too large whole, by SAP and number of the group.
        """
        one = self._steps[name]
        found: dict[tuple[int, int | None], list[_Placed]] = defaultdict(list)
        for member in self._members[beam]:
            absolute = placed.get(member.key)
            if absolute is not None:
                number = group_of(absolute, one.size)
                parts = finer.get((beam, number)) if finer else None
                part = None if parts is None else part_of(absolute.abn, one.size, parts)
                found[number, part].append((absolute.clock_mhz, absolute.number, member.subband.number, member))
        return [
            self._group_job(one, beam, number, part, sorted(group))
            for (number, part), group in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0))
        ]

    def _group_job(
        self, one: SplitStep, beam: Beam, number: int, part: int | None, group: Sequence[_Placed]
    ) -> PlannedJob:  # fmt: skip
        members = [member for *_, member in group]
        key = group_key(beam[1], beam[2], number, part)
        job = self._job(one, beam, key, members, number, _slots(group))
        places = [(clock_mhz, place) for clock_mhz, place, *_ in group]
        if len(set(places)) == len(places):
            return job
        twice = sorted({AbsoluteSubband(*place).abn for place in places if places.count(place) > 1})
        detail = f"absolute subbands {', '.join(map(str, twice))} are there more than once"
        return replace(job, reason=Reason.FREQUENCY_CLASH, detail=detail)

    def _job(
        self, one: SplitStep, beam: Beam, key: str, members: Sequence[_Member], group: int | None = None,
        slots: tuple[Slot, ...] = (),
    ) -> PlannedJob:  # fmt: skip
        needs: list[str] = []
        expansion: list[str] = []
        for maker in self._needs[one.name]:
            if maker.grouped and one.all:
                expansion.append(maker.name)
            elif maker.grouped:
                needs.append(job_name(key, maker.name))
            elif maker.all:
                needs.append(job_name(self._merge(one, maker, beam)[1], maker.name))
            else:
                needs += [job_name(member.key, maker.name) for member in members]
        # A merge goes without what cannot be read; a job over it alone has nothing else.
        lost = members[0].subband if one.raw and one.each and members[0].subband.reason else None
        return PlannedJob(
            name=job_name(key, one.name),
            step=one.name,
            role=beam[0],
            sap=beam[2],
            key=key,
            signature=self._signature(one, beam, key, members),
            subbands=(key,) if one.each else tuple(member.key for member in members),
            needs=tuple(needs),
            expansion=tuple(expansion),
            group=group,
            depth=self._depths[one.name],
            slots=slots,
            reason=lost.reason if lost else None,
            detail=lost.problem if lost else "",
        )

    def _merge(self, one: SplitStep, maker: SplitStep, beam: Beam) -> tuple[Beam, str]:
        """The SAP whose merge a job uses, and its key: its own, or the same or the only one of another role."""
        found = self._merges.get((one.name, maker.name, beam))
        if found is None:
            other = beam if maker.over == one.over else self._beam_of(one, maker, beam)
            found = self._merges[one.name, maker.name, beam] = other, sap_key(other[1], other[2])
        return found

    def _beam_of(self, one: SplitStep, maker: SplitStep, beam: Beam) -> Beam:
        others = [other for other in self.beams if other[0] == maker.over]
        same = [other for other in others if other[2] == beam[2]]
        for candidates in (others, same):
            if len(candidates) == 1:
                return candidates[0]
        what = f"{one.name} of {sap_key(*beam[1:])} needs {maker.name}, and {maker.over} has {len(others)} SAPs"
        raise InputError(Fault(what, "List one SAP of it, or the same SAP numbers", field=f"inputs.{maker.over}"))

    def _signature(self, one: SplitStep, beam: Beam, key: str, members: Sequence[_Member]) -> str:
        known = self._signatures.get((one.name, key))
        if known is None:
            lines = [one.content]
            if one.raw:
                lines += [member.text for member in members]
            for maker in self._needs[one.name]:
                lines += self._made(one, maker, beam, key, members)
            known = self._signatures[one.name, key] = _short("\n".join(lines))
        return known

    def _made(
        self, one: SplitStep, maker: SplitStep, beam: Beam, key: str, members: Sequence[_Member]
    ) -> list[str]:  # fmt: skip
        """The signatures of what a job takes from one step that it needs."""
        # A grouped step counts as one thing over its SAP: its groups follow from the same subbands.
        if maker.all or one.all:
            beam, key = self._merge(one, maker, beam)
            members = self._members[beam]
        if maker.each:
            known = self._signatures
            return [
                known.get((maker.name, member.key)) or self._signature(maker, beam, member.key, [member])
                for member in members
            ]
        return [self._signature(maker, beam, key, members)]


def _member(subband: Subband) -> _Member:
    # No part of it holds a tab.
    return _Member(subband.key, f"{subband.url}\t{subband.size_bytes}\t{subband.adler32}", subband)


def _slots(group: Sequence[_Placed]) -> tuple[Slot, ...]:
    """One slot an absolute subband from the first to the last that the list has."""
    keys = {place: member.key for _, place, _, member in group}
    clock = group[0][0]
    return tuple(Slot(*_slot(clock, number), keys.get(number, "")) for number in range(min(keys), max(keys) + 1))


@lru_cache(maxsize=10_000)
def _slot(clock_mhz: int, number: int) -> tuple[int, float]:
    """Absolute subband number and centre in Hz; all observations of a campaign have the same few."""
    absolute = AbsoluteSubband(clock_mhz, number)
    return absolute.abn, absolute.frequency_hz


def _of_one_clock(placed: dict[str, AbsoluteSubband]) -> dict[str, AbsoluteSubband]:
    """A SAP has one clock, but every fifth subband of 160 MHz lies on the grid of 200 MHz too and is taken for it."""
    if len({one.clock_mhz for one in placed.values()}) > 1:
        for clock in sorted(CLOCKS_MHZ):
            numbers = {key: one.frequency_hz / subband_width_hz(clock) for key, one in placed.items()}
            if all(number.is_integer() for number in numbers.values()):
                return {key: AbsoluteSubband(clock, int(number)) for key, number in numbers.items()}
    return placed
