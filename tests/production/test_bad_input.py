"""What people get wrong: told with file and line, what is wrong and what would be right, before anything is written."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.production.conftest import Desk

CALIBRATED = {"calibrator_skymodel": "calibrator.skymodel", "target_skymodel": "target.skymodel", "group_size": 4}


def refused(desk: Desk, verb: str = "run", file: str = "production.yaml") -> list[str]:
    """What is told of a production that is refused: a line each, exit code 2, and nothing is written."""
    before = sorted(desk.folder.parent.rglob("*"))
    said = desk(verb, file, code=2)
    assert sorted(desk.folder.parent.rglob("*")) == before
    assert said.out == ""
    return said.err.splitlines()


@pytest.fixture(scope="module")
def untouched(short_observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """One desk for all that is refused: nothing may change it."""
    folder = tmp_path_factory.mktemp("refused")
    shutil.copytree(short_observations, folder / "desk")
    return Desk(folder / "desk", folder / "tracker")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pipelin": "x"}, "pipelin: unknown key. Did you mean 'pipeline'?"),
        ({"production": 7}, "production: should be a text, found 7. Put it in quotes"),
        ({"production": "a; rm -rf ~"}, "production: 'a; rm -rf ~' may hold letters, digits, - and _ only, 64 at most"),
        ({"inputs": ["a"]}, "inputs: not a mapping of keys to values, found ['a']. Write a line `key: value` for each"),
        ({"inputs": {}}, "inputs.target: this input is missing. "),
        ({"inputs": {"target": 7}}, "inputs.target: should be a text or be a list, found 7"),
        ({"pipeline": "flag-avarage"}, "pipeline: there is no pipeline 'flag-avarage'. There are calibrate-image, "),
        ({"pipeline": "../../etc"}, "pipeline: '../../etc' may hold letters"),
        ({"parameters": {"group_size": "four"}}, "parameters.group_size: 'four' is not a whole number. "),
        ({"parameters": {"group_size": 0}}, "parameters.group_size: 0 is less than 1. "),
        ({"parameters": {"flag": "yes"}}, "parameters.flag: 'yes' is not true or false. "),
        ({"parameters": {"flag_strategy": "none.lua"}}, "parameters.flag_strategy: there is no file 'none.lua'. "),
        ({"parameters": {"flag_strategy": "a\nmsout=/b"}}, "parameters.flag_strategy: 'a\\nmsout=/b' holds a control"),
        ({"output": None}, "output: this key is missing. Add it"),
        ({"output": "http://host/x"}, "output: 'http://host/x' is not a place to write to; it may start with file://"),
        ({"output": "a\nb"}, "output: 'a\\nb' is no name of a folder"),
        ({"output": "production.yaml/out"}, "output: the output "),
        ({"output": "/proc/1/out"}, "output: the output /proc/1/out cannot be written: /proc/1: "),
        ({"policy": {"gaps": "ignore"}}, "policy.gaps: should be 'flag', 'skip' or 'fail', found 'ignore'"),
        ({"policy": {"minimum_subbands": 95}}, "policy.minimum_subbands: should be less than or equal to 1, found 95"),
        ({"backend": "htcondor"}, "backend: no site is reached through htcondor. Give a site of your sites.yaml "),
        ({"backend": "dirac"}, "backend: the backend 'dirac' is not in this version. Use local or htcondor"),
    ],
)
def test_a_production_that_does_not_fit_is_told_with_its_line_and_field(
    untouched: Desk, changes: dict[str, object], told: str
) -> None:
    path = untouched.flag_average(**changes)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    (line,) = refused(untouched)
    place, _, rest = line.partition(": ")
    file, number = place.split(":")
    assert file == "production.yaml"
    assert rest.startswith(told)
    key = rest.split(":")[0].rpartition(".")[2]
    assert f'"{key}"' in path.read_text().splitlines()[int(number) - 1] or " is missing" in rest


def test_every_missing_parameter_is_told_at_once(untouched: Desk) -> None:
    untouched.write(parameters={"target_skymodel": "target.skymodel", "image_size": 1})
    first, second = refused(untouched)
    assert "parameters.calibrator_skymodel: this parameter is missing. Its description: Sky model" in first
    assert "parameters.image_size: 1 is less than 64" in second


BOMB = "\n".join(["a: &a [x, x, x, x]", *(f"a{n}: &a{n} [*a{n - 1 or ''}, *a{n - 1 or ''}]" for n in range(1, 60))])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ":1: the file is empty. It takes the keys production, pipeline, inputs, "),
        (b"- a\n- b\n", ":1: not a mapping of keys to values. It takes the keys production, "),
        (b"production: a\nproduction: b\n", ":2: production: this key stands already in line 1. Remove one of the two"),
        (b"production: [a\n", ":2: not valid YAML: expected ',' or ']', but got '<stream end>'. Check indentation"),
        (b"production: !!python/object/apply:os.system [touch pwned]\n", ":1: not valid YAML: could not determine"),
        (bytes(range(256)), ":2: this is not text in UTF-8. Name a text file, or save it as UTF-8"),
        (b"production: \xe9\n", ":1: this is not text in UTF-8. "),
        (b"production: a\0b\n", ": not valid YAML: unacceptable character #x0000"),
        (b"production: " + b"[" * 10_000, ": it is nested too deeply. "),
        (BOMB.encode(), ": its anchors and aliases unfold without end, or to far too much. Write the values out"),
        (b"production: &a [*a]\n", ": its anchors and aliases unfold without end"),
    ],
    ids=["empty", "list", "twice", "open", "tag", "binary", "latin", "nul", "deep", "bomb", "loop"],
)
def test_a_file_that_is_no_production_is_told_in_one_line(untouched: Desk, content: bytes, told: str) -> None:
    (untouched.folder / "bad.yaml").write_bytes(content)
    (line,) = refused(untouched, file="bad.yaml")
    assert line.startswith(f"bad.yaml{told}")
    assert len(line) < 400
    assert not (untouched.folder / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.yaml", "none.yaml: there is no such file. Check the name"),
        (".", ".: cannot be read: Is a directory. Name a file that can be"),
        ("/proc/1/mem", "/proc/1/mem: cannot be read: "),
        ("x" * 300, f"{'x' * 300}: cannot be read: File name too long. Name a file that can be"),
    ],
)
def test_a_name_that_is_no_file_is_told(untouched: Desk, name: str, told: str) -> None:
    (line,) = refused(untouched, file=name)
    assert line.startswith(told)


GOOD = "L900002_SAP000_SB000_uv.MS_1a2b3c4d.tar"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ": the list is empty. Write one URL a line, such as "),
        (b"# all gone\n", ": the list is empty. "),
        (b"a.tar\n", ":1: 'a.tar' is not the name of an LTA subband, such as "),
        (b"# x\n/a\0b/" + GOOD.encode(), ":2: '/a\\x00b/" + GOOD + "' holds a control character, which no name has"),
        (b"A" * 10_000_000, ":1: 'AAAA"),
        (b"/" + b"a" * 5000 + b"/" + GOOD.encode(), ":1: '/aaa"),
        (b"\x1f\x8b\x08\x00\xff", ":1: this is not text in UTF-8. "),
        (f"{GOOD}\tadler32=xyz\n".encode(), ":1: adler32=xyz is not a checksum of up to 8 hexadecimal digits"),
        (f"{GOOD}\n{GOOD}\n".encode(), ":2: L900002-SAP000-SB000 stands already in line 1. Remove one of the two"),
        (
            f"{GOOD}\n{GOOD.replace('L900002', 'L900001')}\n".encode(),
            ":2: L900001 among subbands of L900002 (line 1). ",
        ),
    ],
    ids=["empty", "comments", "name", "nul", "huge", "long", "binary", "checksum", "twice", "two observations"],
)
def test_a_list_that_does_not_fit_is_told_with_its_line(untouched: Desk, content: bytes, told: str) -> None:
    (untouched.folder / "bad.surls").write_bytes(content)
    untouched.flag_average(inputs={"target": "bad.surls"})
    (line,) = refused(untouched)
    assert line.startswith(f"{untouched.folder}/bad.surls{told}")
    assert len(line) < 400


def test_a_list_that_is_not_there_is_told(untouched: Desk) -> None:
    untouched.flag_average(inputs={"target": "$(touch pwned).surls"})
    (line,) = refused(untouched)
    assert line.endswith("/$(touch pwned).surls: there is no such list file. Check the name")
    assert not (untouched.folder / "pwned").exists()


# Files that are listed and cannot be used


def climbing(path: Path) -> None:
    """A tar with a name that leads out of its folder."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_something_else(path: Path) -> None:
    (path.parent / "notes.txt").write_text("hello")
    with tarfile.open(path, "w") as archive:
        archive.add(path.parent / "notes.txt", "notes/notes.txt")
    (path.parent / "notes.txt").unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "an input file is not there"),
        (cut, "an input tar ends early"),
        (climbing, "an input tar holds names that lead out of its folder"),
        (of_something_else, "an input is not the kind of data the step needs"),
        (folder, "an input is not the kind of data the step needs"),
        (lambda path: path.write_bytes(b"<html>404"), "an input tar ends early"),
    ],
    ids=["missing", "cut", "climbing", "other", "folder", "web page"],
)
def test_a_file_that_no_job_could_use_is_told_with_its_line_before_anything_starts(
    short: Desk, spoil: Callable[[Path], None], told: str
) -> None:
    tar = short.tar(2)
    spoil(tar)
    (short.folder / "plain.surls").write_text("\n".join(short.plain_list()))
    short.flag_average(inputs={"target": "plain.surls"}, policy={"minimum_subbands": 1.0})
    first, last = refused(short)
    assert first.startswith(f"{short.folder}/plain.surls:3: {tar}: {told} (")
    assert last == (
        "production.yaml:1: policy: 7 of 8 subbands of target L900002 SAP000 can be used, minimum_subbands: 1 asks for"
        " more. Mend the files above, or ask for less in policy"
    )
    assert not list(short.folder.parent.rglob("evil"))


