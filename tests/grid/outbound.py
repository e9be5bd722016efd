"""A machine from which connections lead outwards only, and to one place: a port of ours.

It has no network but its own loopback. A relay inside hands connections to a socket in a file, and one outside hands
these to the port. Nothing can connect to the machine. The relay inside starts the command when it can be connected to.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.grid.processes import AS_NOBODY, ENTER, UNTIL_WE_DIE, end, until

RELAY = """\
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()

async def main():
    port, path, words = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    async def relay(reader, writer):
        try:
            if words:
                far, near = await asyncio.open_unix_connection(path)
            else:
                far, near = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, near), copy(far, writer))
        near.close(), writer.close()
    if words:
        server = await asyncio.start_server(relay, "127.0.0.1", port)
        command = await asyncio.create_subprocess_exec(*words)
        sys.exit(await command.wait())
    await (await asyncio.start_unix_server(relay, path)).serve_forever()

asyncio.run(main())
"""
LOOPBACK = 'ip link set lo up && exec "$@"'


class Outbound:
    """Such a machine, as long as the context that it is opened in.

    Parameters
    ----------
    port
        The port that can be reached from it, under the same number.
    host
        Its host name.
    hidden
        Folders that it does not see.
    """

    def __init__(self, port: int, host: str, hidden: Sequence[Path] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lofargrid-outbound-", dir="/tmp"))
        self.folder.chmod(0o755)
        self._port = port
        self._host = host
        self._hidden = [str(one) for one in hidden]
        self._processes: list[subprocess.Popen[bytes]] = []
        (self.folder / "relay.py").write_text(RELAY)

    def __enter__(self) -> Outbound:
        words = [sys.executable, str(self.folder / "relay.py"), str(self._port), str(self.folder / "socket")]
        self._processes.append(subprocess.Popen([*UNTIL_WE_DIE, "TERM", *words], stdin=subprocess.DEVNULL))
        until((self.folder / "socket").exists, "the relay is not there")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            end(process, signal.SIGTERM)
        shutil.rmtree(self.folder)

    def start(self, words: Sequence[str], out: Path) -> subprocess.Popen[bytes]:
        """Start a command on the machine, as an ordinary user."""
        relay = [sys.executable, str(self.folder / "relay.py"), str(self._port), str(self.folder / "socket")]
        enter = ["unshare", "--user", "--map-root-user", "--mount", "--uts", "--net", "--pid", "--fork", "--mount-proc",
                 "--kill-child", "sh", "-c", LOOPBACK, "machine",
                 "sh", "-c", ENTER, "machine", self._host, str(len(self._hidden)), *self._hidden]  # fmt: skip
        with out.open("wb") as file:
            process = subprocess.Popen(
                [*enter, *AS_NOBODY, *relay, *words],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                env={**os.environ, "HOME": "/tmp"},
            )  # fmt: skip
        self._processes.append(process)
        return process
