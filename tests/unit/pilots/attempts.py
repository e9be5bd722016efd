"""One attempt in a temporary folder: described by what differs, run in this process or as the zipapp."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lofargrid_runner import cli
from lofargrid_runner.contract import (
    LOG_FILE,
    REPORT_FILE,
    Check,
    Expectation,
    InputFile,
    JobSpec,
    Limits,
    Report,
    report_from_json,
    to_json,
)

PYTHON = sys.executable


@dataclass
class Attempt:
    """An attempt directory with its job, its destination and its runs."""

    base: Path
    zipapp: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"], "USER": "someone"})

    def __post_init__(self) -> None:
        for name in ("attempt", "sandbox", "data"):
            (self.base / name).mkdir()
        self.spec = JobSpec(
            attempt="t1-7",
            job="L1-SB000",
            production="field",
            step="calibrate",
            owner="vo member",
            contact="vo@example.org",
            site="here",
            sandbox=str(self.base / "sandbox"),
            commands=(("true",),),
            limits=Limits(walltime_s=60, memory_mb=4000),
            destination=(self.base / "out dir").as_uri(),
        )

    @property
    def folder(self) -> Path:
        return self.base / "attempt"

    @property
    def out(self) -> Path:
        return self.base / "out dir"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def log(self) -> str:
        return (self.folder / LOG_FILE).read_text()

    @property
    def stored(self) -> list[str]:
        return sorted(os.listdir(self.out)) if self.out.is_dir() else []

    @property
    def report(self) -> Report:
        return report_from_json((self.folder / REPORT_FILE).read_text())

    def write(self, **changes: Any) -> Path:
        self.spec = self.spec._replace(**changes)
        path = self.folder / "job.json"
        path.write_text(to_json(self.spec))
        return path

    def run(self, *options: str, **changes: Any) -> Report:
        """Run in this process."""
        code = cli.main(["run", str(self.write(**changes)), *options], self.environment)
        assert code == (0 if self.report.succeeded else 1)
        assert not self.work.exists() or "LOFARGRID_KEEP_WORK" in self.environment
        return self.report

    def start(self, *options: str, python: str = PYTHON, **changes: Any) -> subprocess.Popen[str]:
        """Start the true zipapp."""
        command = [python, "-I", "-S", str(self.zipapp), "run", str(self.write(**changes)), *options]
        return subprocess.Popen(command, env=self.environment, text=True, stderr=subprocess.PIPE)

    def data(self, name: str, content: bytes) -> str:
        """Put a file where inputs come from; return its URL."""
        path = self.base / "data" / name
        path.write_bytes(content)
        return path.as_uri()

    def input(self, content: bytes, **changes: Any) -> InputFile:
        entry = InputFile("one", "SB000", self.data("in put.tar", content), "in.MS", unpack=True)
        return entry._replace(**changes)


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def printing(text: str, name: str = "shape", **expect: Expectation) -> Check:
    return Check(name, ("printf", "%s", text), expect)


def adler(content: bytes) -> str:
    return f"{zlib.adler32(content):08x}"


def tar(*members: tuple[str, Any], **kinds: Any) -> bytes:
    """Make a tar: (name, bytes) is a file, (name, None) a folder, (name, TarInfo changes) anything."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **kinds) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if content is None else 0o644
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            if isinstance(content, dict):
                for key, value in content.items():
                    setattr(info, key, value)
                content = b"x" * info.size if info.isreg() else b""
            info.size = len(content) if content and info.isreg() else 0
            archive.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def measurement_set(name: str = "L1_SB000.MS") -> bytes:
    return tar(
        (f"{name}/", None),
        (f"{name}/table.dat", b"dat"),
        (f"{name}/table.info", b"Type = Measurement Set\nSubType = \n"),
    )


def failing(number: int) -> Callable[..., Any]:
    """What fails as the system does with an errno."""

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail
