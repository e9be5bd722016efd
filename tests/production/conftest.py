"""Whole runs with the real tools: each test works in a copy of observations that are made once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIP = set(os.environ.get("LOFARGRID_SKIP", "").split(","))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.service)


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A user's folder with observations, and the command line in it, with these settings beside the usual ones."""

    folder: Path
    tracker: Path
    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LOFARGRID_", "COV_CORE"))}
        return {**inherited, "LOFARGRID_DATA": str(self.tracker), "LOFARGRID_SLOTS": "2", **self.settings}

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "lofargrid.cli"]

    def __call__(self, *words: str, code: int | None = 0) -> Said:
        try:
            done = subprocess.run(
                [*self.command, *words],
                cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            heard = b"".join((error.stdout or b"", error.stderr or b"")).decode(errors="replace")
            pytest.fail(f"{words}: no end after {error.timeout:.0f} s\n{heard[-4000:]}")
        said = Said(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in said.err
        assert code is None or said.code == code, f"{words}: exit code {said.code}\n{said.out}\n{said.err}"
        return said

    def write(self, name: str = "production.yaml", **changes: object) -> Path:
        """Write a production; a change of None leaves a key out, what is not changed is the demo's."""
        document: dict[str, object] = {
            "production": "field",
            "pipeline": "calibrate-image",
            "inputs": {"calibrator": "L900001.surls", "target": "L900002.surls"},
            "parameters": {
                "calibrator_skymodel": "calibrator.skymodel",
                "target_skymodel": "target.skymodel",
                "group_size": 4,
            },
            "output": "products",
            "policy": {"minimum_subbands": 0.5, "gaps": "flag"},
        }
        kept = {key: value for key, value in {**document, **changes}.items() if value is not None}
        path = self.folder / name
        path.write_text(json.dumps(kept))  # JSON is YAML
        return path

    def flag_average(self, **changes: object) -> Path:
        """Write the production that joins the target's subbands to bands: no calibration, no image."""
        return self.write(
            **{
                "pipeline": "flag-average",
                "inputs": {"target": "L900002.surls"},
                "parameters": {"group_size": 4},
                **changes,
            }
        )

    def tar(self, number: int, observation: str = "L900002") -> Path:
        return next(self.folder.glob(f"{observation}_SAP000_SB{number:03d}_*.tar"))

    def plain_list(self, name: str = "L900002.surls") -> list[str]:
        """The list without its columns, so that nothing is known of the files."""
        lines = [line.split("\t")[0] for line in (self.folder / name).read_text().splitlines() if line[:1] not in "#"]
        return [line for line in lines if line]

    def products(self) -> dict[str, Path]:
        return {path.name: path for path in sorted((self.folder / "products").iterdir())}

    def provenance(self, name: str) -> dict[str, object]:
        found = json.loads((self.folder / "products" / f"{name}.json").read_text())
        assert isinstance(found, dict)
        return found

    def status(self, production: str = "field") -> dict[str, object]:
        found = json.loads(self("status", production, "--json", code=None).out)[0]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="session")
def observations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's observations, full size: they fit the truth within its limits."""
    folder = tmp_path_factory.mktemp("a folder with spaces") / "data"
    Desk(folder.parent, folder.parent / "tracker")("demo-data", "data")
    return folder


@pytest.fixture(scope="session")
def short_observations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sky, observed shortly: enough where no image is asked for."""
    folder = tmp_path_factory.mktemp("short") / "data"
    Desk(folder.parent, folder.parent / "tracker")("demo-data", "data", "--times", "16")
    return folder


@pytest.fixture(scope="session")
def reference(observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The demo as `make demo` runs it, once: to be read, for its products are what others are compared with."""
    desk = _copy(observations, tmp_path_factory.mktemp("reference run"))
    desk.write()
    desk("run", "production.yaml")
    return desk


@pytest.fixture
def desk(observations: Path, tmp_path: Path) -> Iterator[Desk]:
    yield from _used(_copy(observations, tmp_path))


@pytest.fixture
def short(short_observations: Path, tmp_path: Path) -> Iterator[Desk]:
    yield from _used(_copy(short_observations, tmp_path))


def _used(desk: Desk) -> Iterator[Desk]:
    yield desk
    desk("cancel", "field", code=None)


def _copy(source: Path, target: Path) -> Desk:
    folder = target / "desk"
    shutil.copytree(source, folder)
    return Desk(folder, target / "tracker")


@pytest.fixture
def edit() -> Callable[[Path, Callable[[bytearray], None]], None]:
    """Change the bytes of a file in place."""

    def change(path: Path, how: Callable[[bytearray], None]) -> None:
        content = bytearray(path.read_bytes())
        how(content)
        path.write_bytes(content)

    return change
