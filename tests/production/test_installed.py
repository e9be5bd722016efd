"""The wheel works without the checkout: it carries the pipelines, the runner and the releases."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.production.conftest import ROOT, Desk, Said


@dataclass(frozen=True)
class Installed(Desk):
    """The same desk with lofargrid from an installation, and nothing of the checkout in sight."""

    site: Path = Path()

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(self.site), "PYTHONSAFEPATH": "1"}

    def python(self, script: str) -> Said:
        done = subprocess.run([sys.executable, "-c", script], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as pip unpacks it."""
    wheels = tmp_path_factory.mktemp("wheels")
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, env=quiet)
    (wheel,) = wheels.glob("*.whl")
    folder = tmp_path_factory.mktemp("a site with spaces")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, env=quiet)
    return folder


@pytest.fixture
def installed(short: Desk, site: Path) -> Installed:
    return Installed(short.folder, short.tracker, site)


def test_everything_that_is_read_comes_from_the_installation(installed: Installed) -> None:
    said = installed.python(
        "import lofargrid, lofargrid_runner\n"
        "from lofargrid import assets, zipapp\n"
        "for path in (lofargrid.__file__, lofargrid_runner.__file__, assets.content(), assets.common_scripts(),"
        " zipapp.SOURCES): print(path)"
    )
    assert [line for line in said.out.splitlines() if not line.startswith(f"{installed.site}/")] == []
    assert said.out.count("\n") == 5


def test_the_installation_carries_every_pipeline_and_no_tests(installed: Installed) -> None:
    names = {path.name for path in (ROOT / "sandbox").iterdir() if (path / "pipeline.yaml").exists()}
    assert {line for line in installed("pipelines").out.splitlines() if not line.startswith(" ")} == names
    carried = {path.name for path in installed.site.iterdir()}
    assert {"lofargrid", "lofargrid_runner"} <= carried
    assert not carried & {"tests", "benchmarks", "docs", "sandbox", "submit.py"}


def test_the_command_is_installed_too(installed: Installed) -> None:
    done = subprocess.run([installed.site / "bin" / "lofargrid", "version"], env=installed.environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_production_is_planned_and_run_from_the_installation(installed: Installed) -> None:
    installed.flag_average()
    assert "about 2" in installed("plan", "production.yaml").out
    installed("run", "production.yaml")
    assert len([name for name in installed.products() if name.endswith(".MS.tar")]) == 2
    assert installed("status", "field").out.startswith("field: done")
