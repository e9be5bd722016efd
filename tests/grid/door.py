"""A real XRootD storage on this machine, guarded by a VO: ``root://`` and ``davs://`` doors to one folder.

It runs as `nobody` of a user namespace. Members of the VO read what is below /lofar, its role production writes there.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from base64 import encodebytes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lofargrid.storage.web import web_client
from tests.grid.processes import AS_NOBODY, UNTIL_WE_DIE, end, free_port, listens, until, write_secret
from tests.grid.service import Service
from tests.grid.unpacked import unpacked
from tests.grid.voms import VO

CONFIG = """\
all.export /lofar
oss.localroot {folder}/store
all.adminpath {folder}/admin
all.pidpath {folder}/admin
xrd.port {root}
xrd.network nodnr norpipa
xrd.allow host localhost
xrd.protocol http:{https} libXrdHttp.so
xrd.tls {folder}/cert.pem {folder}/key.pem
xrd.tlsca certdir {authorities} crlcheck all
xrootd.seclib libXrdSec.so
sec.protocol gsi -certdir:{authorities} -crldir:{authorities} -cert:{folder}/cert.pem -key:{folder}/key.pem -crl:1 \
-gmapopt:10 -dlgpxy:request -exppxy:=creds -vomsat:require -vomsfun:libXrdVoms.so
sec.protbind * only gsi
ofs.authorize 1
ofs.authlib ++ libXrdMacaroons.so
acc.authdb {folder}/authdb
xrootd.chksum max 2 adler32 crc32c md5
ofs.tpc fcreds ?gsi =X509_USER_PROXY autorm ttl 60 70 pgm {prefix}/usr/bin/xrdcp --server
http.header2cgi Authorization authz
http.secxtractor libXrdVoms.so
http.listingdeny no
http.selfhttps2http no
http.exthandler xrdtpc libXrdHttpTPC.so
tpc.{copies} local
http.exthandler xrdmacaroons libXrdMacaroons.so
macaroons.secretkey {folder}/macaroons
macaroons.maxduration 604800
all.sitename {name}
"""
RIGHTS = """\
= production o: lofar g: /lofar r: production
x production /lofar a
o lofar /lofar rl
"""
GFAL = """\
#!/bin/sh
export {variables}
exec "{program}" "$@"
"""


def server_prefix() -> Path:
    """Where .ci/install-storage has put XRootD's server."""
    return unpacked("xrootd", "bin/xrootd")


def clients_prefix() -> Path:
    """Where .ci/install-storage has put the clients of XRootD, and gfal2."""
    return unpacked("storage", "bin/xrdcp")


