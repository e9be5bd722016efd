"""What DP3 says "all is well" to when subbands are joined, and the measurement that does not believe it."""

import shutil
from pathlib import Path

import pytest
from casacore.tables import table

pytestmark = pytest.mark.service
NAMES = [f"sb{number}.MS" for number in range(4)]
JOIN = ("msin.orderms=false", "msin.missingdata=true", "steps=[]")


@pytest.fixture
def group(inspect, engine):
    """The context of a step that joins subbands, as the engine makes it, and the verdict on what came out."""

    def judge(merged: Path, inputs: dict[str, Path], first=0, last=3):
        measured = {name: inspect("inspect_ms", path) for name, path in inputs.items()}
        width, channels = (next(iter(measured.values()))[key] for key in ("channel_width_hz", "channels"))
        slots = [{"key": name, "present": name in inputs} for name in NAMES[first : last + 1]]
        low = (700 + first - 0.5) * 200e6 / 1024 + width / 2
        context = {
            **engine.parameters("flag-average"),
            "inputs": {"ms": [{"key": name, "measurements": found} for name, found in measured.items()]},
            "slots": slots,
            "grid": {
                "frequencies_hz": [low + n * width for n in range(channels * len(slots))],
                "channels": channels * len(slots),
                "absent_channels": channels * sum(not slot["present"] for slot in slots),
                "regular": True,
            },
        }
        expect = engine.pipeline("flag-average")["steps"]["join"]["checks"]["band"]["expect"]
        return engine.broken(expect, inspect("inspect_ms", merged), context)

    return judge


@pytest.fixture
def sets(subbands) -> dict[str, Path]:
    return {name: subbands / name for name in NAMES}


def test_an_ordered_list_is_as_expected(tmp_path, subbands, sets, dp3, group):
    out = tmp_path / "out.MS"
    assert dp3(subbands, "msin=[sb0.MS,sb1.MS,sb2.MS,sb3.MS]", f"msout={out}", *JOIN).returncode == 0
    assert group(out, sets) == set()


@pytest.mark.parametrize(
    ("names", "keys", "exposed"),
    [
        ("sb2.MS,sb0.MS,sb3.MS,sb1.MS", JOIN, {"frequencies_hz", "regular", "channel_rms"}),
        (
            "sb0.MS,sb1.MS,sb3.MS",
            ("msin.orderms=true", "steps=[]"),
            {"frequencies_hz", "regular", "channels"},
        ),
        ("sb0.MS,sb1.MS,sb1.MS,sb3.MS", JOIN, {"frequencies_hz", "regular", "channel_rms"}),
        ("sb0.MS,sb1.MS,sb1.MS,sb2.MS,sb3.MS", JOIN, {"frequencies_hz", "regular", "channels"}),
    ],
    ids=["shuffled", "left out", "doubled for another", "doubled"],
)
def test_a_wrong_list_ends_with_code_0_and_is_exposed(tmp_path, subbands, sets, dp3, group, names, keys, exposed):
    out = tmp_path / "out.MS"
    assert dp3(subbands, f"msin=[{names}]", f"msout={out}", *keys).returncode == 0
    assert exposed <= group(out, sets)


@pytest.mark.parametrize("present", [{0, 2, 3}, {1, 2, 3}, {0, 1, 2}, {0}, {2}, {3}], ids=str)
def test_absent_subbands_are_filled_wherever_they_stand(tmp_path, subbands, sets, dp3, group, inspect, present):
    out, names = tmp_path / "out.MS", [name if n in present else f"absent{n}" for n, name in enumerate(NAMES)]
    assert dp3(subbands, f"msin=[{','.join(names)}]", f"msout={out}", *JOIN).returncode == 0
    assert group(out, {NAMES[n]: sets[NAMES[n]] for n in present}) == set()
    absent = [4 * n + channel for n in range(4) if n not in present for channel in range(4)]
    assert inspect("inspect_ms", out)["fully_flagged_channel_list"] == absent


def test_a_subband_that_should_be_there_and_is_not_is_exposed(tmp_path, subbands, sets, dp3, group):
    out = tmp_path / "out.MS"
    keys = ("msin.orderms=false", "msin.missingdata=false", "steps=[]")
    assert dp3(subbands, "msin=[sb0.MS,mistyped,sb2.MS,sb3.MS]", f"msout={out}", *keys).returncode == 0
    assert group(out, sets) == {"channel_rms", "flagged_fraction", "fully_flagged_channels"}


