"""A real GridFTP server on this machine: ``gsiftp://`` URLs of the files below a folder.

It knows users by the names of their certificates and no VO, as `nobody` of a user namespace.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lofargrid.credentials.proxy import slashed
from tests.grid.authority import Authority, Holder
from tests.grid.processes import AS_NOBODY, UNTIL_WE_DIE, end, free_port, listens, until, write_secret
from tests.grid.service import Service
from tests.grid.unpacked import unpacked


class GridFtp(Service):
    """A server that lives as long as the context it is opened in.

    Parameters
    ----------
    authority
        Whose certificates it believes.
    users
        Whom it lets in.
    """

    def __init__(self, authority: Authority, users: Sequence[Holder]) -> None:
        super().__init__("gridftp")
        self.store = self.folder / "store"
        self._authority = authority
        self._users = users
        self._prefix = unpacked("storage", "sbin/globus-gridftp-server")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def starts(self) -> dict[str, str]:
        """The start of URLs of its files, by protocol."""
        return {"gsiftp": f"gsiftp://localhost:{self._port}{self.store}"}

    def file(self, url: str) -> Path:
        """Where a file of it lies."""
        return Path(urlsplit(url).path)

    def _open(self) -> None:
        self._prepare()
        self._start()

    def _close(self) -> None:
        if self._process:
            end(self._process, signal.SIGTERM)

    def _prepare(self) -> None:
        self.folder.chmod(0o755)
        self.store.mkdir()
        server = self._authority.server(f"{self.folder.name}.test")
        shutil.copyfile(server.certificate_file, self.folder / "cert.pem")
        write_secret(self.folder / "key.pem", server.key_file.read_bytes())
        (self.folder / "key.pem").chmod(0o400)
        known = [f'"{slashed(one.certificate.subject)}" nobody\n' for one in self._users]
        (self.folder / "gridmap").write_text("".join(known))

    def _start(self) -> None:
        program = str(self._prefix / "usr" / "sbin" / "globus-gridftp-server")
        words = [*UNTIL_WE_DIE, "KILL", *AS_NOBODY, program, "-exec", program, "-no-detach"]
        words += ["-port", str(self._port), "-control-interface", "127.0.0.1"]
        words += ["-data-interface", "127.0.0.1", "-log-level", "ALL", "-logfile", str(self.folder / "log")]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GLOBUS_HOSTNAME": "localhost",
            "GRIDMAP": str(self.folder / "gridmap"),
            "X509_CERT_DIR": str(self._authority.certificates),
            "X509_USER_CERT": str(self.folder / "cert.pem"),
            "X509_USER_KEY": str(self.folder / "key.pem"),
        }
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        until(lambda: listens(self._port), f"the server does not open, see {self.folder}")
