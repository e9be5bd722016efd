"""A guard: what is in trouble stops its own stage of a tick only."""

from collections.abc import Callable

from lofargrid.engine.moving import Moves
from lofargrid.errors import BackendError, ExpiredError


class Guard:
    """Runs the stages of a tick, and remembers what keeps them from being done.

    ``troubles`` are all that were met since the tick began, ``troubled`` the first of each stage, without the number
    that the system gives an error. ``held`` says that something waits for a new proxy.

    Parameters
    ----------
    moves
        Counts moves; what was not written down is not counted.
    """

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self.troubles: list[str] = []
        self.troubled: dict[str, str] = {}
        self.held = False

    def begin(self) -> None:
        """Forget the last tick."""
        self._moves.count = 0
        self.troubles, self.troubled, self.held = [], {}, False

    def run(self, name: str, stage: Callable[[], None]) -> bool:
        """Run a stage, or a part of one; False if a service or a disk was in trouble. The next tick tries again."""
        before = self._moves.count
        try:
            stage()
        except (BackendError, OSError) as error:
            self._moves.count = before
            self.tell(name, error)
            return False
        return True

    def tell(self, name: str, error: BackendError | OSError) -> None:
        """Say what keeps a stage from being done."""
        if str(error) not in self.troubles:
            self.troubles.append(str(error))
        self.held = self.held or isinstance(error, ExpiredError)
        self.troubled.setdefault(name, _said(error))


def _said(error: BackendError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
