"""What an archive hands out: tars with LTA names and list files with sizes and checksums."""

import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

CHUNK_BYTES = 1 << 20


def ms_name(sas_id: int, sap: int, subband: int) -> str:
    """Name of a raw measurement set, as its tar unpacks."""
    return f"L{sas_id}_SAP{sap:03d}_SB{subband:03d}_uv.MS"


def tar_name(ms: str, seed: int) -> str:
    """Name of the tar of a measurement set; the archive adds eight hexadecimal digits."""
    return f"{ms}_{zlib.crc32(f'{seed}/{ms}'.encode()):08x}.tar"


def write_tar(tree: Path, tar: Path) -> None:
    """Pack a folder under its own name.

    The same files give the same bytes: entries are sorted and carry no time, owner or umask.
    """
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in [tree, *sorted(tree.rglob("*"))]:
            entry = archive.gettarinfo(path, str(path.relative_to(tree.parent)))
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755 if entry.isdir() else 0o644
            if entry.isdir():
                archive.addfile(entry)
            else:
                with path.open("rb") as content:
                    archive.addfile(entry, content)


def adler32(path: Path) -> str:
    """Checksum that grid storage keeps, eight lower-case hexadecimal digits."""
    value = 1
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            value = zlib.adler32(chunk, value)
    return f"{value:08x}"


def write_list(path: Path, tars: Iterable[Path]) -> None:
    """Write a list file: a line a tar, path relative to the list, size and checksum."""
    lines = ["# path\tsize_bytes\tadler32"]
    for tar in tars:
        name = tar.relative_to(path.parent).as_posix()
        lines.append(f"{name}\tsize_bytes={tar.stat().st_size}\tadler32={adler32(tar)}")
    path.write_text("\n".join(lines) + "\n")
