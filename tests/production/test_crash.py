"""Kill -9, whatever the moment: the same command makes the same products, and nothing is lost, doubled or left."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.production.conftest import Desk
from tests.production.soundness import (
    asked,
    end_the_machine,
    history,
    is_as_if_nothing_had_happened,
    is_sound,
    running,
)

KILLS = int(os.environ.get("LOFARGRID_KILLS", "5"))
KILLS_A_LIFE = 5
SEED = int(os.environ.get("LOFARGRID_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
AGAIN = f"the same moments: LOFARGRID_TEST_SEED={SEED} LOFARGRID_KILLS={KILLS}"
PATIENCE_S = 300.0

pytestmark = pytest.mark.usefixtures("seed")


@pytest.fixture
def seed() -> None:
    """What a failure shows of its captured output."""
    print(AGAIN)


# kill -9, at random moments


@dataclass(frozen=True)
class Undisturbed:
    """The demo as it goes when nobody kills it."""

    desk: Desk
    seconds: float
    events: int


def is_the_same_as(desk: Desk, products: Path) -> None:
    said = desk("compare", str(products), "products")
    assert "DIFFER" not in said.out
    assert said.out.count("same") == len(list(products.iterdir()))


def small(observations: Path, folder: Path) -> Desk:
    """A desk with the demo's production over a few of its subbands, and a small image."""
    shutil.copytree(observations, folder / "desk", copy_function=os.link)
    desk = Desk(folder / "desk", folder / "tracker")
    for name in ("L900001.surls", "L900002.surls"):
        lines = desk.folder / name
        text = "".join(lines.read_text().splitlines(keepends=True)[:SUBBANDS_AND_HEAD])
        lines.unlink()
        lines.write_text(text)
    desk.write(parameters={"calibrator_skymodel": "calibrator.skymodel", "target_skymodel": "target.skymodel",
                           "group_size": 2, "image_size": 512})  # fmt: skip
    return desk


SUBBANDS_AND_HEAD = 4


@pytest.fixture(scope="module")
def undisturbed(observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    desk = small(observations, tmp_path_factory.mktemp("undisturbed"))
    began = time.monotonic()
    desk("run", "production.yaml")
    seconds = time.monotonic() - began
    is_as_if_nothing_had_happened(desk, desk.products())
    [(events,)] = asked(desk, "SELECT count(*) FROM events")
    return Undisturbed(desk, seconds, int(str(events)))


def wait_for_a_moment(desk: Desk, process: subprocess.Popen[str], chance: random.Random, whole: Undisturbed) -> str:
    """Wait until a random time has passed, or a random number of lines stands in the history."""
    share = KILLS_A_LIFE / 1.5
    by_history = chance.random() < 0.5
    seconds, lines = chance.uniform(0, whole.seconds / share), chance.randint(1, int(whole.events / share))
    if not by_history:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return f"after {seconds:.3f} s"
    before = history(desk)
    limit = time.monotonic() + PATIENCE_S
    while history(desk) < before + lines and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)  # another process writes it; there is nothing of ours to wait on
    return f"at line {before + lines} of the history"


@pytest.mark.parametrize("life", range(-(-KILLS // KILLS_A_LIFE)))
def test_a_demo_that_is_killed_at_random_moments_makes_the_same_products(
    observations: Path, undisturbed: Undisturbed, tmp_path: Path, life: int
) -> None:
    chance = random.Random(f"{SEED} {life}")
    left = min(KILLS_A_LIFE, KILLS - life * KILLS_A_LIFE)
    for birth in range(100):
        folder = tmp_path / str(birth)
        desk = small(observations, folder)
        while left:
            with running(desk) as process:
                moment = wait_for_a_moment(desk, process, chance, undisturbed)
                whole_machine = chance.random() < 0.4
                process.kill()
                if process.wait() != -signal.SIGKILL:
                    print(f"done before it could be killed {moment}")
                    break
                if whole_machine:
                    end_the_machine(folder)
            left -= 1
            print(f"killed {moment}, {'with all runners' if whole_machine else 'alone'}; {history(desk)} lines")
            is_sound(desk)
        desk("run", "production.yaml")
        is_as_if_nothing_had_happened(desk, undisturbed.desk.products())
        is_the_same_as(desk, undisturbed.desk.folder / "products")
        if not left:
            return
