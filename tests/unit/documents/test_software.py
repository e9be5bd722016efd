"""Software releases: from an entry in a file to programs that are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lofargrid.documents.software import Software, Values, read_software
from lofargrid.versions import tool_versions
from tests.unit.factories import CONTENT, faults_of

ENTRY = """\
releases:
  one:
    description: A release
    path: ["{environment}/bin", /opt/bin]
    aliases: {DP3: DP3.py}
    environment: {LIBRARY: "{site_packages}/x", PLAIN: "1"}
    files: {casarc: "data: {site_packages}\\n"}
    values: {aoflagger_strategy: "{environment}/s.lua"}
    versions: {dp3: [DP3, --version]}
  two: {description: Another}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "software.yaml"
    path.write_text(ENTRY)
    return path


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def software(path: Path, /, **versions: tuple[str, ...]) -> Software:
    return Software("one", (str(path),), {"SHOWN": "4.2"}, {}, Values(), {"DP3": "DP3.py"}, versions)


def test_places_are_filled_in_for_this_machine(file: Path) -> None:
    found = read_software(file, "one")
    assert found.path == (f"{sys.prefix}/bin", "/opt/bin")
    assert found.environment["LIBRARY"].startswith(sys.prefix)
    assert found.environment["PLAIN"] == "1"
    assert found.files["casarc"].endswith("site-packages\n")
    assert found.values.aoflagger_strategy == f"{sys.prefix}/s.lua"
    assert found.versions == {"dp3": ("DP3", "--version")}


def test_all_but_the_description_may_be_left_out(file: Path) -> None:
    found = read_software(file, "two")
    assert (found.path, dict(found.environment), found.values) == ((), {}, Values())


def test_an_unknown_release_is_told_with_those_that_are_there(file: Path) -> None:
    (fault,) = faults_of(read_software, file, "three")
    assert (fault.field, fault.remedy) == ("software", "There are one, two")


@pytest.mark.parametrize("text", ["${HOME}/bin", "{", "{}", "{0}", "{environment.x}"])
def test_a_place_that_is_not_known_is_told_and_no_crash(file: Path, text: str) -> None:
    file.write_text(ENTRY.replace("{environment}/bin", text))
    (fault,) = faults_of(read_software, file, "one")
    assert (fault.file, fault.field, fault.what) == (str(file), "releases.one", f"{text!r} names no place")
    assert "environment, site_packages" in fault.remedy


def test_a_version_command_without_words_is_told_with_its_line(file: Path) -> None:
    file.write_text(ENTRY.replace("[DP3, --version]", "[]"))
    (fault,) = faults_of(read_software, file, "one")
    assert (fault.line, fault.field) == (9, "releases.one.versions.dp3")


def test_the_shipped_releases_can_be_read() -> None:
    assert read_software(CONTENT / "cvmfs" / "software.yaml", "local").environment["OPENBLAS_NUM_THREADS"] == "1"


def test_a_program_is_looked_for_in_the_release_then_on_path_then_by_its_other_name(tmp_path: Path) -> None:
    release, path = tmp_path / "release", tmp_path / "path"
    other = program(path, "DP3.py", "")
    found = software(release)
    assert found.find("DP3", str(path)) == str(other)
    assert found.find("wsclean", str(path)) is None
    plain = program(path, "DP3", "")
    assert found.find("DP3", str(path)) == str(plain)
    assert found.find("DP3", "") is None
    mine = program(release, "DP3", "")
    assert found.find("DP3", str(path)) == str(mine)


def test_each_tool_tells_its_version_and_an_absent_one_is_left_out(tmp_path: Path) -> None:
    program(tmp_path, "talks", 'echo; echo " tool $SHOWN "; echo more')
    program(tmp_path, "warns", "echo 'on stderr' >&2; exit 3")
    program(tmp_path, "silent", "exit 3")
    program(tmp_path, "path", "echo $PATH")
    versions = {name: (name, "--version") for name in ("talks", "warns", "silent", "path", "absent")}
    told = tool_versions(software(tmp_path, **versions), "/bin:/usr/bin")
    assert told.pop("python") == sys.version.split()[0]
    assert told == {
        "release": "one",
        "talks": "tool 4.2",
        "warns": "on stderr",
        "silent": "exit code 3",
        "path": "/bin:/usr/bin",
    }
