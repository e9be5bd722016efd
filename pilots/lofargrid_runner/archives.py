"""Tar archives from and to strangers: read in one pass, trusted in nothing; written alike every time.

Imported only by jobs that pack or unpack, `tarfile` being the costliest import of the runner. The rules
are our own and the same on every Python: `tarfile`'s filters came with 3.12 and differ between patch
levels. Regular files and folders are written first and links last, so nothing is ever written through one.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator

from .contract import Reason
from .failure import Failure, scratch_failure
from .streams import CHUNK_BYTES, Sink, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, BinaryIO

    from typing_extensions import Self

LONGEST_NAME_BYTES = 1 << 20
LARGEST_FILE_BYTES = 1 << 43  # 8 TiB: beyond it some file systems cannot even seek
NAME_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)


class EndsEarlyError(Exception):
    """The archive stops before its end mark."""


class DamagedError(Exception):
    """There is a block in the archive that is no header where one must be."""


class Header(tarfile.TarInfo):
    """Reads a header; unlike `tarfile` it never takes a damaged or missing one for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Make a header of one block, or say what is wrong with it."""
        if len(buf) < tarfile.BLOCKSIZE:
            raise EndsEarlyError("the end mark is missing")
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.count(b"\0") == tarfile.BLOCKSIZE:
                raise
            raise DamagedError(str(error)) from None
        if header.size < 0 or (header.type in NAME_TYPES and header.size > LONGEST_NAME_BYTES):
            raise DamagedError(f"a header claims {header.size} bytes")
        return header


def unpack(source: Source, folder: str, label: str) -> str:
    """Unpack a tar that holds exactly one folder; return the path of that folder.

    Parameters
    ----------
    source
        The archive; read to its end, so that its checksum covers every byte.
    folder
        An empty folder that takes the content.
    label
        The input's name, for messages.

    Raises
    ------
    Failure
        ``INPUT_UNSAFE``, ``INPUT_TRUNCATED``, ``INPUT_WRONG_KIND``, ``SCRATCH_FULL``, or what reading raises.
    DamagedError
        It is no tar, or not any more: the caller may know the checksum that tells which.
    """
    try:
        with _open(source, mode="r|", tarinfo=Header) as archive:
            top = _Unpacking(archive, folder, label).run()
    except EndsEarlyError as error:
        raise Failure(Reason.INPUT_TRUNCATED, f"{label}: the tar ends early: {error}") from error
    except (tarfile.TarError, ValueError, EOFError, LookupError) as error:
        if "unexpected end of data" in str(error):
            raise Failure(Reason.INPUT_TRUNCATED, f"{label}: the tar ends early, inside a file") from error
        raise DamagedError(str(error)) from error
    source.drain()
    return top


def _open(stream: Any, **options: Any) -> tarfile.TarFile:
    # `tarfile` asks a stream for read or write only; its annotations ask for more.
    return tarfile.open(fileobj=stream, bufsize=CHUNK_BYTES, **options)


class Walk:
    """One archive, member by member: every name must lie in one and the same folder."""

    def __init__(self, archive: tarfile.TarFile, label: str) -> None:
        self._archive = archive
        self._label = label
        self._top = ""

    def checked(self, member: tarfile.TarInfo) -> str:
        """Give the member's name in its shortest form, "" for the top itself (``./``)."""
        if not 0 <= member.size <= LARGEST_FILE_BYTES:
            raise DamagedError(f"a header claims {member.size} bytes")
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if member.name.startswith("/") or ".." in parts:
            raise self.unsafe(f"{member.name!r} leads out of the folder")
        if parts:
            if parts[0] != (self._top or parts[0]):
                raise self._wrong(f"it holds {self._top!r} and {parts[0]!r} where one folder is expected")
            if len(parts) == 1 and member.isfile():
                raise self._wrong(f"{member.name!r} is a file where a folder is expected")
            self._top = parts[0]
        return "/".join(parts)

    def require_folder(self) -> None:
        """Raise the failure of an archive that held none."""
        if not self._top:
            raise self._wrong("it holds no folder")

    def unsafe(self, why: str) -> Failure:
        """Give the failure of an archive that reaches out of its folder."""
        return Failure(Reason.INPUT_UNSAFE, f"{self._label}: {why}")

    def _wrong(self, why: str) -> Failure:
        return Failure(Reason.INPUT_WRONG_KIND, f"{self._label}: {why}")


