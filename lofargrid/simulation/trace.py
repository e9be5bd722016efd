"""What happened, a line an event, and its fingerprint."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import TextIO

Fact = str | int | float


class Trace:
    """Lines ``<virtual seconds> <noun> key=value ...``. Two runs of one seed write the same lines.

    Parameters
    ----------
    elapsed_s
        Gives the virtual time.
    keep
        Keep the lines in memory.
    stream
        Write the lines there.
    """

    def __init__(self, elapsed_s: Callable[[], float], keep: bool = False, stream: TextIO | None = None) -> None:
        self._elapsed_s = elapsed_s
        self._digest = hashlib.sha256()
        self._stream = stream
        self._keep = keep
        self._hidden: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.count = 0
        self.faults: Counter[str] = Counter()

    def hide(self, text: str) -> None:
        """Write ``T1``, ``T2`` ... in place of a text that is no part of the seed, such as a tracker's random id."""
        if text and all(text != known for known, _ in self._hidden):
            self._hidden.append((text, f"T{len(self._hidden) + 1}"))

    def note(self, noun: str, **facts: Fact) -> None:
        """Write a line."""
        words = [f"{self._elapsed_s():.3f} {noun}"]
        for key, value in facts.items():
            words.append(f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}")
        line = " ".join(words) + "\n"
        for text, name in self._hidden:
            line = line.replace(text, name)
        self._digest.update(line.encode())
        self.count += 1
        if self._keep:
            self.lines.append(line)
        if self._stream:
            self._stream.write(line)

    def fault(self, cause: str, **facts: Fact) -> None:
        """Write and count something that goes wrong on purpose. ``cause`` is the truth about it."""
        self.faults[str(cause)] += 1
        self.note("fault", cause=cause, **facts)

    @property
    def sha256(self) -> str:
        """The fingerprint of all lines."""
        return self._digest.hexdigest()
