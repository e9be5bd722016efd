"""A storage that is reached by calling a tool."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from . import local
from .causes import cause_of
from .contract import Reason
from .expiry import judged
from .failure import Failure
from .process import Process, Program, dismiss, guard
from .remote import Client, Manner, Pace
from .streams import Facts
from .tools import Tool, adler32_in, names_in, size_in
from .watch import Bounds, execute

TAIL_BYTES = 4000
LEAST_BYTES_A_S = 1e6  # a slower upload is taken for one that hangs
ASK_S = 300.0
CALLS = 3
CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)


class Called(Client):
    """Speaks to a storage through a tool.

    Parameters
    ----------
    tool
        How it is called.
    environment
        The one that the batch system gave us: tools are the node's own.
    manner
        How long is waited, and what is heard meanwhile.
    """

    def __init__(self, tool: Tool, environment: Mapping[str, str], manner: Manner) -> None:
        self.resumes = tool.resumes
        self._tool = tool
        self._environment = environment
        self._manner = manner

    def open(self, url: str, span: str = "") -> Piped:
        """See `Client.open`."""
        return Piped(self._program(self._tool.read(url, span)), self._manner)

    def fetch(self, url: str, path: str, pace: Pace) -> None:
        """See `Client.fetch`."""

        def reached() -> int:
            size_bytes = local.size(path) or 0
            pace.at(size_bytes)
            return size_bytes

        with contextlib.closing(Working(self._program(self._tool.fetch(url, path)), self._manner)) as work:
            work.follow(reached, float("inf"))

    def put(self, path: str, url: str) -> None:
        """See `Client.put`."""
        self._call(self._tool.write(path, url), self._patience_s(os.stat(path).st_size))

    def facts(self, url: str) -> Facts | None:
        """See `Client.facts`."""
        try:
            return self._summed(url) or self._sized(url)
        except Failure as failure:
            if _is_missing(failure):
                return None
            raise

    def size(self, url: str) -> int | None:
        """See `Client.size`."""
        try:
            return self._sized(url).size_bytes
        except Failure as failure:
            if _is_missing(failure):
                return None
            raise

    def _summed(self, url: str) -> Facts | None:
        """Its checksum, which is enough: every further call makes itself known at the door once more."""
        try:
            said = self._call(self._tool.checksum(url), ASK_S)
        except Failure as failure:
            if failure.reason is Reason.STOPPED or _is_missing(failure):
                raise
            return None
        adler32 = adler32_in(said)
        return Facts(size_in(said), adler32) if adler32 else None

    def _sized(self, url: str) -> Facts:
        said = self._call(self._tool.stat(url), ASK_S)
        size_bytes = size_in(said)
        if size_bytes is None:
            raise Failure(Reason.STORAGE_UNAVAILABLE, f"{url}: its size was not told: {_last(said)}")
        return Facts(size_bytes)

    def remove(self, url: str) -> None:
        """See `Client.remove`."""
        try:
            self._call(self._tool.remove(url), ASK_S)
        except Failure as failure:
            if not _is_missing(failure):
                raise

    def rename(self, url: str, other: str) -> None:
        """See `Client.rename`."""
        self._call(self._tool.rename(url, other), ASK_S)

    def names(self, folder: str) -> list[str]:
        """See `Client.names`."""
        try:
            return names_in(self._call(self._tool.names(folder), ASK_S))
        except Failure as failure:
            if _is_missing(failure):
                return []
            raise

    def remove_folder(self, folder: str) -> None:
        """See `Client.remove_folder`."""
        if self._tool.remove_folder:
            with contextlib.suppress(Failure):
                self._call(self._tool.remove_folder(folder), ASK_S)

    def copies(self, url: str) -> bool:
        """See `Client.copies`."""
        return self._tool.copy is not None and url.partition(":")[0] in self._tool.schemes

    def copy(self, url: str, other: str) -> None:
        """See `Client.copy`."""
        assert self._tool.copy, "see `copies`"
        self._call(self._tool.copy(url, other), self._patience_s(self._sized(url).size_bytes or 0))

    def _patience_s(self, size_bytes: int) -> float:
        return self._manner.stall_s + size_bytes / LEAST_BYTES_A_S

    def _program(self, words: Sequence[str]) -> Program:
        path = shutil.which(words[0], path=self._environment.get("PATH", os.defpath))
        return Program(path or words[0], words, self._environment, "/")

    def _call(self, words: Sequence[str], limit_s: float) -> str:
        """Let a tool do its work, and tell what it printed. One that crashes is called again: its next run may not."""
        for calls_left in reversed(range(CALLS)):
            out, said = bytearray(), bytearray()
            bounds = Bounds(time.monotonic() + limit_s, float("inf"), 2.0, self._manner.keep)
            ending = execute(self._program(words), bounds, self._manner.stop, out.extend, said.extend)
            self._manner.stop.check()
            if ending.breach is not None:
                raise Failure(Reason.STORAGE_UNAVAILABLE, f"{words[0]} did not end within {limit_s:.0f} s")
            if ending.exit_code == 0:
                return out.decode(errors="replace")
            failure = _failed(words[0], bytes(said) or bytes(out), ending.exit_code, ending.signal, self._manner)
            if ending.signal not in CRASHES or not calls_left:
                break
            self._manner.log.line(f"{failure.detail}; it is called again")
        raise failure


class Working:
    """A tool at work. Closing it ends the tool. ``held`` is what it put on standard output."""

    def __init__(self, program: Program, manner: Manner) -> None:
        self._name = next((one for one in program.arguments if one.startswith("gfal-")), program.arguments[0])
        self._manner = manner
        self.held = bytearray()
        self._said = bytearray()
        self._watchman = guard(manner.keep)
        ear = self._watchman.ear if self._watchman else None
        self._process: Process | None = None
        try:
            self._process = Process(program, self.held.extend, self._said.extend, ear)
        except OSError:
            self.close()
            raise

    def follow(self, reached: Callable[[], int], enough: float) -> None:
        """Wait until it has ended, or has ``reached`` enough bytes.

        Raises
        ------
        Failure
            The tool ended badly, or nothing came for too long.
        """
        heard, size_bytes = time.monotonic(), reached()
        while size_bytes < enough and self._process:
            before = size_bytes
            # Who has closed both its outputs is about to end.
            self._process.pump(1.0 if self._process.open_outputs else 0.005, self._manner.stop.wake)
            self._manner.stop.drain()
            self._manner.stop.check()
            del self._said[:-TAIL_BYTES]
            size_bytes = reached()
            if size_bytes > before:
                heard = time.monotonic()
            if self._process.ended() and (size_bytes == before or not self._process.open_outputs):
                self._end()
            elif time.monotonic() > heard + self._manner.stall_s:
                what = f"{self._name}: nothing came for {self._manner.stall_s:g} s"
                raise Failure(Reason.STORAGE_UNAVAILABLE, f"{what}; {_last(self._words())}".rstrip("; "))

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process, "it ends once"
        process.sweep()
        self.close()
        if process.exit_code != 0:
            raise _failed(self._name, bytes(self._said), process.exit_code, process.signal, self._manner)

    def _words(self) -> str:
        return self._said.decode(errors="replace")

    def close(self) -> None:
        """End the tool if it has not."""
        process, self._process = self._process, None
        if process:
            process.sweep()
        watchman, self._watchman = self._watchman, None
        if watchman:
            dismiss(watchman)


class Piped:
    """What a tool puts on standard output, as a stream. Closing it ends the tool."""

    def __init__(self, program: Program, manner: Manner) -> None:
        self._work = Working(program, manner)

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes; fewer only at the end. See `Working.follow` for what it raises."""
        held = self._work.held
        self._work.follow(lambda: len(held), size)
        with memoryview(held) as view:
            data = bytes(view[:size])
        del held[:size]
        return data

    def close(self) -> None:
        """End the tool if it has not."""
        self._work.close()


def _is_missing(failure: Failure) -> bool:
    """Whether there is no such file: on the way out this is told in other words."""
    return failure.reason is Reason.INPUT_MISSING or cause_of("stage-in", failure.detail) is Reason.INPUT_MISSING


def _failed(name: str, said: bytes, exit_code: int | None, killed_by: int | None, manner: Manner) -> Failure:
    text = said[-TAIL_BYTES:].decode(errors="replace")
    how = f"exit code {exit_code}" if killed_by is None else f"signal {killed_by}"
    # One that crashes is taken for a link that breaks: what has come is summed, and it is tried again.
    reason = Reason.STORAGE_UNAVAILABLE if killed_by else judged(cause_of(manner.stage, text, exit_code), manner.proxy)
    return Failure(reason, f"{name}: {_last(text) or 'no word'} ({how})")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""
