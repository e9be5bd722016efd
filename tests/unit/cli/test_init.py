"""`init L654321`: a list out of a catalogue, and a production that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.unit.cli.seat import Seat

FOLDER = "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops/projects/lc9_001/654321"


@pytest.fixture
def export(seat: Seat) -> Path:
    """The export of a query: four subbands of an observation, and one of another."""
    rows = ["surl,filesize,project,releasedate"]
    rows += [f"{FOLDER}/L654321_SAP000_SB{n:03d}_uv.MS_1a2b3c4d.tar,36000000000,LC9_001,2027-03-01" for n in range(4)]
    rows.append(f"{FOLDER}/L654322_SAP000_SB000_uv.MS_1a2b3c4d.tar,1,LC9_001,2027-03-01")
    path = seat.desk / "export.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_an_observation_alone_is_flagged_and_averaged(seat: Seat, export: Path) -> None:
    said = seat("init", "L654321", "--catalogue", "export.csv")
    document = yaml.safe_load(said.out)
    assert (document["pipeline"], document["inputs"]) == ("flag-average", {"target": "L654321.surls"})
    assert said.err == (
        "L654321.surls: 4 subbands, 144.0 GB, 4 at SURF, of the project LC9_001, public from 2027-03-01\n"
    )
    lines = (seat.desk / "L654321.surls").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("_1a2b3c4d.tar\tsize_bytes=36000000000\tproject=LC9_001\tpublic_from=2027-03-01")
    (seat.desk / "new.yaml").write_text(said.out)
    assert "4 target subbands" in seat("plan", "new.yaml").out


def test_each_role_takes_one_in_place_of_a_list(seat: Seat, export: Path) -> None:
    seat.environment["LOFARGRID_CATALOGUE"] = "export.csv"
    words = ["--calibrator", "L654322", "--target=L654321", "--name", "field"]
    said = seat("init", "--pipeline", "calibrate-image", *words)
    assert yaml.safe_load(said.out)["inputs"] == {"calibrator": "L654322.surls", "target": "L654321.surls"}
    assert seat("init", "--pipeline", "calibrate-image", *words).out == said.out, "the same lists do no harm"


def test_a_list_that_is_there_is_not_written_over(seat: Seat, export: Path) -> None:
    (seat.desk / "L654321.surls").write_text("mine\n")
    said = seat("init", "L654321", "--catalogue", "export.csv", code=2)
    assert said.err == "L654321.surls: another list of that name is there. Move it away\n"
    assert (seat.desk / "L654321.surls").read_text() == "mine\n"
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("L654321",),
            "--catalogue: no catalogue is named. Name the file of an export or the https:// address of",
        ),
        (
            ("L1", "--catalogue", "export.csv"),
            "the catalogue has no subbands of L1, but 5 other files. Check the",
        ),
        ((), "--pipeline: no pipeline is named. `pipelines` lists them"),
        (("L654321", "--catalogue", "none.csv"), "none.csv: the catalogue cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_is_told(seat: Seat, export: Path, words: tuple[str, ...], told: str) -> None:
    said = seat("init", *words, code=2)
    assert said.err.startswith(told)
    assert list(seat.desk.glob("*.surls")) == [seat.desk / "data.surls"]
