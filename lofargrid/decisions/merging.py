"""Pure: may a job start, now that all it needs is final? And what will its result lack?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lofargrid.documents.pipelines import Step
from lofargrid.model import Job
from lofargrid.states import JobState, Reason

GROUP_MINIMUM = 0.5
"""The fraction of its subbands that a group must hold where its step names no ``minimum`` of its own."""


@dataclass(frozen=True)
class Need:
    """A job that another one needs, as it ended. ``lacks`` are subbands that its own result goes without."""

    job: Job
    lacks: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether its result is there."""
        return self.job.state is JobState.SUCCEEDED


@dataclass(frozen=True)
class Verdict:
    """Whether a job may start. ``reason`` and ``detail`` tell why not; ``lacks`` what it goes without."""

    reason: Reason | None = None
    detail: str = ""
    lacks: tuple[str, ...] = ()


def judge(
    job: Job,
    step: Step,
    needs: Sequence[Need],
    unusable: Mapping[str, str],
    minimum_subbands: float,
    gaps: str,
) -> Verdict:
    """Apply the merge rules.

    Parameters
    ----------
    job
        The job; its ``subbands`` are all that it could hold.
    step
        Its step.
    needs
        All jobs it needs, each final.
    unusable
        Listed subbands that cannot be read, with the cause; they count where the step reads raw subbands.
    minimum_subbands
        The fraction of a SAP's listed subbands that must be there. A group has a minimum of its own, or a few
        lost subbands would cost whole bands. The step's ``minimum`` goes before both.
    gaps
        ``fail`` refuses any lack in a merge.
    """
    broken = [need for need in needs if not need.usable]
    if not step.merges:
        return _one_need_failed(broken) if broken else Verdict()
    lacks = _lacks(job, step, needs, unusable)
    minimum = _minimum(step, minimum_subbands)
    own = [key for key in job.subbands if key in lacks]
    holes = [f"ABN {slot.abn}" for slot in job.slots if not slot.key]
    foreign = [need for need in broken if need.job.role != job.role]
    if foreign:
        return _one_need_failed(foreign)
    if gaps == "fail" and (own or holes):
        return Verdict(Reason.GAP, f"absent: {_some([*own, *holes])}", tuple(sorted(lacks)))
    there = len(job.subbands) - len(own)
    if there == 0 or there / len(job.subbands) < minimum:
        detail = f"{there} of {len(job.subbands)} subbands, {minimum:.0%} are asked for; lacking: {_some(own)}"
        return Verdict(Reason.TOO_FEW_INPUTS, detail, tuple(sorted(lacks)))
    return Verdict(lacks=tuple(sorted(lacks)))


def _minimum(step: Step, minimum_subbands: float) -> float:
    if step.minimum is not None:
        return step.minimum
    return GROUP_MINIMUM if step.grouped else minimum_subbands


def _one_need_failed(broken: Sequence[Need]) -> Verdict:
    first = broken[0].job
    why = f" ({first.reason})" if first.reason else ""
    return Verdict(Reason.NEED_FAILED, f"{first.name} {first.state}{why}")


def _lacks(job: Job, step: Step, needs: Sequence[Need], unusable: Collection[str]) -> set[str]:
    """Subbands of failed needs, those that needs lack, and those that no need holds at all."""
    lacks: set[str] = set()
    for need in needs:
        lacks |= set(need.lacks) if need.usable else set(need.job.subbands)
    same_role = [need for need in needs if need.job.role == job.role]
    raw = any(not source.step for source in step.inputs.values())
    if same_role or not raw:  # without a need there is nothing to merge: no group could be made
        held = {key for need in same_role for key in need.job.subbands}
        lacks |= set(job.subbands) - held
    if raw:
        lacks |= set(job.subbands) & set(unusable)
    return lacks


def _some(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
