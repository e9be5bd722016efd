"""The states of a job and its one table of moves; what a backend says; why things are as they are."""

from enum import StrEnum

from lofargrid_runner.contract import Reason

__all__ = ["FINAL", "MOVES", "UNFINISHED", "JobState", "Phase", "Reason", "explanation"]


class JobState(StrEnum):
    """Where a job is. An attempt that fails with tries left puts its job back to ``WAITING``."""

    WAITING = "waiting"
    RECALLING = "recalling"
    READY = "ready"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = JobState
MOVES: dict[JobState, frozenset[JobState]] = {
    _S.WAITING: frozenset({_S.RECALLING, _S.READY, _S.FAILED, _S.CANCELLED}),
    _S.RECALLING: frozenset({_S.READY, _S.WAITING, _S.FAILED, _S.CANCELLED}),
    _S.READY: frozenset({_S.SUBMITTED, _S.WAITING, _S.FAILED, _S.CANCELLED}),
    _S.SUBMITTED: frozenset({_S.RUNNING, _S.SUCCEEDED, _S.WAITING, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.WAITING, _S.FAILED, _S.CANCELLED}),
    # Only the operator's `retry` takes these two.
    _S.FAILED: frozenset({_S.WAITING}),
    _S.CANCELLED: frozenset({_S.WAITING}),
    # A succeeded job never moves: a later generation supersedes it.
    _S.SUCCEEDED: frozenset(),
}
FINAL = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED})
UNFINISHED = frozenset(_S) - FINAL


class Phase(StrEnum):
    """What a backend says of an attempt, in its few common words."""

    INTENDED = "intended"
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    HELD = "held"
    LOST = "lost"


_EXPLANATIONS: dict[Reason, tuple[str, str]] = {
    Reason.NODE_UNFIT: ("the node is not fit for this job", "free what it lacks, or run it elsewhere"),
    Reason.SCRATCH_FULL: (
        "the scratch disk ran full",
        "free space there or name a larger one with LOFARGRID_SCRATCH, then `retry`",
    ),
    Reason.INPUT_MISSING: (
        "an input file is not there",
        "bring it back or correct the list, then `retry`, or `run --replan` for a changed list",
    ),
    Reason.INPUT_UNREADABLE: ("an input file cannot be read", "make it readable for this user, then `retry`"),
    Reason.INPUT_CORRUPT: (
        "an input file is not what its checksum or size says",
        "copy it again from its source, then `retry`",
    ),
    Reason.INPUT_TRUNCATED: ("an input tar ends early", "copy it again from its source, then `retry`"),
    Reason.INPUT_UNSAFE: (
        "an input tar holds names that lead out of its folder",
        "do not use it; ask the archive for a sound copy",
    ),
    Reason.INPUT_WRONG_KIND: (
        "an input is not the kind of data the step needs",
        "list only tars of one MeasurementSet each",
    ),
    Reason.INPUT_NEARLINE: ("an input file is on tape only", "nothing to do: it is recalled and tried again"),
    Reason.STORAGE_UNAVAILABLE: (
        "a storage or the network to it did not answer",
        "nothing to do: it is tried again by itself; if it lasts, ask the storage's site",
    ),
    Reason.STORAGE_FULL: ("a storage has no space left", "free space there or ask for more, then `retry`"),
    Reason.CREDENTIAL_EXPIRED: ("the proxy or the token has expired", "make a new one, then `retry`"),
    Reason.CREDENTIAL_REFUSED: (
        "the storage refused this user",
        "ask for the right to read or write there, then `retry`",
    ),
    Reason.SOFTWARE_UNREACHABLE: (
        "the software could not be reached on the node",
        "nothing to do: it is tried again on another node",
    ),
    Reason.SOFTWARE_MISSING: (
        "a program the step needs is not installed",
        "run `doctor`: it names the command that brings it; then `retry`",
    ),
    Reason.PAYLOAD_FAILED: (
        "the payload ended with an error",
        "read `logs`; mend the cause, then `retry`, or `run --replan` if a file of the production changed",
    ),
    Reason.PAYLOAD_KILLED: (
        "something else killed the payload",
        "`retry`; if it comes back, look at the node",
    ),
    Reason.PAYLOAD_CRASHED: (
        "the payload crashed",
        "read `logs`; if it comes back with this input, report it to the makers of the tool",
    ),
    Reason.OUT_OF_MEMORY: (
        "the payload took more memory than the step allows",
        "raise resources.memory_mb of the step, then `run --replan`",
    ),
    Reason.OUT_OF_TIME: (
        "the payload took longer than the step allows",
        "raise resources.walltime_min of the step, then `run --replan`",
    ),
    Reason.CHECK_FAILED: (
        "the result is not what it should be, though the tools said success",
        "look at the input data and `logs`, then `retry`",
    ),
    Reason.CHECK_BROKEN: (
        "a check of the step could not be made",
        "read `logs`; is the software complete? `doctor`",
    ),
    Reason.OUTPUT_MISSING: (
        "the payload did not leave an output it should",
        "read `logs` for what it did instead",
    ),
    Reason.STAGE_OUT_FAILED: (
        "the outputs could not be stored",
        "see that the output and scratch folders are there, writable and not full, then `retry`",
    ),
    Reason.STOPPED: ("the runner was told to stop", "nothing to do: it is tried again by itself"),
    Reason.EVICTED: ("the batch system took the node away", "nothing to do: it is tried again by itself"),
    Reason.HELD: ("the batch system holds the job", "read the detail; mend it, then `retry`"),
    Reason.NOT_STARTED: ("no node took it for long", "nothing to do: it is tried elsewhere"),
    Reason.RUNNER_ERROR: ("the runner itself failed", "please report it with the job's log"),
    Reason.LOST: ("the attempt vanished without a report", "nothing to do: it is tried again by itself"),
    Reason.SUBMIT_FAILED: ("the job could not be handed over", "read the detail; then `retry`"),
    Reason.NEED_FAILED: (
        "a job that it needs did not succeed",
        "mend that job first: `why` it, then `retry` it",
    ),
    Reason.TOO_FEW_INPUTS: (
        "too few of the jobs it merges succeeded",
        "mend and `retry` those that failed, or lower policy.minimum_subbands and `run --replan`",
    ),
    Reason.GAP: (
        "a subband is absent and the policy is gaps: fail",
        "bring the subband, or set policy.gaps to flag or skip and `run --replan`",
    ),
    Reason.FREQUENCY_UNKNOWN: (
        "the frequency of a subband is not known, so it has no group",
        "add a column frequency_mhz= to its line in the list, then `run --replan`",
    ),
    Reason.FREQUENCY_CLASH: (
        "two subbands of one beam have the same frequency",
        "add a column sap= to the list if they are two beams, or remove one; then `run --replan`",
    ),
    Reason.CANCELLED: ("the operator cancelled it", "`retry` brings it back"),
}


def explanation(reason: Reason) -> tuple[str, str]:
    """Tell what a reason means and what a reader can do about it, a phrase each."""
    return _EXPLANATIONS[reason]
