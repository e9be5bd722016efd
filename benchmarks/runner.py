"""What a job costs by itself: 1,000 empty payloads through `run`, beside 1,000 bare Python starts.

Both on two slots, in turn. The empty payload has everything that a real one has: probe, an input with its
checksum, a check, an output that is stored and cleaned away.
"""

import argparse
import os
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from side_by_side import compare, timed, verdict

TARGET = 12.0
HERE = Path(__file__).resolve().parent


def make_inputs(folder: Path, count: int, pipeline: str = "empty") -> None:
    """Write tars that look like MeasurementSets from afar, and a production over them."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in (("a.MS/table.dat", b"-"), ("a.MS/table.info", b"Type = Measurement Set\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, BytesIO(text))
    names = [f"L100000_SAP{index // 488:03d}_SB{index % 488:03d}_uv.MS_00000000.tar" for index in range(count)]
    for name in names:
        (folder / name).write_bytes(content.getvalue())
    (folder / "data.surls").write_text("".join(f"{name}\n" for name in names))
    (folder / "production.yaml").write_text(
        f"production: empty\npipeline: {pipeline}\ninputs: {{data: data.surls}}\noutput: products\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        make_inputs(data, options.jobs)
        log = data / "log"
        environment = {**os.environ, "LOFARGRID_SLOTS": "2", "LOFARGRID_PIPELINES": str(HERE / "pipelines")}
        starts = 0

        def ours() -> float:
            nonlocal starts
            starts += 1
            fresh = {**environment, "LOFARGRID_DATA": str(data / f"tracker{starts}")}
            return timed([sys.executable, "-m", "lofargrid.cli", "run", str(data / "production.yaml")], fresh, log)

        def bare() -> float:
            words = f"seq {options.jobs} | xargs -P 2 -I N '{sys.executable}' -I -S -c pass"
            return timed(["bash", "-c", words], environment, log)

        print(f"{options.jobs} empty payloads on 2 slots")
        return verdict(compare(ours, bare, options.rounds, ("lofargrid", "bare python")), TARGET)


if __name__ == "__main__":
    sys.exit(main())
