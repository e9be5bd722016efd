"""The runner as one file: a zipapp that any Python >= 3.9 on a worker node runs."""

import importlib.util
import marshal
import os
import zipfile
from functools import cache
from pathlib import Path

import lofargrid_runner

SOURCES = Path(lofargrid_runner.__file__).parent
MAIN = """\
import os, sys
from lofargrid_runner.cli import main
sys.exit(main(sys.argv[1:], os.environ))
"""
# The first date that a zip can hold: the same sources give the same bytes, whenever they are built.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def build_zipapp(target: Path) -> Path:
    """Write the runner as one file that any Python >= 3.9 runs.

    Next to each source lies its byte code for the Python that builds: a node with the same version starts
    without compiling, every other one finds a foreign magic number and takes the source. Stored, not
    compressed, which starts faster and needs no zlib.

    Parameters
    ----------
    target
        The file to write; it appears whole or not at all.

    Returns
    -------
        ``target``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, "__main__.py", MAIN.encode())
            for path in sorted(SOURCES.glob("*.py")):
                _add(archive, f"lofargrid_runner/{path.name}", path.read_bytes())
    part.chmod(0o755)
    return part.replace(target)


def _add(archive: zipfile.ZipFile, name: str, source: bytes) -> None:
    for entry, content in ((name, source), (f"{name}c", _byte_code(name, source))):
        info = zipfile.ZipInfo(entry, EPOCH)
        info.external_attr = 0o644 << 16
        archive.writestr(info, content)


# One command builds the runner twice: to look at the inputs, and for the jobs.
@cache
def _byte_code(name: str, source: bytes) -> bytes:
    # The layout of PEP 552: magic number, flags, hash of the source, code. Version 2 of marshal writes no
    # references, which depend on what else the process holds.
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    return b"".join(
        (importlib.util.MAGIC_NUMBER, UNCHECKED_HASH, importlib.util.source_hash(source), marshal.dumps(code, 2))
    )
