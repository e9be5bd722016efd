import tarfile
from pathlib import Path

import pytest

from lofargrid.demo import DemoFiles, DemoOptions, make_demo_data

STATIONS = ("CS026HBA0", "CS302HBA0", "RS106HBA", "RS208HBA")


@pytest.fixture(scope="session")
def small_options() -> DemoOptions:
    return DemoOptions(subbands=4, times=4, channels=4, stations=STATIONS, faint_sources=3, target_saps=2, gaps=(2,))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, small_options: DemoOptions) -> DemoFiles:
    """A small observation pair that tests read and leave as it is."""
    return make_demo_data(tmp_path_factory.mktemp("demo") / "made here", small_options)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory, demo: DemoFiles) -> Path:
    """The second target subband, as an archive user has it after tar xf."""
    folder = tmp_path_factory.mktemp("unpacked")
    tar = demo.target_tars[1]
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    return folder / tar.name.rsplit("_", 1)[0]
