"""Grid storages: each call is an errand that the runner does in a process of its own, as it does on worker nodes."""

import json
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lofargrid.commands import run
from lofargrid.errors import BackendError
from lofargrid.names import file_url
from lofargrid.storage.base import Stat

ASK_S = 1800.0
COPY_S = 86400.0
"""The runner has a sharper eye: it ends what does not get on."""


class GridStorage:
    """What lies behind the doors of grid storages. A copy may also begin or end on this machine's disks.

    Parameters
    ----------
    runner
        Packs the runner, and gives its path.
    tools
        Gives what this machine may reach storages by, the best first.
    proxy
        The user's proxy certificate; it need not be there.
    token
        Gives the file with the token that opens a URL in place of the proxy, "" if none does.
    """

    def __init__(
        self, runner: Callable[[], Path], tools: Callable[[], Sequence[str]], proxy: Path,
        token: Callable[[str], str] = lambda url: "",
    ) -> None:  # fmt: skip
        self._runner = runner
        self._tools = tools
        self._proxy = proxy
        self._token = token

    def is_near(self, *urls: str) -> bool:
        """See `Storage.is_near`."""
        return False

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        size_bytes = self._do("look at", {"do": "look", "url": url})["size_bytes"]
        return None if size_bytes is None else Stat(url, size_bytes)

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        names = self._do("list", {"do": "names", "url": folder})["names"]
        return sorted(f"{folder.rstrip('/')}/{quote(name)}" for name in names)

    def copy(self, source: str, target: str, adler32: str) -> None:
        """See `Storage.copy`."""
        self._do("copy to", {"do": "copy", "url": source, "target": target, "adler32": adler32}, COPY_S)

    def write(self, target: str, content: bytes) -> None:
        """See `Storage.write`."""
        with tempfile.NamedTemporaryFile(prefix="lofargrid-") as file:
            file.write(content)
            file.flush()
            self.copy(file_url(file.name), target, f"{zlib.adler32(content):08x}")

    def read(self, url: str) -> bytes:
        """See `Storage.read`. It is compared with the checksum that the storage keeps."""
        with tempfile.TemporaryDirectory(prefix="lofargrid-") as folder:
            path = Path(folder, "content")
            self._do("read", {"do": "copy", "url": url, "target": file_url(str(path)), "adler32": ""})
            return path.read_bytes()

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        self._do("delete", {"do": "remove", "url": url})

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`. It stays where its protocol might remove what is in it, too."""
        self._do("remove", {"do": "remove_folder", "url": folder})

    def _do(self, verb: str, errand: Mapping[str, str], limit_s: float = ASK_S) -> dict[str, Any]:
        place = errand.get("target", errand["url"])
        urls = {errand["url"], place}
        tokens = {url: token for url in urls if (token := self._token(url))}
        asked = json.dumps({"tools": list(self._tools()), "errands": [{**errand, "tokens": tokens}]})
        words = [sys.executable, "-I", "-S", str(self._runner()), "errands"]
        done = run(words, {**os.environ, "X509_USER_PROXY": str(self._proxy)}, limit_s, asked)
        if done.exit_code != 0:
            raise BackendError(f"cannot {verb} {place}: {done.stderr.strip()[-500:]}")
        told: dict[str, Any] = json.loads(done.stdout)[0]
        if told["reason"]:
            raise BackendError(f"cannot {verb} {place}: {told['detail']} ({told['reason']})")
        return told
