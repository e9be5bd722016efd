"""Stage-in by the runner beside the bare tool: files of a real XRootD storage to a disk, each with its checksum.

In turn, by `xrdcp` over root://, and by `curl` and by the runner's own https over davs://, both beside `curl`. Both
sides know the files' adler32 and compare: the bare tool by `xrdcp --cksum`, and by `xrdadler32` on the file that curl
left. Both remove the files in the end, as the runner always does: their disk is memory, and memory that has lain idle
is slow.
"""

import argparse
import os
import secrets
import shlex
import shutil
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from lofargrid_runner.contract import InputFile, JobSpec, Limits, to_json
from side_by_side import MEMORY, compare, timed, verdict

from lofargrid.recipes.sandboxes import pack_runner
from tests.grid.authority import Authority
from tests.grid.door import Door, clients_prefix, commands
from tests.grid.voms import MEMBER, VO

TARGET = 1 / 0.9


class Bench:
    """A storage with files, and a folder that they are brought to."""

    def __init__(self, root: Path, files: int, size_bytes: int) -> None:
        self.root = root
        self.vo = VO(root, Authority(root))
        self.proxy = self.vo.proxy(root / "x509up", self.vo.authority.user("People", "Someone"), MEMBER)
        self.path = f"{commands(root)}:{clients_prefix() / 'usr' / 'bin'}:{os.environ['PATH']}"
        self.environment = {**os.environ, **self.vo.environment, "X509_USER_PROXY": str(self.proxy), "PATH": self.path}
        self.sums = dict.fromkeys((f"SB{number:03d}.tar" for number in range(files)), "")
        self.size_bytes = size_bytes
        self.runner = pack_runner(root / "runner")

    def fill(self, door: Door) -> None:
        """Put the files there."""
        for name in self.sums:
            content = secrets.token_bytes(self.size_bytes)
            door.file(f"/lofar/{name}").write_bytes(content)
            self.sums[name] = f"{zlib.adler32(content):08x}"

    def ours(self, tool: str, start: str) -> float:
        """Seconds of one job with all files as its inputs."""
        folder = self._fresh("attempt")
        inputs = tuple(
            InputFile(name, "", f"{start}/{name}", name, size_bytes=self.size_bytes, adler32=adler32)
            for name, adler32 in self.sums.items()
        )
        spec = JobSpec(
            attempt="t1-1", job="L1-SB000", production="benchmark", step="transfer", owner="someone",
            contact="someone", site="here", sandbox="", commands=(("true",),), limits=Limits(3600, 4000),
            destination=(folder / "out").as_uri(), inputs=inputs, tools=(tool,),
        )  # fmt: skip
        (folder / "job.json").write_text(to_json(spec))
        words = [sys.executable, "-I", "-S", str(self.runner), "run", str(folder / "job.json")]
        return timed(words, self.environment, self.root / "log")

    def bare(self, tool: str, start: str) -> float:
        """Seconds of the tool, called for one file after another."""
        folder = self._fresh("bare")
        lines = [*self._lines(tool, start, folder), f"rm {folder}/*"]
        return timed(["bash", "-ec", "\n".join(lines)], self.environment, self.root / "log")

    def _lines(self, tool: str, start: str, folder: Path) -> list[str]:
        files = [(f"{start}/{name}", str(folder / name), adler32) for name, adler32 in self.sums.items()]
        if tool == "xrdcp":
            return [f"xrdcp -s --cksum adler32:{adler32} {url} {path}" for url, path, adler32 in files]
        proxy = shlex.quote(str(self.proxy))
        curl = f'curl -sSf --capath "$X509_CERT_DIR" --cert {proxy} --key {proxy}'
        return [
            f"{curl} -o {path} {url.replace('davs:', 'https:')}; xrdadler32 {path} | grep -q {adler32}"
            for url, path, adler32 in files
        ]

    def _fresh(self, name: str) -> Path:
        folder = self.root / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--mb", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as root:
        bench = Bench(Path(root), options.files, options.mb * 1_000_000)
        with Door(bench.vo, "T1") as door:
            bench.fill(door)
            ratios = []
            for tool, other, start in (
                ("xrdcp", "xrdcp", door.root), ("curl", "curl", door.davs), ("https", "curl", door.davs)
            ):  # fmt: skip
                print(f"{options.files} files of {options.mb} MB by {tool}")
                ours, bare = partial(bench.ours, tool, start), partial(bench.bare, other, start)
                ratios.append(compare(ours, bare, options.rounds, ("lofargrid", f"bare {other}")))
    return verdict(max(ratios), TARGET)


if __name__ == "__main__":
    sys.exit(main())
