"""What goes wrong on purpose, how often: rates as data, and the true causes by name."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The truth about a fault, which lofargrid is never told."""

    CALL_REFUSED = "call-refused"
    ANSWER_LOST = "answer-lost"
    CALL_DOUBLED = "call-doubled"
    CALL_CUT_SHORT = "call-cut-short"
    CALL_SLOW = "call-slow"
    SERVICE_DOWN = "service-down"
    TOLD_LATE = "told-late"
    TOLD_AGAIN = "told-again"
    REPORT_LOST = "report-lost"
    EVICTED = "evicted"
    RUNNER_KILLED = "runner-killed"
    PAYLOAD_CRASHED = "payload-crashed"
    HELD = "held"
    BLACK_HOLE = "black-hole"
    NODE_SCRATCH_FULL = "node-scratch-full"
    NODE_DEAD = "node-dead"
    NODE_CUT_OFF = "node-cut-off"
    BAD_FILE = "bad-file"
    STORAGE_DOWN = "storage-down"
    STORAGE_SLOW = "storage-slow"
    STORAGE_FULL = "storage-full"
    SOFTWARE_DOWN = "software-down"
    CREDENTIAL_EXPIRED = "credential-expired"
    CREDENTIAL_REFUSED = "credential-refused"
    HUNGRY_JOB = "hungry-job"
    LONG_JOB = "long-job"
    PAYLOAD_HANGS = "payload-hangs"
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_TIME = "out-of-time"
    NOT_ONLINE = "not-online"
    FILE_ABSENT = "file-absent"
    RECALL_FAILED = "recall-failed"
    RECALL_LIED = "recall-lied"
    RECALL_HANGS = "recall-hangs"
    RECALL_FORGOTTEN = "recall-forgotten"
    PIN_SHORT = "pin-short"
    TAPE_LOST = "tape-lost"
    CANCELLED = "cancelled"


class Flaw(StrEnum):
    """What is wrong with a bad input file; with a choking one only the payload finds out."""

    MISSING = "missing"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    CHOKING = "choking"
    CRASHING = "crashing"


@dataclass(frozen=True)
class Faults:
    """Rates of faults; zero everywhere is a grid that never fails.

    ``call_*`` are chances a call of any service; ``*_a_day`` how often it happens a day to one service or site, for
    ``trouble_s`` in the mean. ``told_*`` and ``report_lost`` are chances an observation. ``evicted`` to ``held``
    are chances an attempt (a payload that hangs uses no CPU any more), ``hungry_jobs`` and ``long_jobs`` shares of
    jobs that truly take up to twice what their step grants. ``black_holes`` to ``cut_off_nodes`` are shares of the
    nodes that become so once within ``horizon_s``, for ``repair_s`` in the mean, ``beyond_repair`` of them for
    ever. ``bad_files`` is the share of the placed files that are bad, ``recall_*``, ``pin_short`` and ``tape_lost``
    chances a file on tape; ``recall_forgotten`` is one each time that a request is asked for.

    ``lost_after_s`` is how long the batch system waits for a node it does not see; of those ``slow_to_tell`` take up
    to a day.
    """

    call_refused: float = 0.0
    answer_lost: float = 0.0
    call_doubled: float = 0.0
    call_cut_short: float = 0.0
    call_slow: float = 0.0
    call_slow_s: float = 30.0
    service_down_a_day: float = 0.0
    told_late: float = 0.0
    told_late_s: float = 1800.0
    told_again: float = 0.0
    shuffled: float = 0.0
    report_lost: float = 0.0
    evicted: float = 0.0
    runner_killed: float = 0.0
    payload_crashed: float = 0.0
    payload_hangs: float = 0.0
    held: float = 0.0
    hungry_jobs: float = 0.0
    long_jobs: float = 0.0
    black_holes: float = 0.0
    full_nodes: float = 0.0
    dying_nodes: float = 0.0
    cut_off_nodes: float = 0.0
    repair_s: float = 6 * 3600.0
    beyond_repair: float = 0.0
    lost_after_s: float = 1200.0
    slow_to_tell: float = 0.0
    bad_files: float = 0.0
    storage_down_a_day: float = 0.0
    storage_slow_a_day: float = 0.0
    storage_full_a_day: float = 0.0
    software_down_a_day: float = 0.0
    credential_expired_a_day: float = 0.0
    credential_refused_a_day: float = 0.0
    trouble_s: float = 1800.0
    recall_failed: float = 0.0
    recall_lied: float = 0.0
    recall_hangs: float = 0.0
    recall_forgotten: float = 0.0
    pin_short: float = 0.0
    tape_lost: float = 0.0
    horizon_s: float = 2 * 86400.0

    @classmethod
    def none(cls) -> "Faults":
        """Nothing goes wrong."""
        return cls()

    @classmethod
    def everything(cls, stream: random.Random) -> "Faults":
        """A nasty mix: each fault at most as often as below, some not at all."""
        drawn = {name: stream.uniform(0.0, most) if stream.random() < 0.75 else 0.0 for name, most in _NASTY.items()}
        return cls(
            **drawn,
            lost_after_s=stream.uniform(300.0, 3600.0),
            repair_s=stream.uniform(1800.0, 6 * 3600.0),
            trouble_s=stream.uniform(300.0, 3600.0),
            horizon_s=stream.choice([3, 8, 24]) * 3600.0,
        )


_NASTY = {
    "call_refused": 0.05,
    "answer_lost": 0.05,
    "call_doubled": 0.05,
    "call_cut_short": 0.1,
    "call_slow": 0.02,
    "service_down_a_day": 10.0,
    "told_late": 0.05,
    "told_again": 0.1,
    "shuffled": 0.3,
    "report_lost": 0.02,
    "evicted": 0.1,
    "runner_killed": 0.05,
    "payload_crashed": 0.05,
    "held": 0.03,
    "hungry_jobs": 0.05,
    "long_jobs": 0.05,
    "black_holes": 0.15,
    "full_nodes": 0.1,
    "dying_nodes": 0.2,
    "cut_off_nodes": 0.2,
    "beyond_repair": 0.3,
    "slow_to_tell": 0.2,
    "bad_files": 0.05,
    "storage_down_a_day": 8.0,
    "storage_slow_a_day": 5.0,
    "storage_full_a_day": 5.0,
    "software_down_a_day": 5.0,
    "credential_expired_a_day": 3.0,
    "credential_refused_a_day": 1.0,
    "recall_failed": 0.1,
    "recall_lied": 0.1,
    "recall_hangs": 0.05,
    "pin_short": 0.1,
    "tape_lost": 0.01,
    "recall_forgotten": 0.02,
}
