"""A large campaign for `tracker.py`: its recipes, a past for half of it, and a batch system that does as it is told."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from lofargrid_runner.contract import JobSpec, Report, StoredFile, to_json

from lofargrid.backends.base import Changes, Observation
from lofargrid.documents.pipelines import read_pipeline
from lofargrid.documents.software import Software, Values
from lofargrid.engine.engine import Engine, Places
from lofargrid.model import Site, Subband
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import Phase
from lofargrid.storage.local import LocalStorage
from lofargrid.tracker import Tracker

HERE = Path(__file__).resolve().parent
SUBBANDS = 488
SUBBAND_HZ = 195312.5
SLOTS = 200
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START.isoformat(timespec="milliseconds")


def name(number: int) -> str:
    """The name of a production."""
    return f"field-{number:05d}"


def image(number: int) -> str:
    """The job that comes last in a production."""
    return f"{_observation(number)}-SAP000-image"


def _observation(number: int) -> str:
    return f"L{600000 + number}"


@cache
def _model() -> Recipe:
    folder = HERE / "pipelines" / "bands"
    pipeline = read_pipeline(folder)
    return Recipe(
        production="", pipeline=pipeline, parameters={"group_size": 10, "average_time": 4}, subbands=(), output="",
        software="local", backend="local", gaps="flag", minimum_subbands=0.95, keep_intermediates=False, digests={},
        files={}, templates={"average.parset.j2": (folder / "average.parset.j2").read_text()},
    )  # fmt: skip


def recipes(count: int, listed: bool) -> Iterator[Recipe]:
    """One observation of 488 subbands each. With ``listed`` frequencies groups can be made at once."""
    for number in range(count):
        observation = _observation(number)
        folder = f"srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops/projects/lc20_020/{observation[1:]}"
        subbands = tuple(
            Subband(
                "target", observation, 0, one, f"{folder}/{observation}_SAP000_SB{one:03d}_uv.MS_{one:08x}.tar",
                f"/home/someone/campaign/{observation}.surls", one + 1, 67_000_000_000, f"{one:08x}",
                (512 + one) * SUBBAND_HZ if listed else None,
            )
            for one in range(SUBBANDS)
        )  # fmt: skip
        yield replace(_model(), production=name(number), subbands=subbands, output=f"file:///nowhere/{name(number)}")


def age(tracker: Tracker, productions: int) -> None:
    """Give the first productions a past: all their jobs have succeeded at the first attempt, long ago."""
    chosen = f"production_id <= {productions}"
    with tracker.transaction():
        tracker.write(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, batch_id, intended, started, ended,"
            " report) SELECT 'past-' || id, id, 1, 'ended', 'batch', 'T2', 'wn' || id % 1000, id || '.0',"
            " '2023-01-01T00:00:00.000+00:00', '2023-01-01T00:00:00.000+00:00', '2023-01-01T01:00:00.000+00:00', '{}'"
            f" FROM jobs WHERE {chosen}"
        )
        tracker.write(
            "INSERT INTO files (attempt, name, job_id, filename, url, size_bytes, adler32, state, product, published)"
            " SELECT 'past-' || id, 'ms', id, name || '.MS.tar', 'file:///scratch/' || name, 1000000000, '0badcafe',"
            " 'deleted', step <> 'average', CASE WHEN step = 'average' THEN '' ELSE 'file:///data/' || name END"
            f" FROM jobs WHERE {chosen}"
        )
        for old, new in itertools.pairwise(("waiting", "ready", "submitted", "running", "succeeded")):
            tracker.write(
                "INSERT INTO events (at, production_id, job_id, attempt, old, new)"
                f" SELECT ?, production_id, id, 'past-' || id, ?, ? FROM jobs WHERE {chosen}", NOW, old, new,
            )  # fmt: skip
        tracker.write(f"DELETE FROM awaited WHERE job_id IN (SELECT id FROM jobs WHERE {chosen})")
        tracker.write(f"DELETE FROM expansions WHERE {chosen}")
        tracker.write(f"UPDATE jobs SET state = 'succeeded', unmet = 0, attempt = 'past-' || id WHERE {chosen}")


class Batch:
    """A batch system in which nothing happens but by `end`."""

    name = "batch"

    def __init__(self) -> None:
        self._told: list[Observation] = []
        self._going: dict[str, JobSpec] = {}

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """Take attempts and run them at once."""
        for spec in jobs:
            self._going[spec.attempt] = spec
            self._told.append(Observation(spec.attempt, Phase.RUNNING, node=f"wn{len(self._told) % 50}"))

    def end(self, count: int) -> int:
        """Let some attempts succeed, the longest running first; tell how many."""
        ending = list(self._going.values())[:count]
        for spec in ending:
            del self._going[spec.attempt]
            outputs = tuple(
                StoredFile(one.name, one.filename, f"{spec.destination}/{one.filename}", 10**9, "0badcafe")
                for one in spec.outputs
            )
            number = int(spec.job.partition("-SB")[2][:3] or 0)
            measured = {"averaged": {"centre_frequency_hz": (512 + number) * SUBBAND_HZ, "clock_mhz": 200}}
            report = Report(spec.attempt, spec.job, "succeeded", "done", outputs=outputs, measurements=measured)
            self._told.append(Observation(spec.attempt, Phase.ENDED, report, to_json(report)))
        return len(ending)

    def changes(self, cursor: str | None) -> Changes:
        """Tell what was not told before."""
        told = self._told[int(cursor or 0) :]
        return Changes(str(len(self._told)), tuple(told))

    def cancel(self, attempts: Sequence[str]) -> None:
        """Nobody cancels here."""

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """All nodes are well."""

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """There are no logs."""
        return []

    def wait(self, timeout_s: float) -> None:
        """Nothing happens by itself."""

    def close(self) -> None:
        """Nothing is held."""


class Running:
    """An engine over a tracker, with a site of few places that are all taken."""

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self.tracker = tracker
        self._batch = Batch()
        self._time = START
        sites = {"T2": Site("T2", slots=SLOTS, prefixes=("srm://srm.grid.sara.nl:8443/",), scratch=f"file://{folder}")}
        software = Software("local", (), {}, {}, Values(), {}, {})
        places = Places(
            "someone", "someone@example.org", lambda recipe: "/sandbox",
            lambda recipe, site: f"file://{folder}/{recipe.production}", lambda recipe: (software, {}),
        )  # fmt: skip
        self._engine = Engine(tracker, self._batch, sites, LocalStorage(), places, lambda: self._time)

    def tick(self) -> int:
        """Tick once, a minute later than before; tell how many moves were made."""
        self._time += timedelta(minutes=1)
        tick = self._engine.tick()
        assert not tick.troubles, tick.troubles
        return tick.moves

    def end(self, count: int) -> None:
        """Let some attempts end before the next tick."""
        ended = self._batch.end(count)
        assert ended == count, f"only {ended} attempts were running"
