from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lofargrid.recipes.sandboxes import pack_runner
from tests.contracts.backends import SITE, Condor, Harness, Local, Scripted, Simulated
from tests.grid.authority import Authority, Holder
from tests.grid.opening import opened_pool
from tests.grid.pool import Node, Pool
from tests.grid.voms import VO


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true zipapp, as it is shipped."""
    return pack_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def vo(tmp_path_factory: pytest.TempPathFactory) -> VO:
    """One that nobody has revoked anything in yet."""
    folder = tmp_path_factory.mktemp("a vo")
    return VO(folder, Authority(folder))


@pytest.fixture(scope="module")
def janneke(vo: VO) -> Holder:
    return vo.authority.user("People", "Janneke de Vries")


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """A pool with one site of two nodes."""
    with opened_pool([Node(SITE, "wn1", 4, 40000), Node(SITE, "wn2", 4, 40000)]) as one:
        yield one


@pytest.fixture
def elsewhere(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Speak to the pool from another machine."""
    import htcondor2

    with monkeypatch.context() as patch:
        for name, value in pool.environment_of("laptop").items():
            patch.setenv(name, value)
        htcondor2.reload_config()
        yield
    htcondor2.reload_config()


SERVICES = ("htcondor", "htcondor elsewhere")


@pytest.fixture(
    params=["scripted", "local", "simulated", *(pytest.param(one, marks=pytest.mark.service) for one in SERVICES)]
)
def harness(request: pytest.FixtureRequest, tmp_path: Path, runner: Path) -> Iterator[Harness]:
    made: dict[str, Callable[[], Harness]] = {
        "scripted": lambda: Scripted(tmp_path),
        "local": lambda: Local(tmp_path, runner),
        "simulated": lambda: Simulated(tmp_path),
        "htcondor": lambda: Condor(tmp_path, runner),
        "htcondor elsewhere": lambda: Condor(tmp_path, runner),
    }
    if request.param in SERVICES:
        request.getfixturevalue("pool" if request.param == "htcondor" else "elsewhere")
    one = made[request.param]()
    yield one
    one.close()


@pytest.fixture(params=["simulated"])
def cluster(tmp_path: Path) -> Iterator[Simulated]:
    """Backends that have several nodes."""
    one = Simulated(tmp_path)
    yield one
    one.close()
