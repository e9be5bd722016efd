"""A small disk of its own, to run full or to take nothing."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.production.conftest import SKIP

DISK_MB = 8
# Without the right to mount small_disk fails the test: only the name sets it aside.
NEEDS_MOUNT = pytest.mark.skipif("mount" in SKIP, reason="set aside by LOFARGRID_SKIP: needs to mount, as root")


@dataclass(frozen=True)
class Disk:
    """A small disk of its own."""

    folder: Path

    def fill(self) -> None:
        """Leave not one byte."""
        with (self.folder / ".filler").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 8, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (self.folder / ".more").write_bytes(bytes(1 << 13))
        (self.folder / ".more").unlink()

    def free(self) -> None:
        (self.folder / ".filler").unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir(parents=True, exist_ok=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "lofargrid-test", str(folder)]
    done = subprocess.run(options, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"cannot mount: {done.stderr.strip()}; be root, or set the test aside: LOFARGRID_SKIP=mount")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
