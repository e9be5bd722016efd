"""Black holes: few jobs are lost to a bad node, it comes back soon after its repair, and bad data blame no node."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lofargrid_runner.contract import Reason

from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.simulation.breakdowns import HOLES
from lofargrid.simulation.faults import Cause, Flaw
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.nodes import Trouble

pytestmark = pytest.mark.service
BEGIN_S, REPAIR_S = 1800.0, 4 * 3600.0


class Story:
    """A campaign on two sites of which one has a node that becomes a black hole and is repaired."""

    def __init__(self, folder: Path, seed: int, hole: Reason | None, slots_per_node: int = 1) -> None:
        recipes = lofar.campaign(3, ["T1-1"], subbands=60)
        sites = lofar.sites(1, 1, slots=max(12, 6 * slots_per_node))
        grid = Grid(sites, seed, work=lofar.WORK, slots_per_node=slots_per_node)
        self.grid = lofar.with_files(grid, recipes)
        nodes = self.grid.nodes["T1-1"]
        self.host = nodes[seed % len(nodes)].host
        self.grid.breakdowns.plan(
            self.grid.node(self.host), Trouble.BLACK_HOLE, BEGIN_S, REPAIR_S - BEGIN_S, hole
        )  # fmt: skip
        rehearsal = Rehearsal(self.grid, folder / "tracker.db")
        rehearsal.enter(recipes)
        assert rehearsal.run(timedelta(days=10), period_s=30.0).ended
        self.counts = rehearsal.tracker.counts(1)
        self.told = rehearsal.tracker.rows("SELECT * FROM site_events WHERE node = ? ORDER BY id", self.host)
        rehearsal.close()

    @property
    def lost(self) -> list[float]:
        """When jobs ended that the hole took, in virtual seconds; probes are no jobs."""
        ends = [one for one in self.grid.measure.attempts if one.node == self.host and one.cause is Cause.BLACK_HOLE]
        return [one.ended_s for one in ends if one.step != "probe"]

    def told_s(self, word: str) -> list[float]:
        start = self.grid.clock.now().timestamp() - self.grid.clock.elapsed_s
        return [datetime.fromisoformat(row["at"]).timestamp() - start for row in self.told if word in row["text"]]


@pytest.mark.parametrize("hole", HOLES, ids=[str(hole or "no-report") for hole in HOLES])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_black_hole_gets_three_jobs_at_most_and_is_back_soon_after_its_repair(
    tmp_path: Path, seed: int, hole: Reason | None
) -> None:
    story = Story(tmp_path, seed, hole)
    lost, quarantined, back = story.lost, story.told_s("quarantined until"), story.told_s("back from quarantine")
    print(f"lost {len(lost)}, quarantined {quarantined[0] - lost[1]:.0f} s after the second, "
          f"back {back[0] - REPAIR_S:.0f} s after its repair")  # fmt: skip
    assert len(lost) <= 3
    assert quarantined[0] - lost[1] <= 60
    assert 0 <= back[0] - REPAIR_S <= 1800
    after = [one for one in story.grid.measure.attempts if one.node == story.host and one.started_s > back[0]]
    assert any(one.succeeded and one.step != "probe" for one in after)


@pytest.mark.parametrize("hole", HOLES, ids=[str(hole or "no-report") for hole in HOLES])
@pytest.mark.parametrize("slots", [4, 8])
def test_a_black_hole_with_many_slots_gets_at_most_one_job_more(
    tmp_path: Path, slots: int, hole: Reason | None
) -> None:
    """What runs in its other slots ends well all the while; when several are free at once each gets a job."""
    story = Story(tmp_path, 2, hole, slots)
    lost, quarantined = story.lost, story.told_s("quarantined until")
    print(f"{slots} slots: lost {len(lost)}, quarantined {quarantined[0] - lost[1]:.0f} s after the second")
    assert len(lost) <= 4
    assert quarantined[0] - lost[1] <= 120


@pytest.mark.parametrize("flaw", list(Flaw))
def test_a_bad_file_that_fails_on_good_nodes_puts_none_in_quarantine(flaw: Flaw) -> None:
    [recipe] = lofar.campaign(1, ["T1-1"], subbands=40)
    grid = Grid(lofar.sites(1, 0, slots=10), seed=1, work=lofar.WORK)
    for number, one in enumerate(recipe.subbands):
        grid.add_file(one.url, one.size_bytes or 0, flaw=flaw if number == 7 else None)
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db")
        rehearsal.enter([recipe])
        for _ in range(5):  # the operator tries it on five nodes
            assert rehearsal.run(timedelta(days=10), period_s=30.0).ended
            rehearsal.retry_failed()
        assert rehearsal.run(timedelta(days=10), period_s=30.0).ended
        told = rehearsal.tracker.rows("SELECT text FROM site_events")
        nodes = {one.node for one in grid.measure.attempts if one.cause is Cause.BAD_FILE}
        rehearsal.close()
    assert len(nodes) >= 5
    assert told == []
