"""What can go wrong, as data. The message says what happened, to what, and what the reader can do."""

from dataclasses import dataclass


class LofarGridError(Exception):
    """The root of all errors that lofargrid raises on purpose.

    ``exit_code`` is what the command line ends with; ``transient`` says that the same call may succeed later.
    """

    exit_code = 1
    transient = False


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in what the user wrote, where it stands, and what would be right."""

    what: str
    remedy: str = ""
    file: str = ""
    line: int | None = None
    field: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [part for part in (place, self.field, self.what) if part]
        return ": ".join(parts) + (f". {self.remedy}" if self.remedy else "")


class InputError(LofarGridError):
    """What the user gave is wrong. Nothing was changed. All faults are told at once, a line each."""

    exit_code = 2

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class TrackerError(InputError):
    """The tracker cannot be opened or used where it is."""


class BackendError(LofarGridError):
    """A backend or a storage did not do what it was asked; nothing is known to have changed."""

    transient = True


class ExpiredError(BackendError):
    """The user's credential has ended, or would before what is to be done: what needs it waits for a new one."""


class UncertainError(BackendError):
    """A call whose answer got lost: it may have been carried out all the same."""


class IllegalMoveError(LofarGridError):
    """A job was asked to make a move that states.py does not list: a bug in lofargrid."""
