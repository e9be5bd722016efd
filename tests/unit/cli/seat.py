"""A user at a terminal, in this process: a folder, a tracker, own pipelines whose payloads are one-liners."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lofargrid.cli import session
from lofargrid.cli.app import run
from lofargrid.documents.software import Software
from lofargrid.versions import tool_versions

PIPELINE = """\
pipeline: copy
version: "1"
description: Copies every subband, joins them to bands, and
  counts the bands.
roles:
  data: {description: Any subbands}
parameters:
  size: {type: int, default: 2, unit: subbands, minimum: 1, description: Subbands of a band}
  stop: {type: str, default: none, description: "A file; while it is there the copies fail"}
  gate: {type: str, default: none, description: "A named pipe; the copies wait for somebody to write to it"}
  note: {type: file, default: "", description: A file that comes along}
steps:
  one:
    description: Copy one subband
    over: data
    split: subband
    inputs: {raw: {from: data, path: raw.MS}}
    commands:
      - [test, "!", -e, "{{ stop }}"]
      - [sh, -c, 'test ! -p "$0" || cat "$0"', "{{ gate }}"]
      - [touch, one.txt]
    outputs: {text: {path: one.txt, suffix: .txt}}
    retry: {tries: 1}
  band:
    description: Join one band
    over: data
    split: {group: size}
    inputs: {text: {from: one.text, path: "in/{key}.txt"}}
    commands: [[touch, band.txt]]
    outputs: {text: {path: band.txt, suffix: .txt, product: true}}
  all:
    over: data
    split: all
    inputs: {text: {from: band.text, path: "in/{key}.txt"}}
    commands: [[touch, all.txt]]
    outputs: {text: {path: all.txt, suffix: .txt, product: true}}
"""
FREQUENCY_MHZ = 134.375
WIDTH_MHZ = 0.1953125
BANDS = ("L654321-SAP000-G0344", "L654321-SAP000-G0345")


# A process does these once; here hundreds of command lines share one.
_command = cache(typer.main.get_command)
_told: dict[tuple[str, str], Mapping[str, str]] = {}


def _versions(software: Software, inherited: str) -> Mapping[str, str]:
    key = software.release, inherited
    return _told[key] if key in _told else _told.setdefault(key, tool_versions(software, inherited))


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Seat:
    """Call it with the words of a command line."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pipeline = self.folder / "pipelines" / "copy"
        pipeline.mkdir(parents=True)
        (pipeline / "pipeline.yaml").write_text(PIPELINE)
        self.desk.mkdir()

    @property
    def desk(self) -> Path:
        return self.folder / "desk"

    @property
    def data(self) -> Path:
        return self.folder / "tracker"

    @property
    def products(self) -> list[str]:
        return sorted(path.name for path in (self.desk / "products").iterdir())

    def __call__(self, *words: str, code: int | None = 0, stderr: io.StringIO | None = None) -> Said:
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), stderr or io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                if name.startswith("LOFARGRID_"):
                    patch.delenv(name)
            settings = {"LOFARGRID_DATA": self.data, "LOFARGRID_PIPELINES": self.folder / "pipelines",
                        "LOFARGRID_SLOTS": 2, "USER": "janneke", "COLUMNS": 80, **self.environment}  # fmt: skip
            for name, value in settings.items():
                patch.setenv(name, str(value))
            patch.setattr(typer.main, "get_command", _command)
            patch.setattr(session, "tool_versions", _versions)
            patch.chdir(self.desk)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                got = run(list(words))
        out.seek(0)
        said = Said(got, out.read(), err.getvalue())
        assert "Traceback" not in said.err
        assert code is None or got == code, f"{words}: exit code {got}\n{said.out}\n{said.err}"
        return said

    def observe(
        self, numbers: Iterable[int] = range(4), name: str = "data.surls", observation: str = "L654321"
    ) -> list[Path]:
        """Write tars that look like MeasurementSets from afar, and a list that tells their frequencies."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for inside, text in (("a.MS/table.dat", b"-"), ("a.MS/table.info", b"Type = Measurement Set\n")):
                member = tarfile.TarInfo(inside)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
        lines = []
        for number in numbers:
            tar = f"{observation}_SAP000_SB{number:03d}_uv.MS_1a2b3c4d.tar"
            (self.desk / tar).write_bytes(content.getvalue())
            lines.append(f"{tar}\tfrequency_mhz={FREQUENCY_MHZ + number * WIDTH_MHZ}\n")
        (self.desk / name).write_text("".join(lines))
        return sorted(self.desk.glob(f"{observation}_*.tar"))

    def survey(self, *names: str, subbands: int = 2, **changes: object) -> str:
        """Write a campaign: an observation, its list and a row for each name, and the production.yaml they vary."""
        self.write(inputs={}, **changes)
        rows = ["production,data"]
        for number, name in enumerate(names):
            self.observe(range(subbands), f"{name}.surls", f"L{700000 + number}")
            rows.append(f"{name},{name}.surls")
        return self.table("\n".join(rows) + "\n")

    def table(self, text: str, name: str = "survey.csv") -> str:
        """Write a campaign.csv."""
        (self.desk / name).write_text(text)
        return name

    def write(self, name: str = "production.yaml", **changes: object) -> str:
        """Write a production; a change of None leaves a key out."""
        document: dict[str, object] = {
            "production": "field",
            "pipeline": "copy",
            "inputs": {"data": "data.surls"},
            "output": "products",
            "policy": {"minimum_subbands": 0.5},
        }
        kept = {key: value for key, value in {**document, **changes}.items() if value is not None}
        (self.desk / name).write_text(json.dumps(kept, indent=1))  # JSON is YAML
        return name

    def block(self) -> Path:
        """A file whose presence makes copies fail; give it as parameter `stop`."""
        path = self.folder / "stop"
        path.touch()
        return path


class Listener(io.StringIO):
    """A stderr that does something, once, when it hears a word."""

    def __init__(self, word: str, then: Any) -> None:
        super().__init__()
        self._word, self._then = word, then

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._then and self._word in self.getvalue():
            then, self._then = self._then, None
            then()
        return written


def command(*words: str) -> list[str]:
    """The same command line as a process of its own."""
    return [sys.executable, "-m", "lofargrid.cli", *words]
