#!/usr/bin/env python3
"""Measure a file, a folder or a tar without knowing what it holds: bytes, members, how many are empty."""

from __future__ import annotations

import argparse
import sys
import tarfile
from pathlib import Path
from typing import Any

from tell import tell


def sizes(path: Path) -> list[int]:
    """Size in bytes of each file: of a tar or a folder its files, else its own."""
    if path.is_dir():
        return [entry.stat().st_size for entry in sorted(path.rglob("*")) if entry.is_file()]
    if path.suffix == ".tar":
        return sizes_in_tar(path)
    return [path.stat().st_size]


def sizes_in_tar(path: Path) -> list[int]:
    """Size in bytes of each file of a tar."""
    try:
        with tarfile.open(path, "r:") as archive:
            return [member.size for member in archive if member.isfile()]
    except tarfile.TarError as error:
        raise ValueError(f"not a whole tar: {error}") from error


def measure(path: str) -> dict[str, Any]:
    """Measure what stands at a path.

    Parameters
    ----------
    path
        A file, a folder, or a tar (by its suffix), whose end is read too, so that a cut one is an error.
    """
    found = sizes(Path(path))
    return {"members": len(found), "size_bytes": sum(found), "empty_files": found.count(0)}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="a file, a folder or a tar")
    path = parser.parse_args(arguments).path
    return tell(path, lambda: measure(path))


if __name__ == "__main__":
    sys.exit(main())