def test_ordering_by_dp3_fails_with_absent_subbands(tmp_path, subbands, dp3):
    keys = ("msin.orderms=true", "msin.missingdata=true", "steps=[]")
    done = dp3(subbands, "msin=[sb0.MS,absent,sb2.MS]", f"msout={tmp_path / 'out.MS'}", *keys)
    assert done.returncode == 1
    assert "Cannot order the MSs if some are missing" in done.stdout + done.stderr


@pytest.mark.parametrize("pipeline", ["calibrate-image", "flag-average", "custom"])
def test_the_template_joins_a_band_of_one(tmp_path, subbands, run, group, engine, pipeline):
    from jinja2 import Environment, StrictUndefined

    template = {"flag-average": "join"}.get(pipeline, "concat")
    text = Path(__file__).parents[3].joinpath("sandbox", pipeline, f"{template}.parset.j2").read_text()
    context = {"slots": [{"path": subbands / "sb2.MS"}], "resources": {"cores": 1}, "compress": False}
    parset = tmp_path / "join.parset"
    parset.write_text(Environment(undefined=StrictUndefined).from_string(text).render(context))
    done = run(tmp_path, "DP3", "join.parset")
    assert done.returncode == 0, done.stdout + done.stderr
    assert group(tmp_path / "band.MS", {"sb2.MS": subbands / "sb2.MS"}, 2, 2) == set()


def test_data_zeroed_after_their_check_are_exposed(tmp_path, subbands, sets, dp3, group, change):
    zeroed = change(subbands / "sb1.MS", tmp_path / "sb1.MS", "DATA", lambda data: data.fill(0))
    out = tmp_path / "out.MS"
    assert dp3(subbands, f"msin=[sb0.MS,{zeroed},sb2.MS,sb3.MS]", f"msout={out}", *JOIN).returncode == 0
    assert {"zero_fraction", "channel_rms"} <= group(out, sets)


def test_64_flipped_bytes_are_exposed(tmp_path, subbands, sets, dp3, group):
    shutil.copytree(subbands / "sb1.MS", tmp_path / "sb1.MS")
    flip(tmp_path / "sb1.MS", row=61, count=64)
    out = tmp_path / "out.MS"
    joined = dp3(subbands, f"msin=[sb0.MS,{tmp_path / 'sb1.MS'},sb2.MS,sb3.MS]", f"msout={out}", *JOIN)
    assert joined.returncode == 0
    assert "channel_rms" in group(out, sets)


def flip(ms: Path, row: int, count: int) -> None:
    """Turn the first bytes of the visibilities of a row round, in the file that holds them."""
    with table(str(ms), ack=False) as main:
        stored = main.getcell("DATA", row).tobytes()
    file = next(file for file in ms.iterdir() if file.is_file() and stored in file.read_bytes())
    content, turned = file.read_bytes(), bytes(byte ^ 0xFF for byte in stored[:count])
    file.write_bytes(content.replace(stored, turned + stored[count:]))


def test_subbands_that_end_at_different_times_are_not_joined(tmp_path, subbands, dp3, new_ms):
    short = new_ms(tmp_path / "short.MS", 701, times=4)
    done = dp3(subbands, f"msin=[sb0.MS,{short}]", f"msout={tmp_path / 'out.MS'}", *JOIN)
    assert done.returncode == 1
    assert "Last time of MS" in done.stdout + done.stderr


def test_channels_of_two_widths_are_joined_and_exposed(tmp_path, subbands, sets, dp3, group, new_ms):
    wide = new_ms(tmp_path / "wide.MS", 701, channels=2)
    out = tmp_path / "out.MS"
    assert dp3(subbands, f"msin=[sb0.MS,{wide},sb2.MS,sb3.MS]", f"msout={out}", *JOIN).returncode == 0
    assert {"channels", "channel_widths", "regular"} <= group(out, sets)


def test_compression_spoils_no_baseline_between_stations(tmp_path, subbands, sets, dp3, group, inspect):
    out = tmp_path / "out.MS"
    keys = (*JOIN, "msout.storagemanager=dysco")
    assert dp3(subbands, "msin=[sb0.MS,sb1.MS,sb2.MS,sb3.MS]", f"msout={out}", *keys).returncode == 0
    plain = [value for path in sets.values() for value in inspect("inspect_ms", path)["channel_rms"]]
    assert inspect("inspect_ms", out)["channel_rms"] == pytest.approx(plain, rel=0.01)


def test_a_mistyped_key_is_an_error(tmp_path, subbands, dp3):
    assert dp3(subbands, "msin=sb0.MS", f"msout={tmp_path / 'out.MS'}", "steps=[]", "msin.missingdta=1").returncode == 1
