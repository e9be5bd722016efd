"""Small rehearsals: one observation of a few subbands on a grid of two sites, in a blink."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.simulation.grid import Grid

NAME = "L654001-SAP000"
BANDS = (f"{NAME}-G0306-band", f"{NAME}-G0307-band")


def recipe(subbands: int = 4, group: int = 2, **changes: Any) -> Recipe:
    """Averaged by subband, joined to bands of two, imaged."""
    return replace(lofar.observation(1, "T1-1", subbands), parameters={"group_size": group}, **changes)


def rehearsal(folder: Path, one: Recipe | None = None, slots: int = 4, **changes: Any) -> Rehearsal:
    """A production entered, on sites where nothing goes wrong."""
    entered = one or recipe()
    grid = lofar.with_files(Grid(lofar.sites(1, 1, slots), 1, work=lofar.WORK), [entered])
    made = Rehearsal(grid, folder / "tracker.db", **changes)
    made.enter([entered])
    return made


def ended(folder: Path, one: Recipe | None = None, slots: int = 4) -> Rehearsal:
    """A production that has been made."""
    made = rehearsal(folder, one, slots)
    assert made.run(timedelta(days=2)).ended
    return made
