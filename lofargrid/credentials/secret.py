"""A file that holds a secret: ours, and for nobody else to read."""

import os
import stat
from pathlib import Path

from lofargrid.errors import Fault, InputError

_MOST_BYTES = 1 << 20


def read_secret(path: Path, what: str = "proxy", remedy: str = "Make one with: proxy --new") -> bytes:
    """The content of a file with a secret. What was opened is looked at, not the name.

    Parameters
    ----------
    path
        The file.
    what, remedy
        What it is called, and how one comes by it.

    Raises
    ------
    InputError
        It is not there, no file, somebody else's, or others can read it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                trouble = f"this is no {what}: not a file"
            elif status.st_uid != os.getuid():
                trouble = f"this {what} is somebody else's"
            elif status.st_mode & 0o077:
                trouble, remedy = f"others can read this {what}", f"chmod 600 {path}, or make a new one"
            else:
                return file.read(_MOST_BYTES)
    except FileNotFoundError:
        trouble = f"there is no {what}"
    except OSError as error:
        trouble = error.strerror or str(error)
    raise InputError(Fault(trouble, remedy, file=str(path)))