# Places that cannot be written


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, root included."""
    path = tmp_path / "read only"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", path], capture_output=True, check=False)
    if mounted.returncode:
        path.chmod(0o555)
    if os.access(path, os.W_OK):
        pytest.skip("this user can write everywhere, and cannot mount")
    yield path
    if mounted.returncode == 0:
        subprocess.run(["umount", path], check=True)


def test_an_output_that_cannot_be_written_is_refused_before_hours_are_spent(short: Desk, read_only: Path) -> None:
    short.flag_average(output=str(read_only / "products"))
    (line,) = refused(short)
    assert line.startswith(
        f"production.yaml:1: output: the output {read_only}/products cannot be written: {read_only}: "
    )
    assert line.endswith("Make it writable for this user, or name another folder")


def test_a_tracker_that_cannot_be_written_is_refused_with_the_option_that_names_another(
    short: Desk, read_only: Path
) -> None:
    desk = Desk(short.folder, read_only / "tracker")
    desk.flag_average()
    for words in (["run", "production.yaml"], ["submit", "production.yaml"], ["status"], ["why", "field"]):
        said = desk(*words, code=2)
        assert said.err.startswith(f"{read_only}/tracker/tracker.db: the tracker cannot be used: ")
        assert "name another file with --tracker or LOFARGRID_DATA" in said.err
    assert "8 target subbands" in desk("plan", "production.yaml").out


def test_a_file_in_the_trackers_place_is_told(short: Desk) -> None:
    short.tracker.write_text("a file")
    short.flag_average()
    said = short("run", "production.yaml", code=2)
    assert said.err.startswith(f"{short.tracker}/tracker.db: the tracker cannot be used: ")
    short.tracker.unlink()


def test_a_tracker_of_a_newer_lofargrid_is_left_alone(short: Desk) -> None:
    short("status")
    database = short.tracker / "tracker.db"
    with sqlite3.connect(database) as tracker:
        tracker.execute("UPDATE _sqlite_migrations SET name = 'from_the_future'")
        tracker.commit()
        tracker.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = database.read_bytes()
    short.flag_average()
    said = short("run", "production.yaml", code=2)
    assert f"{database}: it was made by a newer lofargrid (it has from_the_future). Install that version" in said.err
    assert database.read_bytes() == content
    shutil.rmtree(short.tracker)


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_tracker_that_is_no_database_is_left_alone(short: Desk, content: bytes) -> None:
    short.tracker.mkdir()
    database = short.tracker / "tracker.db"
    database.write_bytes(content)
    short.flag_average()
    said = short("run", "production.yaml", code=2)
    assert said.err.startswith(f"{database}: the tracker cannot be used: file is not a database")
    assert database.read_bytes() == content
    shutil.rmtree(short.tracker)


# Programs


@dataclass(frozen=True)
class Unequipped(Desk):
    """The same desk on a machine without wsclean."""

    bin: Path = Path()

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PATH": str(self.bin)}


def test_without_wsclean_all_but_the_images_is_made_and_the_remedy_told(short: Desk, tmp_path: Path) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    for root in reversed(os.environ["PATH"].split(":")):
        for program in Path(root).glob("*"):
            if program.name not in ("wsclean", "chgcentre"):
                (bin / program.name).unlink(missing_ok=True)
                (bin / program.name).symlink_to(program)
    desk = Unequipped(short.folder, short.tracker, bin)
    desk.write(parameters={**CALIBRATED, "image_size": 256})
    said = desk("run", "production.yaml", code=2)
    first = next(line for line in said.err.splitlines() if line.startswith("wsclean is not on PATH"))
    assert "apt-get install wsclean" in first
    assert len([name for name in desk.products() if name.endswith("targ2.MS.tar")]) == 2
    assert not [name for name in desk.products() if name.endswith(".fits")]
    cause, remedy, *_ = desk("why", "L900002-SAP000-image").out.splitlines()
    assert "software-missing" in cause
    assert "wsclean" in cause
    assert "`doctor`" in remedy
    assert "MISSING wsclean (imaging): not on PATH" in desk("doctor", code=1).out


# Names


def test_names_that_a_shell_would_read_are_only_names(short: Desk) -> None:
    odd = short.folder.parent / "a $(touch pwned); 'b' \"c\" & d * ü %20 {x}"
    short.folder.rename(odd)
    desk = Desk(odd, short.tracker)
    (odd / "L900002.surls").rename(odd / "`touch pwned`.surls")
    desk.flag_average(inputs={"target": "`touch pwned`.surls"}, output="out $(touch pwned) {y} %41")
    desk("run", "production.yaml")
    assert len(list((odd / "out $(touch pwned) {y} %41").glob("*.MS.tar"))) == 2
    assert not list(odd.parent.rglob("pwned"))
    odd.rename(short.folder)
