"""HTCondor's programs on a node: on PATH, in a folder, out of a tarball that is what it should be."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

import pytest
from lofargrid_runner.contract import Reason
from lofargrid_runner.failure import Failure
from lofargrid_runner.release import Release, find_release
from lofargrid_runner.stop import Stop


def installed(top: Path, root: str = "usr", libexec: str = "libexec/condor") -> Path:
    """Lay out a folder like a release of HTCondor."""
    for folder in (f"{root}/sbin", f"{root}/{libexec}", f"{root}/lib"):
        (top / folder).mkdir(parents=True)
    startd = top / root / "sbin" / "condor_startd"
    startd.write_text("#!/bin/sh\n")
    startd.chmod(0o755)
    return startd


def find(wanted: Path | str, folder: Path, sha256: str = "", path: str = "/nowhere") -> Release:
    with Stop() as stop:
        return find_release(str(wanted), sha256, str(folder), {"PATH": path}, stop)


def refusal(wanted: Path | str, folder: Path, sha256: str = "") -> tuple[Reason, str]:
    with pytest.raises(Failure) as caught:
        find(wanted, folder, sha256)
    return caught.value.reason, caught.value.detail


def packed(folder: Path, mode: str) -> tuple[Path, str]:
    tarball = folder / "condor.tar"
    with tarfile.open(tarball, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder / "made" / "usr", "usr")
        link = tarfile.TarInfo("usr/libexec/blahp")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/blahp"
        archive.addfile(link)
    return tarball, hashlib.sha256(tarball.read_bytes()).hexdigest()


def test_the_programs_on_path_are_those_of_the_release_that_a_link_leads_to(tmp_path: Path) -> None:
    startd = installed(tmp_path)
    links = tmp_path / "links"
    links.mkdir()
    (links / "condor_startd").symlink_to(startd)
    usr = tmp_path / "usr"
    assert find("", tmp_path, path=str(links)) == Release(f"{usr}/sbin", f"{usr}/libexec/condor", f"{usr}/lib")


@pytest.mark.parametrize("root", ["usr", "."])
@pytest.mark.parametrize("libexec", ["libexec", "libexec/condor"])
def test_a_folder_is_laid_out_as_packages_or_as_tarballs_are(tmp_path: Path, root: str, libexec: str) -> None:
    installed(tmp_path, root, libexec)
    found = find(tmp_path, tmp_path)
    assert Path(found.startd).is_file()
    assert Path(found.libexec).samefile(tmp_path / root / libexec)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tarball_is_unpacked_however_it_was_packed(tmp_path: Path, mode: str) -> None:
    installed(tmp_path / "made")
    tarball, digest = packed(tmp_path, mode)
    (tmp_path / "work").mkdir()
    found = find(tarball, tmp_path / "work", digest)
    assert found.startd == str(tmp_path / "work" / "htcondor" / "usr" / "sbin" / "condor_startd")
    assert [one.name for one in (tmp_path / "work").iterdir()] == ["htcondor"], "the tarball is not kept"


def test_a_tarball_that_is_another_one_is_not_unpacked(tmp_path: Path) -> None:
    installed(tmp_path / "made")
    tarball, digest = packed(tmp_path, "w")
    (tmp_path / "work").mkdir()
    reason, detail = refusal(tarball, tmp_path / "work", "0" * 64)
    assert reason == Reason.SOFTWARE_MISSING
    assert detail == f"{tarball} is not what was agreed: its SHA-256 is {digest}, not {'0' * 64}"
    assert not (tmp_path / "work" / "htcondor").exists()


def test_what_is_agreed_but_no_tarball_is_told_in_tars_words(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"x" * 2000)
    reason, detail = refusal(junk, tmp_path, hashlib.sha256(junk.read_bytes()).hexdigest())
    assert reason == Reason.SOFTWARE_MISSING
    assert detail.startswith("HTCondor's tarball cannot be unpacked: tar: ")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal("", tmp_path) == (Reason.SOFTWARE_MISSING, "no condor_startd on PATH (/nowhere)")
    assert refusal("/no/such", tmp_path) == (Reason.SOFTWARE_MISSING, "there is no folder /no/such on this node")
    assert refusal(tmp_path, tmp_path) == (Reason.SOFTWARE_MISSING, f"no sbin/condor_startd below {tmp_path}")
    reason, detail = refusal("/no/such.tar", tmp_path, "0" * 64)
    assert (reason, detail[:26]) == (Reason.SOFTWARE_UNREACHABLE, "cannot read /no/such.tar: ")


def test_a_tarball_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path / "made")
    tarball, digest = packed(tmp_path, "w")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(tarball.read_bytes()))
    (tmp_path / "work").mkdir()
    assert Path(find("https://example.org/condor.tar", tmp_path / "work", digest).startd).is_file()


def test_a_disk_that_does_not_take_the_tarball_is_full(tmp_path: Path) -> None:
    installed(tmp_path / "made")
    tarball, digest = packed(tmp_path, "w")
    (tmp_path / "htcondor.tar").symlink_to("/dev/full")
    reason, _ = refusal(tarball, tmp_path, digest)
    assert reason == Reason.SCRATCH_FULL
