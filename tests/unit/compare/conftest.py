import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lofargrid.compare import Comparison, compare_products
from lofargrid.demo import DemoOptions, make_demo_data

Compare = Callable[..., Comparison]


@pytest.fixture
def compare() -> Compare:
    """Compare two files as products of one name, in this process."""

    def compared(first: Path, second: Path, name: str = "") -> Comparison:
        [found] = compare_products({name or first.name: first}, {name or first.name: second}, isolated=False)
        return found

    return compared


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Give two paths of one name in two folders, one with a blank and an accent."""

    def paths(name: str) -> tuple[Path, Path]:
        folders = tmp_path / "first é", tmp_path / "second"
        for folder in folders:
            folder.mkdir(exist_ok=True)
        return folders[0] / name, folders[1] / name

    return paths


def small_set(folder: Path, channels: int) -> Path:
    """Make a small observation and give the tar of a subband of it."""
    stations = ("CS026HBA0", "CS302HBA0", "RS106HBA", "RS208HBA")
    options = DemoOptions(subbands=1, times=4, channels=channels, stations=stations, faint_sources=2)
    return make_demo_data(folder / "made", options).target_tars[0]


def unpacked(tar: Path, folder: Path) -> Path:
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    return folder / tar.name.rsplit("_", 1)[0]


@pytest.fixture(scope="session")
def ms_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of a MeasurementSet of 24 rows, 4 channels and 4 correlations; tests leave it as it is."""
    return small_set(tmp_path_factory.mktemp("ms"), channels=4)


@pytest.fixture(scope="session")
def ms_folder(tmp_path_factory: pytest.TempPathFactory, ms_tar: Path) -> Path:
    return unpacked(ms_tar, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="session")
def other_channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same observation in half the channels."""
    folder = tmp_path_factory.mktemp("other")
    return unpacked(small_set(folder, channels=2), folder)
