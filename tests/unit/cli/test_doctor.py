"""doctor: what is missing is named with the command that brings it."""

from __future__ import annotations

from pathlib import Path

import htcondor2
import pytest

from lofargrid.cli import doctor
from tests.grid.processes import write_secret
from tests.grid.tokens import jwt
from tests.unit.cli.seat import Seat


def told(seat: Seat, what: str, code: int | None = None) -> tuple[bool, str, str]:
    findings = {one["what"].split()[0]: one for one in seat("doctor", "--json", code=code).json}
    one = findings[what]
    return one["good"], one["found"], one["remedy"]


@pytest.fixture(autouse=True)
def few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """One module stands for all of them: each takes a process that imports it."""
    monkeypatch.setattr(doctor, "MODULES", {"lofarantpos": doctor.MODULES["lofarantpos"]})


def test_what_was_looked_at_is_told_line_by_line(seat: Seat) -> None:
    lines = seat("doctor", code=None).out.splitlines()
    assert {line[:8] for line in lines} <= {"ok      ", "MISSING ", "        "}
    assert any(line.startswith("ok      python: 3.") for line in lines)
    assert "ok      slots: 2 jobs at a time (LOFARGRID_SLOTS)" in lines
    assert f"ok      tracker: {seat.data}/tracker.db" in lines


def test_a_program_that_is_not_there_is_told_with_the_command_that_brings_it(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = seat("doctor", code=1).out
    assert "MISSING wsclean (imaging): not on PATH\n        sudo apt-get install wsclean (Debian, Ubuntu)" in said


def test_a_module_that_cannot_be_imported_is_told(seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lofarantpos.py").write_text("raise ImportError('libstrange.so.6: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = seat("doctor", code=1).out
    assert "MISSING python module lofarantpos (demo-data): ImportError: libstrange.so.6: cannot open" in said
    assert "        make setup, or: pip install 'lofargrid[science]'" in said


def test_a_tracker_that_cannot_be_used_is_told_and_the_rest_is_looked_at_all_the_same(seat: Seat) -> None:
    seat.data.write_text("a file in the way")
    good, found, remedy = told(seat, "tracker", code=1)
    assert not good
    assert found.startswith(f"{seat.data}/tracker.db: the tracker cannot be used")
    assert "--tracker" in remedy


def test_the_disk_is_that_of_the_scratch_folder_even_before_that_is_made(seat: Seat, tmp_path: Path) -> None:
    seat.environment["LOFARGRID_SCRATCH"] = str(tmp_path / "not" / "yet")
    good, found, _ = told(seat, "disk")
    assert good
    assert found.endswith(f"free in {tmp_path}")


def test_a_full_disk_is_told(seat: Seat) -> None:
    seat.environment["LOFARGRID_SCRATCH"] = "/proc/self"  # of no size at all
    good, found, remedy = told(seat, "disk", code=1)
    assert (good, found) == (False, "0 B free in /proc/self")
    assert "LOFARGRID_SCRATCH" in remedy


def test_tokens_that_open_nothing_are_told(seat: Seat) -> None:
    (seat.folder / "sites.yaml").write_text("sites:\n  archive: {prefixes: ['davs://host/a']}\n")
    folder = seat.folder / "tokens"
    seat.environment |= {"LOFARGRID_SITES": str(seat.folder / "sites.yaml"), "LOFARGRID_TOKENS": str(folder)}
    folder.mkdir()
    for name in ("archive", "Archive", "SURF"):
        write_secret(folder / name, b"abc")
    said = seat("doctor", code=None).out
    assert "ok      token archive: it does not say when it ends" in said
    assert f"MISSING token Archive: {folder}/Archive is named after no site\n        " in said
    assert "MISSING token SURF: SURF has no door of https\n        name its `davs` door in your sites.yaml" in said
    (folder / "archive").write_bytes(jwt(exp=1e9))
    said = seat("doctor", code=1).out
    assert f"MISSING token archive: {folder}/archive has ended\n        ask its storage for a new one" in said
    (folder / "archive").chmod(0o644)
    assert f"{folder}/archive: others can read this file with a token\n        chmod 600 " in seat("doctor", code=1).out


def test_a_pool_is_looked_at_where_a_site_is_reached_through_one(
    seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not [one for one in seat("doctor", "--json", code=None).json if one["what"] == "schedd"]
    (tmp_path / "sites.yaml").write_text("sites:\n  Leiden: {backend: htcondor, slots: 1, pilots: {through: slurm}}\n")
    seat.environment["LOFARGRID_SITES"] = str(tmp_path / "sites.yaml")
    for key, value in {"SCHEDD_HOST": "nobody@127.0.0.1", "COLLECTOR_HOST": "127.0.0.1:1"}.items():
        monkeypatch.setitem(htcondor2.param, key, value)
    for key in ("SEC_DEFAULT_ENCRYPTION", "SEC_DEFAULT_AUTHENTICATION"):
        monkeypatch.setitem(htcondor2.param, key, "REQUIRED")
    monkeypatch.setitem(htcondor2.param, "SEC_DEFAULT_INTEGRITY", "OPTIONAL")
    monkeypatch.setenv("PATH", "/nowhere")
    assert not told(seat, "schedd", code=1)[0]
    assert told(seat, "connections", code=1) == (
        False,
        "not required here: SEC_DEFAULT_INTEGRITY",
        "SEC_DEFAULT_INTEGRITY = REQUIRED, in the pool's configuration and in that of this machine",
    )
    good, found, remedy = told(seat, "tokens", code=1)
    assert not good
    assert found.startswith("the pool gives no token for a pilot: condor_token_fetch: not found")
    assert "a-pool-of-your-own.md" in remedy


def test_without_the_bindings_the_pool_is_not_looked_at(
    seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sites.yaml").write_text("sites:\n  Leiden: {backend: htcondor, slots: 1}\n")
    seat.environment["LOFARGRID_SITES"] = str(tmp_path / "sites.yaml")
    monkeypatch.setattr(doctor, "lack_of", lambda _: "they are not here")
    assert told(seat, "HTCondor's", code=1) == (False, "they are not here", "pip install 'lofargrid[htcondor]'")
