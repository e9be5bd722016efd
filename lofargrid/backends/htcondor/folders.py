"""The folders of attempts on the submit host: what travels from there to the nodes, and what comes home."""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from lofargrid_runner.contract import (
    JOB_FILE,
    LOG_FILE,
    REPORT_FILE,
    InputFile,
    JobSpec,
    Report,
    report_from_json,
    to_json,
)

from lofargrid.backends.base import NO_REPORT, Observation
from lofargrid.errors import BackendError
from lofargrid.names import is_here, path_of
from lofargrid.states import Phase

OUT = "out"
TOKEN = "token"
WORDS = "runner.log"
SHARED = "../../shared"
"""Seen from the folder of an attempt."""
_TAIL_BYTES = 500


class Folders:
    """A folder for each attempt, below ``active/`` until its end was told, then below ``ended/``.

    HTCondor reads and writes there. Names that it is given are ours alone: inputs and the sandbox are links beside the
    job, whatever they are called elsewhere, and the folder ``out`` is a link to where outputs are wanted.

    Parameters
    ----------
    root
        Holds them.
    runner
        The runner's zipapp.
    """

    def __init__(self, root: Path, runner: Path) -> None:
        self.active = root / "active"
        self.ended = root / "ended"
        self.log = root / "events.log"
        self._items = root / "items"
        self._shared = root / "shared"
        try:
            for folder in (self.active, self.ended, self._shared):
                folder.mkdir(parents=True, exist_ok=True)
            self.log.touch()
            _link(self._shared / "runner.pyz", runner)
        except OSError as error:
            raise BackendError(f"cannot make {error.filename or root}: {error.strerror}") from None

    def make(self, attempt: str) -> bool:
        """Make the folder of an attempt.

        Returns
        -------
        new
            Whether it was not there: one that was may have been handed over by somebody who died.

        Raises
        ------
        BackendError
            The disk does not take it.
        """
        folder = self.active / attempt
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except OSError as error:
            raise BackendError(f"cannot write {folder}: {error.strerror}") from None
        return True

    def is_there(self, attempt: str) -> bool:
        """Whether an attempt was written down, and has not ended."""
        return (self.active / attempt / JOB_FILE).exists()

    def has_ended(self, attempt: str) -> bool:
        """Whether an attempt's end was told."""
        return (self.ended / attempt).exists()

    def write(self, spec: JobSpec) -> tuple[list[str], list[str]]:
        """Write down an attempt in its folder.

        Returns
        -------
        carried, brought
            What is to travel to the node besides the runner and the job, and home from it besides report and log;
            names relative to the attempt's folder.

        Raises
        ------
        BackendError
            The disk does not take it.
        """
        folder = self.active / spec.attempt
        try:
            sandbox = self._link_sandbox(spec)
            inputs = [self._link_input(folder, number, one) for number, one in enumerate(spec.inputs)]
            carried_home = bool(spec.outputs) and is_here(spec.destination)
            if carried_home:
                home = Path(path_of(spec.destination))
                home.mkdir(parents=True, exist_ok=True)
                _link(folder / OUT, home)
            if spec.token:
                _link(folder / TOKEN, Path(spec.token))
            travelling = spec._replace(
                inputs=tuple(inputs), sandbox=Path(sandbox).name, carry=OUT if carried_home else "",
                token=TOKEN if spec.token else "",
            )  # fmt: skip
            # HTCondor has not heard of it yet: what a crash leaves half-written is written again.
            with (folder / JOB_FILE).open("w", encoding="utf-8") as file:
                file.write(to_json(travelling, indent=None))
        except OSError as error:
            raise BackendError(f"cannot write {error.filename or folder}: {error.strerror}") from None
        carried = [name for one in inputs for name in (one.carried, one.token) if name]
        if spec.token:
            carried.append(TOKEN)
        if sandbox:
            carried.append(sandbox)
        return carried, [OUT] if carried_home else []

    def _link_sandbox(self, spec: JobSpec) -> str:
        """Link the folder that holds the sandbox, and name the sandbox in it: a link to a folder does not travel."""
        if not spec.sandbox:
            return ""
        folder = Path(spec.sandbox).parent
        name = f"sandboxes-{hashlib.sha256(bytes(folder)).hexdigest()[:16]}"
        _link(self._shared / name, folder)
        return f"{SHARED}/{name}/{Path(spec.sandbox).name}"

    def _link_input(self, folder: Path, number: int, one: InputFile) -> InputFile:
        """An input as the node finds it. One that is not there is left to the runner to miss: it says so best."""
        if one.token:
            _link(folder / f"token{number}", Path(one.token))
            return one._replace(token=f"token{number}")
        if not is_here(one.url) or not Path(path_of(one.url)).is_file():
            return one
        name = f"in{number}"
        _link(folder / name, Path(path_of(one.url)))
        return one._replace(carried=name)

    def enlist(self, items: Sequence[str]) -> Path:
        """Write down the list that a submit description queues from. The next one takes its place.

        Raises
        ------
        BackendError
            The disk does not take it.
        """
        try:
            self._items.write_text("".join(f"{one}\n" for one in items))
        except OSError as error:
            raise BackendError(f"cannot write {self._items}: {error.strerror}") from None
        return self._items

    def outcome(self, attempt: str, spool: Path | None = None, detail: str = "") -> Observation:
        """Tell how an attempt ended, by what it left.

        Parameters
        ----------
        attempt
            The attempt.
        spool
            Where HTCondor has put what came from one that was removed.
        detail
            What to tell where there is no report.
        """
        folder = self.active / attempt
        if spool is not None:
            for name in (REPORT_FILE, LOG_FILE):
                if (spool / name).exists():
                    shutil.copyfile(spool / name, folder / name)
        try:
            text = (folder / REPORT_FILE).read_text()
        except OSError:
            text = ""
        if not text:
            return Observation(attempt, Phase.LOST, detail=detail or f"{NO_REPORT}{self._last_words(folder)}")
        try:
            report = report_from_json(text)
        except ValueError as error:
            return Observation(attempt, Phase.LOST, detail=f"its report cannot be read: {error}")
        missing = _missing(report)
        if missing:
            return Observation(attempt, Phase.LOST, detail=f"it succeeded, but {missing} did not come home")
        return Observation(attempt, Phase.ENDED, report, text)

    def _last_words(self, folder: Path) -> str:
        """What an attempt without a report said last."""
        try:
            with (folder / WORDS).open("rb") as stream:
                stream.seek(max(stream.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
                words = stream.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(words) if line.strip()), "")
        return f": {re.sub('[^ -~]', '?', last)}" if last else ""

    def put_away(self, attempt: str) -> None:
        """Let an attempt be over: its end was told.

        Raises
        ------
        BackendError
            The disk does not let it.
        """
        try:
            (self.active / attempt).rename(self.ended / attempt)
        except FileNotFoundError:
            return
        except OSError as error:
            raise BackendError(f"cannot put away {self.active / attempt}: {error.strerror}") from None

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """Copy log, report and words of an attempt, as far as they came home."""
        found = []
        for root in (self.active, self.ended):
            for name in (LOG_FILE, REPORT_FILE, WORDS):
                source = root / attempt / name
                if source.exists() and source.stat().st_size:
                    found.append(Path(shutil.copyfile(source, into / name)))
        return found


def _missing(report: Report) -> str:
    """The first output of a report that did not come home with the size that it should have."""
    for one in (one for one in report.outputs if is_here(one.url)):
        try:
            if Path(path_of(one.url)).stat().st_size != one.size_bytes:
                return one.filename
        except OSError:
            return one.filename
    return ""


def _link(link: Path, target: Path) -> None:
    """Make a link, or turn it to another target, at once."""
    try:
        link.symlink_to(target.absolute())
    except FileExistsError:
        if link.readlink() != target.absolute():
            part = link.with_name(f"{link.name}.{os.getpid()}.part")
            part.unlink(missing_ok=True)
            part.symlink_to(target.absolute())
            part.replace(link)
