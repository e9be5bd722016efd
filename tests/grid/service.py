"""A service of the test grid: a folder of its own, and processes in it that end with it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self


class Service:
    """What lives as long as the context it is opened in.

    Its folder is below /tmp: the configurations of some have no way to write a space in a path.

    Parameters
    ----------
    kind
        What the folder is called after.
    """

    def __init__(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"lofargrid-{kind}-", dir="/tmp"))

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        shutil.rmtree(self.folder)

    def _open(self) -> None:
        """Write what it reads, start it, and wait until it answers."""
        raise NotImplementedError

    def _close(self) -> None:
        """End what was started, also where not all of it was."""
        raise NotImplementedError
