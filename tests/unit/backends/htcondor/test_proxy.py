"""A proxy that may go along with jobs is a file that its owner alone can read."""

from pathlib import Path

import pytest

from lofargrid.backends.htcondor.proxy import trouble_with


def test_nothing_is_wrong_with_a_file_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    proxy = tmp_path / "x509up_u1000"
    proxy.touch(mode=0o600)
    assert trouble_with(proxy) == ""


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_reach_stays_here(tmp_path: Path, mode: int) -> None:
    proxy = tmp_path / "x509up_u1000"
    proxy.touch()
    proxy.chmod(mode)
    assert f"chmod 600 {proxy}" in trouble_with(proxy)


def test_what_is_gone_is_told_with_how_to_make_it(tmp_path: Path) -> None:
    assert "No such file" in trouble_with(tmp_path / "gone")
    assert "voms-proxy-init" in trouble_with(tmp_path / "gone")


def test_a_folder_is_no_proxy(tmp_path: Path) -> None:
    assert "no file of yours" in trouble_with(tmp_path)
