"""The shipped pipelines beside the demo's: the user's own commands, and observations of several beams."""

import tarfile
from pathlib import Path

import pytest

from tests.production.conftest import Desk

AVERAGE = "DP3 msin={input} msout={output} steps=[avg] avg.type=averager avg.timestep=2 checkparset=1"
SOLVE = (
    "DP3 msin={input} msout=. steps=[cal] cal.type=gaincal cal.caltype=diagonal cal.solint=0"
    " cal.sourcedb={files}/calibrator.skymodel cal.parmdb={output} checkparset=1"
)


def custom(desk: Desk, **parameters: object) -> Path:
    return desk.write(
        pipeline="custom",
        inputs={"data": "L900001.surls"},
        parameters=parameters,
        policy={"minimum_subbands": 0.95, "gaps": "flag"},
    )


def members(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return sorted(member.name for member in archive if member.isfile())


def test_a_command_of_the_users_own_with_every_output_a_product(short: Desk) -> None:
    custom(short, command=AVERAGE)
    short("run", "production.yaml")
    assert len([name for name in short.products() if name.endswith(".MS.tar")]) == 8


def test_outputs_in_one_tar(short: Desk) -> None:
    custom(short, command="cp {input}/table.info {output}", kind="other", merge="tar")
    short("run", "production.yaml")
    tar = short.folder / "products" / "L900001-SAP000-other_tar.tar"
    assert len(members(tar)) == 8


def test_outputs_joined_to_bands(short: Desk) -> None:
    custom(short, command=AVERAGE, merge="concat", group_size=4)
    short("run", "production.yaml")
    bands = [name for name in short.products() if name.endswith(".MS.tar")]
    assert [name.split("-")[3] for name in bands] == ["ms_concat.MS.tar"] * 2


def test_solutions_in_one_table_with_files_that_come_along(short: Desk) -> None:
    custom(short, command=SOLVE, files=["calibrator.skymodel"], output="cal.h5", kind="h5parm", merge="h5parm")
    short("run", "production.yaml")
    assert (short.folder / "products" / "L900001-SAP000-h5parm_merge.h5").stat().st_size > 0


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("DP3 msin={input} msout={output} steps=[avg] avg.type=averager avg.timstep=2 checkparset=1", "payload-failed"),
        ("true", "output-missing"),
        ("no-such-program {input}", "software-missing"),
    ],
)
def test_a_command_that_is_wrong_is_told_by_its_cause(short: Desk, command: str, reason: str) -> None:
    custom(short, command=command)
    short("run", "production.yaml", code=None)
    assert reason in short("why", "field").out.splitlines()[0]


def test_groups_and_images_never_cross_a_beam(tmp_path: Path) -> None:
    desk = Desk(tmp_path, tmp_path / "tracker")
    desk("demo-data", "data", "--subbands", "4", "--times", "16", "--target-saps", "2")
    beams = Desk(tmp_path / "data", tmp_path / "tracker")
    beams.flag_average()
    beams("run", "production.yaml")
    bands = [name for name in beams.products() if name.endswith(".MS.tar")]
    assert sorted(name.split("-")[1] for name in bands) == ["SAP000", "SAP001"]
    for name in bands:
        inputs = beams.provenance(name)["inputs"]
        assert {one["subband"].split("-")[1] for one in inputs} == {name.split("-")[1]}
        assert len(inputs) == 4
