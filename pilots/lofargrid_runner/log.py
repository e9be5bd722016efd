"""``job.log``: readable while the job runs, and never larger than the disk can bear."""

from __future__ import annotations

import contextlib
import os
import time

HEAD_BYTES = 8 << 20
TAIL_BYTES = 8 << 20


class Log:
    """The runner's own lines and the payload's output, in one file, head and tail kept.

    The file grows to head + 2 x tail; then what lies between head and tail is cut out and a line says how
    much. A full disk costs lines, never the job.
    """

    def __init__(self, path: str, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._head = head_bytes
        self._tail = tail_bytes
        self._size = 0
        self._tail_starts = head_bytes
        self._cut = 0
        self._fresh_line = True

    def line(self, text: str) -> None:
        """Write one line of the runner itself, with the UTC time; it never glues to the payload's output."""
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        begin = "" if self._fresh_line else "\n"
        self.write(f"{begin}[{stamp}] {text}\n".encode("utf-8", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Append output of the payload."""
        if not data:
            return
        self._fresh_line = data.endswith(b"\n")
        # Nowhere left to say it: a full disk shows itself to the stages, which report it.
        with contextlib.suppress(OSError):
            self._append(data)
            if self._size > self._head + 2 * self._tail:
                self._squeeze()

    def close(self) -> None:
        """Cut the middle out once more if need be, and close."""
        with contextlib.suppress(OSError):
            if self._size > self._tail_starts + self._tail:
                self._squeeze()
        os.close(self._file)

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            self._size += written
            rest = rest[written:]

    def _squeeze(self) -> None:
        tail = os.pread(self._file, self._tail, self._size - self._tail)
        self._cut += self._size - self._tail_starts - len(tail)
        os.ftruncate(self._file, self._head)
        os.lseek(self._file, self._head, os.SEEK_SET)
        self._size = self._head
        kept = f"a log keeps its first {self._head} and last {self._tail} bytes"
        mark = f"\n[... {self._cut} bytes cut: {kept} ...]\n"
        self._append(mark.encode())
        self._tail_starts = self._size
        self._append(tail)
