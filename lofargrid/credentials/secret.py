"""A file that holds a secret: ours, and for nobody else to read."""

import os
import stat
from pathlib import Path

from lofargrid.errors import Fault, InputError

_MOST_BYTES = 1 << 20
_MAKE = "Make one by voms-proxy-init"


def read_secret(path: Path) -> bytes:
    """The content of a proxy's file. What was opened is looked at, not the name.

    Raises
    ------
    InputError
        It is not there, no file, somebody else's, or others can read it.
    """
    try:
        with path.open("rb") as file:
            trouble = _trouble(os.fstat(file.fileno()), path)
            if not trouble:
                return file.read(_MOST_BYTES)
    except FileNotFoundError:
        trouble = "there is no proxy", _MAKE
    except OSError as error:
        trouble = error.strerror or str(error), _MAKE
    raise InputError(Fault(*trouble, file=str(path)))


def _trouble(status: os.stat_result, path: Path) -> tuple[str, str] | None:
    if not stat.S_ISREG(status.st_mode):
        return "this is no proxy: not a file", _MAKE
    if status.st_uid != os.getuid():
        return "this proxy is somebody else's", _MAKE
    if status.st_mode & 0o077:
        return "others can read this proxy", f"chmod 600 {path}, or make a new one"
    return None