class Door(Service):
    """A storage that lives as long as the context it is opened in.

    Parameters
    ----------
    vo
        Whose members it lets in.
    name
        The site's name.
    copies
        Whether it may copy from storages of this machine; there are no others.
    """

    def __init__(self, vo: VO, name: str, copies: bool = True) -> None:
        self.name = name
        self._copies = "allow" if copies else "deny"
        self._vo = vo
        # Through a link: XRootD's configuration has no way to write a space in a path.
        super().__init__("door")
        self.store = self.folder / "store"
        self._ports = {"root": free_port(), "https": free_port()}
        self._process: subprocess.Popen[bytes] | None = None
        # What is to end with us ends with the thread that started it.
        self._starter = ThreadPoolExecutor(1)

    @property
    def addresses(self) -> dict[str, str]:
        """Its doors, as sites.yaml names them."""
        return {"root": f"root://localhost:{self._ports['root']}", "davs": f"davs://localhost:{self._ports['https']}"}

    @property
    def starts(self) -> dict[str, str]:
        """The start of URLs of its files, by protocol."""
        return {"root": self.root, "davs": self.davs}

    @property
    def root(self) -> str:
        """The start of ``root://`` URLs of its files; their path follows."""
        return f"{self.addresses['root']}//lofar"

    @property
    def davs(self) -> str:
        """The start of ``davs://`` URLs of its files."""
        return f"{self.addresses['davs']}/lofar"

    def macaroon(
        self, folder: str, proxy: Path, authorities: Path, validity: str = "PT1H", may: str = "DOWNLOAD,LIST"
    ) -> str:
        """Ask for a macaroon to read what is in a folder, as a member may."""
        place = f"https{self.addresses['davs'].removeprefix('davs')}/lofar/{folder}"
        with web_client(place, proxy, authorities) as client:
            asked_for = {"caveats": [f"activity:{may}"], "validity": validity}
            kind = {"Content-Type": "application/macaroon-request"}
            answer = client.post("", content=json.dumps(asked_for), headers=kind)
            return str(answer.raise_for_status().json()["macaroon"])

    def file(self, url: str) -> Path:
        """Where a file of it lies."""
        return self.store / "lofar" / url.partition("/lofar/")[2]

    def _open(self) -> None:
        self._prepare()
        self.start()

    def _close(self) -> None:
        self.stop()
        self._starter.shutdown()

    def start(self) -> None:
        """Open it, also after `stop`."""
        words = [*UNTIL_WE_DIE, "KILL", *AS_NOBODY, str(self.folder / "prefix" / "usr" / "bin" / "xrootd")]
        words += ["-c", str(self.folder / "xrootd.cf"), "-l", str(self.folder / "log"), "-n", self.name]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "X509_CERT_DIR": str(self.folder / "certificates"),
            "X509_VOMS_DIR": str(self.folder / "vomsdir"),
        }
        begun = self._starter.submit(
            subprocess.Popen, words, cwd=self.folder, env=environment, start_new_session=True
        )  # fmt: skip
        self._process = begun.result()
        until(lambda: all(map(listens, self._ports.values())), f"the door does not open, see {self.folder}")

    def stop(self) -> None:
        """Close it."""
        if self._process:
            end(self._process, signal.SIGTERM)
            self._process = None

    def pause(self) -> None:
        """Let it hang: it takes calls and says nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _prepare(self) -> None:
        self.folder.chmod(0o755)
        for name in ("store/lofar", "admin"):
            (self.folder / name).mkdir(parents=True)
        for name, place in (
            ("prefix", server_prefix()),
            ("certificates", self._vo.authority.certificates),
            ("vomsdir", self._vo.vomsdir),
        ):
            (self.folder / name).symlink_to(place)
        server = self._vo.authority.server(f"{self.name}.test")
        shutil.copyfile(server.certificate_file, self.folder / "cert.pem")
        write_secret(self.folder / "key.pem", server.key_file.read_bytes())
        (self.folder / "key.pem").chmod(0o400)
        write_secret(self.folder / "macaroons", encodebytes(secrets.token_bytes(64)))
        (self.folder / "authdb").write_text(RIGHTS)
        (self.folder / "xrootd.cf").write_text(
            CONFIG.format(
                folder=self.folder,
                prefix=self.folder / "prefix",
                authorities=self.folder / "certificates",
                name=self.name,
                copies=self._copies,
                **self._ports,
            )
        )


def gfal2_environment() -> dict[str, str]:
    """What gfal2 is found by where it is unpacked."""
    prefix = clients_prefix()
    machine = next((prefix / "usr" / "lib").glob("*-linux-gnu"))
    return {
        "GFAL_PYTHONBIN": "/usr/bin/python3",
        "PYTHONPATH": f"{prefix}/usr/lib/python3/dist-packages",
        "GFAL_PLUGIN_DIR": str(machine / "gfal2-plugins"),
        "GFAL_CONFIG_DIR": f"{prefix}/etc/gfal2.d",
    }


def commands(folder: Path) -> Path:
    """Make a folder with the clients' commands, as a node has them on PATH."""
    prefix = clients_prefix()
    variables = " ".join(f'{name}="{value}"' for name, value in gfal2_environment().items())
    found = folder / "bin"
    found.mkdir()
    for program in (prefix / "usr" / "bin").glob("xrd[cf]*"):
        (found / program.name).symlink_to(program)
    for program in (prefix / "usr" / "bin").glob("gfal-*"):
        wrapper = found / program.name
        wrapper.write_text(GFAL.format(variables=variables, program=program))
        wrapper.chmod(0o755)
    return found
