"""Small values to test with: subbands, pipelines, recipes and jobs, and the faults that reading something gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lofargrid.decisions.splitting import SplitStep
from lofargrid.documents.pipelines import Pipeline
from lofargrid.documents.production import ProductionDocument, read_production
from lofargrid.errors import Fault, InputError
from lofargrid.frequency import AbsoluteSubband
from lofargrid.model import Job, PlannedJob, Slot, Subband
from lofargrid.recipes.freezing import read_recipe
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState

CONTENT = Path(__file__).parents[2]
SHIPPED = sorted(path.parent.name for path in (CONTENT / "sandbox").glob("*/pipeline.yaml"))


def faults_of(call: Callable[..., object], *arguments: Any) -> tuple[Fault, ...]:
    """What a call that must fail finds wrong."""
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return caught.value.faults


def subband(number: int = 0, **changes: Any) -> Subband:
    one = Subband(
        role="target",
        observation="L654321",
        sap=0,
        number=number,
        url=f"file:///raw/L654321_SAP000_SB{number:03d}_uv.MS_1a2b3c4d.tar",
        source="target.surls",
        line=number + 1,
    )
    return replace(one, **changes)


def at(number: int, clock_mhz: int = 200) -> AbsoluteSubband:
    """A place in the spectrum; 512 is the first of the HBA at 100 MHz."""
    return AbsoluteSubband(clock_mhz, number)


AVERAGE: dict[str, Any] = {
    "over": "target",
    "split": "subband",
    "inputs": {"raw": {"from": "target", "path": "raw.MS"}},
    "commands": [["average", "{{ strength }}"]],
    "outputs": {"ms": {"path": "averaged.MS", "suffix": ".MS.tar"}},
}
JOIN: dict[str, Any] = {
    "over": "target",
    "split": {"group": "group_size"},
    "inputs": {"ms": {"from": "average.ms", "path": "in/{key}.MS"}},
    "commands": [["join"]],
    "outputs": {"ms": {"path": "band.MS", "suffix": ".MS.tar", "product": True}},
}
IMAGE: dict[str, Any] = {
    "over": "target",
    "split": "all",
    "inputs": {"ms": {"from": "join.ms", "path": "in/{key}.MS"}},
    "commands": [["image", "*inputs.ms"]],
    "outputs": {"fits": {"path": "image.fits", "suffix": ".fits", "product": True}},
}
SOLVE: dict[str, Any] = {
    "over": "calibrator",
    "split": "subband",
    "inputs": {"raw": {"from": "calibrator", "path": "raw.MS"}},
    "commands": [["solve"]],
    "outputs": {"gains": {"path": "gains.h5", "suffix": ".h5"}},
}
COLLECT: dict[str, Any] = {
    "over": "calibrator",
    "split": "all",
    "inputs": {"gains": {"from": "solve.gains", "path": "in/{key}.h5"}},
    "commands": [["collect", "*inputs.gains"]],
    "outputs": {"gains": {"path": "all.h5", "suffix": ".h5"}},
}
APPLY: dict[str, Any] = {
    **AVERAGE,
    "inputs": {**AVERAGE["inputs"], "gains": {"from": "collect.gains", "path": "gains.h5"}},
}
BANDS: dict[str, Any] = {"average": AVERAGE, "join": JOIN, "image": IMAGE}
CALIBRATED: dict[str, Any] = {"solve": SOLVE, "collect": COLLECT, "average": APPLY, "join": JOIN, "image": IMAGE}


def pipeline_data(steps: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """pipeline.yaml of a pipeline that averages each subband, joins them to bands and makes one image."""
    steps = BANDS if steps is None else steps
    roles = dict.fromkeys(step["over"] for step in steps.values())
    return {
        "pipeline": "bands",
        "version": "1",
        "description": "A pipeline of tests",
        "roles": {role: {"description": f"The {role}"} for role in roles},
        "parameters": {
            "group_size": {"type": "int", "default": 10, "minimum": 1, "description": "Subbands of a band"},
            "strength": {"type": "int", "default": 1, "description": "How strong"},
        },
        "steps": dict(steps),
        **changes,
    }


def pipeline(steps: Mapping[str, Any] | None = None, **changes: Any) -> Pipeline:
    return Pipeline.model_validate(pipeline_data(steps, **changes))


def split_steps(steps: Mapping[str, Any] | None = None, size: int = 10) -> list[SplitStep]:
    return [SplitStep(name, step, f"content of {name}", size) for name, step in pipeline(steps).steps.items()]


def planned(name: str, *needs: str, signature: str = "s", **changes: Any) -> PlannedJob:
    job = PlannedJob(name, "step", "target", 0, name, signature, (name,), needs)
    return replace(job, **changes)


def job(
    key: str = "L654321-SAP000-G0052",
    step: str = "join",
    state: JobState = JobState.WAITING,
    subbands: Sequence[str] = (),
    slots: Sequence[Slot] = (),
    **changes: Any,
) -> Job:
    one = Job(
        id=1,
        production="field",
        name=f"{key}-{step}",
        step=step,
        role="target",
        sap=0,
        key=key,
        generation=1,
        signature="s",
        state=state,
        reason=None,
        detail="",
        tries=0,
        unmet=0,
        stale=False,
        subbands=tuple(subbands),
        slots=tuple(slots),
        attempt=None,
        updated="",
    )
    return replace(one, **changes)


class Desk:
    """A user's folder with production.yaml and a list, a pipeline's folder and the common scripts, all real files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"
        self.pipeline = folder / "sandbox" / "bands"
        self.common = folder / "sandbox" / "common"
        for made in (self.folder, self.pipeline, self.common):
            made.mkdir(parents=True)
        self.subbands = [f"L654321_SAP000_SB{number:03d}_uv.MS_1a2b3c4d.tar" for number in range(4)]
        self.content = pipeline_data()
        self.document: dict[str, Any] = {
            "production": "field",
            "pipeline": "bands",
            "inputs": {"target": "target.surls"},
            "output": "out",
        }

    @property
    def file(self) -> Path:
        return self.folder / "production.yaml"

    def write(self) -> ProductionDocument:
        lists = {"target": self.subbands, "calibrator": [name.replace("L654321", "L654320") for name in self.subbands]}
        for role, names in lists.items():
            (self.folder / f"{role}.surls").write_text("".join(f"{name}\n" for name in names))
        (self.pipeline / "pipeline.yaml").write_text(yaml.safe_dump(self.content, sort_keys=False))
        self.file.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return read_production(self.file)

    def recipe(self, **document: Any) -> Recipe:
        """Write everything and freeze it; ``document`` changes production.yaml."""
        self.document |= document
        return read_recipe(self.write(), self.file, self.pipeline, self.common)
