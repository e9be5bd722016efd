"""A desk whose payloads wait at a gate that the test opens: they copy their input, which is the product."""

import io
import os
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.production.conftest import Desk
from tests.production.soundness import asked, is_as_if_nothing_had_happened

PIPELINE = """\
pipeline: gated
version: "1"
description: Copies every subband when the gate is open.
roles:
  data: {description: Any tars}
parameters:
  gate: {type: str, default: none, description: A named pipe; the copies wait until somebody writes to it}
steps:
  copy:
    description: Copy one subband
    over: data
    split: subband
    inputs:
      raw: {from: data, path: raw.tar}
    commands:
      - [sh, -c, ': < "$0"', "{{ gate }}"]
      - [cp, raw.tar, copy.tar]
    outputs:
      copy: {path: copy.tar, suffix: .tar, product: true}
    resources: {cores: 1, memory_mb: 100, walltime_min: 5, scratch_factor: 2}
"""
SUBBANDS = 4
SUBBAND_BYTES = 1 << 19
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Gated(Desk):
    """See the module. ``more`` are settings of this machine."""

    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "LOFARGRID_PIPELINES": str(self.folder / "pipelines"), **self.more}

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def open_gate(self) -> int:
        """Let all through from now on; the descriptor holds the gate open."""
        return os.open(self.gate, os.O_RDWR)

    def wait_for(self, count: int, condition: str) -> None:
        """Wait until so many jobs are as the condition says."""
        limit = time.monotonic() + PATIENCE_S
        while asked(self, f"SELECT count(*) FROM jobs j WHERE j.current AND {condition}") not in ([(count,)],):
            assert time.monotonic() < limit, f"never {count} jobs with {condition}"
            time.sleep(0.02)  # another process makes the state; there is nothing of ours to wait on


def gated(folder: Path, more: Mapping[str, str] | None = None) -> Gated:
    """Set the desk up, with the gate shut."""
    desk = Gated(folder / "desk", folder / "tracker", more or {})
    pipeline = desk.folder / "pipelines" / "gated"
    pipeline.mkdir(parents=True)
    (pipeline / "pipeline.yaml").write_text(PIPELINE)
    os.mkfifo(desk.gate)
    names = [subband(number) for number in range(SUBBANDS)]
    for name in names:
        (desk.folder / name).write_bytes(_tar(name))
    (desk.folder / "data.surls").write_text("".join(f"{name}\n" for name in names))
    desk.write(pipeline="gated", inputs={"data": "data.surls"}, parameters={"gate": str(desk.gate)}, policy=None)
    return desk


def _tar(name: str) -> bytes:
    """A tar that looks like a MeasurementSet from afar, and is like no other."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for inside, text in (
            ("a.MS/table.dat", os.urandom(SUBBAND_BYTES)),
            ("a.MS/table.info", b"Type = Measurement Set\n"),
        ):
            member = tarfile.TarInfo(inside)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def is_done(desk: Gated) -> None:
    """Every subband has been copied, once and whole; nothing else is left."""
    products = desk.folder / "products"
    copies = {products / f"L100000-SAP000-SB{number:03d}-copy.tar": number for number in range(SUBBANDS)}
    is_as_if_nothing_had_happened(desk, {name: products / name for one in copies for name in _with_provenance(one)})
    for path, number in copies.items():
        assert path.read_bytes() == (desk.folder / subband(number)).read_bytes()


def _with_provenance(product: Path) -> tuple[str, str]:
    return product.name, f"{product.name}.json"


def subband(number: int) -> str:
    """The name of an input."""
    return f"L100000_SAP000_SB{number:03d}_uv.MS_00000000.tar"
