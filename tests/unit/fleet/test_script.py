"""A pilot as one script: whole, readable by its owner alone, and nothing in it is taken for a command."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
import yaml
from lofargrid_runner.contract import PilotSpec, pilot_from_json

from lofargrid.pilots.script import cloud_init, pilot_script

SPEC = PilotSpec("t1-p1", "Leiden", "janneke", "janneke@example.org", "pool.example.org:9618", 2, 4000, 1000, 3600, 600)
BOOTSTRAP = 'cd "$(dirname "$0")"; echo "$@"; pwd; stat -c "%a %n" -- *; cat token\n'
FILES = {"bootstrap.sh": BOOTSTRAP.encode(), "token": b"head.body.s3cr3t", "runner.pyz": bytes(range(256)) * 40}


def run(script: str, folder: Path) -> list[str]:
    path = folder / "pilot.sh"
    path.write_text(script)
    done = subprocess.run(
        ["sh", path], env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_it_unpacks_what_it_holds_for_nobody_else_and_joins(tmp_path: Path) -> None:
    words, folder, *rest, token = run(pilot_script(SPEC, FILES, "2026-01-02 03:04"), tmp_path)
    assert words == f"join {folder}/pilot.json --discard"
    assert Path(folder).parent == tmp_path
    assert Path(folder).name.startswith("lofargrid-t1-p1-")
    assert rest == ["600 bootstrap.sh", "600 pilot.json", "600 runner.pyz", "600 token"]
    assert token == "head.body.s3cr3t"
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert (Path(folder) / "runner.pyz").read_bytes() == FILES["runner.pyz"]
    assert pilot_from_json((Path(folder) / "pilot.json").read_text()) == SPEC


def test_its_head_says_whose_it_is_and_how_to_end_it_but_not_its_secret() -> None:
    script = pilot_script(SPEC, FILES, "2026-01-02 03:04")
    head = script.partition("base64")[0]
    for words in ("Leiden", "pool.example.org:9618", "60 min", "2026-01-02 03:04 UTC", "janneke@example.org",
                  "SIGTERM is safe, SIGUSR1 drains"):  # fmt: skip
        assert words in head
    assert "s3cr3t" not in script


@pytest.mark.parametrize("contact", ["a\ntouch evil", "a\rtouch evil", "$(touch evil)", "a\x1b[2J"])
def test_a_contact_is_nothing_but_a_comment(tmp_path: Path, contact: str) -> None:
    script = pilot_script(SPEC._replace(contact=contact), FILES, "")
    run(script, tmp_path)
    assert not list(tmp_path.rglob("evil"))
    assert "\x1b" not in script


def test_without_a_folder_to_write_to_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "pilot.sh"
    path.write_text(pilot_script(SPEC, FILES, "").replace(" /tmp;", " /proc;"))
    done = subprocess.run(["sh", path], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "lofargrid: no folder to write to on" in done.stderr


def test_a_new_machine_runs_it_as_nobody_and_turns_itself_off() -> None:
    script = pilot_script(SPEC, FILES, "")
    text = cloud_init(script)
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    [file] = config["write_files"]
    assert base64.b64decode(file["content"]).decode() == script
    assert file["permissions"] == "0600"
    assert "runuser -u nobody" in config["runcmd"][0][2]
    assert config["power_state"]["mode"] == "poweroff"