class _Unpacking(Walk):
    """One archive on its way to disk."""

    def __init__(self, archive: tarfile.TarFile, folder: str, label: str) -> None:
        super().__init__(archive, label)
        self._folder = folder
        self._links: list[tuple[str, str]] = []

    def run(self) -> str:
        for member in self._archive:
            name = self.checked(member)
            if name:
                self._place(member, name)
        self.require_folder()
        self._make_links()
        return os.path.join(self._folder, self._top)

    def _place(self, member: tarfile.TarInfo, name: str) -> None:
        path = os.path.join(self._folder, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if member.isdir():
                os.makedirs(path, exist_ok=True)
                os.chmod(path, member.mode & 0o755 | 0o700)
            elif member.isfile():
                self._write(member, path)
            elif member.islnk():
                self._link_hard(member, path)
            elif member.issym() and "/" in name:
                self._links.append((path, member.linkname))
            else:
                raise self.unsafe(f"{member.name!r} is a link, device or pipe")
        except (FileExistsError, NotADirectoryError) as error:
            raise self.unsafe(f"{member.name!r} is there twice, as different things") from error
        except OSError as error:
            raise scratch_failure(error, self._folder) from error

    def _write(self, member: tarfile.TarInfo, path: str) -> None:
        content = self._archive.extractfile(member)
        assert content is not None, "a regular file has content"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:
            for chunk in _chunks(content):
                write_all(file, chunk)
            # No setuid, not writable for others, always writable for the payload.
            os.fchmod(file.fileno(), member.mode & 0o755 | 0o600)

    def _link_hard(self, member: tarfile.TarInfo, path: str) -> None:
        target = os.path.normpath(os.path.join(self._folder, member.linkname))
        if not _inside(target, os.path.join(self._folder, self._top)):
            raise self.unsafe(f"{member.name!r} is a link to {member.linkname!r}, out of the folder")
        # Links come last: what stands there now is a regular file of this very archive.
        if not os.path.isfile(target):
            raise self.unsafe(f"{member.name!r} is a link to {member.linkname!r}, which is not in the archive")
        os.link(target, path)

    def _make_links(self) -> None:
        top = os.path.realpath(os.path.join(self._folder, self._top))
        try:
            for path, target in self._links:
                os.symlink(target, path)
        except OSError as error:
            raise self.unsafe(f"cannot link {path!r} to {target!r}: {error.strerror}") from error
        for path, target in self._links:
            # Followed for real, only now that all stand: links to links fool any look at names alone.
            if os.path.isabs(target) or not _inside(os.path.realpath(path), top):
                name = os.path.relpath(path, self._folder)
                raise self.unsafe(f"{name!r} is a link to {target!r}, out of the folder")


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while True:
        chunk = content.read(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data`` to an unbuffered file."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def pack(folder: str, sink: Sink) -> None:
    """Write a folder as a tar: the same bytes wherever, whenever and by whomever it is packed.

    Raises
    ------
    OSError
        Reading or writing failed.
    ValueError
        The folder holds what a consumer would refuse: a link that leads out, a device, a pipe.
    """
    name = os.path.basename(folder)
    with _open(sink, mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        _add(archive, folder, name, os.path.realpath(folder))


def _add(archive: tarfile.TarFile, path: str, name: str, top: str) -> None:
    member = tarfile.TarInfo(name)
    mode = os.lstat(path).st_mode
    member.mode = 0o755 if mode & stat.S_IXUSR else 0o644
    if stat.S_ISDIR(mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
        for entry in sorted(os.listdir(path)):
            _add(archive, os.path.join(path, entry), f"{name}/{entry}", top)
    elif stat.S_ISREG(mode):
        with open(path, "rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            archive.addfile(member, file)
    elif stat.S_ISLNK(mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
        if os.path.isabs(member.linkname) or not _inside(os.path.realpath(path), top):
            raise ValueError(f"{name} is a link to {member.linkname}, out of the folder")
        archive.addfile(member)
    else:
        raise ValueError(f"{name} is a device, pipe or socket")
