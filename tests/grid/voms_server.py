"""A real VOMS server with the database that it asks: `voms-proxy-init` gets from it what a VO says of its members."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lofargrid.credentials.proxy import slashed
from tests.grid.authority import Holder
from tests.grid.processes import UNTIL_WE_DIE, end, free_port, listens, until, write_secret
from tests.grid.service import Service
from tests.grid.unpacked import unpacked
from tests.grid.voms import SERVER, VO

PASSWORD = "of-this-database-alone"
"""The database listens on a socket in a folder that nobody else may enter."""
OPTIONS = """\
--vo=lofar
--dbname=voms_lofar
--port={port}
--username=voms
--passfile={folder}/password
--sqlloc={folder}/prefix/usr/lib/voms/libvomsmysql.so
--mysql-socket={folder}/socket
--logfile={folder}/voms.log
--socktimeout=30
--newformat
--x509_cert_dir={folder}/certificates
--x509_user_cert={folder}/cert.pem
--x509_user_key={folder}/key.pem
--uri={server}:{port}
--contactstring={server}
"""
INIT = "bin/voms-proxy-init2"
GROUPS = {"/lofar": 1, "/lofar/user": 2}
ROLES = {"production": 1}


class VomsServer(Service):
    """The server of a VO, which knows some members: each has groups, and roles in the VO. Use it in `with`."""

    def __init__(self, vo: VO, members: Mapping[Holder, Sequence[str]]) -> None:
        super().__init__("voms")
        self._vo = vo
        self._members = members
        # Through a link: a space in a path would end a word of the options, and of the database's script.
        self._prefix = self.folder / "prefix"
        self._prefix.symlink_to(unpacked("vomsd", "sbin/voms"))
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What VOMS's clients are told of it, and their place."""
        return {"VOMS_USERCONF": str(self.folder / "vomses"), "PATH": f"{self.commands}:{os.environ['PATH']}"}

    @property
    def commands(self) -> Path:
        """The folder of the clients."""
        return self.folder / "bin"

    def _open(self) -> None:
        self._prepare()
        self._start_database()
        self._enter_members()
        # Else it goes on by itself.
        self._start("sbin/voms", "-debug", "-conf", str(self.folder / "voms.conf"))
        until(lambda: listens(self._port), f"the VOMS server does not open, see {self.folder}")

    def _close(self) -> None:
        for process in reversed(self._processes):
            end(process, signal.SIGTERM)

    def _prepare(self) -> None:
        own, server = self.folder, self._vo.server
        shutil.copyfile(server.certificate_file, own / "cert.pem")
        write_secret(own / "key.pem", server.key_file.read_bytes())
        (own / "key.pem").chmod(0o400)
        write_secret(own / "password", f"{PASSWORD}\n".encode())
        (own / "password").chmod(0o640)
        (own / "certificates").symlink_to(self._vo.authority.certificates)
        places = {"port": self._port, "folder": own, "server": SERVER}
        (own / "voms.conf").write_text(OPTIONS.format(**places))
        (own / "vomses").write_text(
            f'"lofar" "{SERVER}" "{self._port}" "{slashed(server.certificate.subject)}" "lofar"\n'
        )
        (own / "vomses").chmod(0o644)
        self.commands.mkdir()
        # Debian has it under this name, and a link when it is installed.
        (self.commands / "voms-proxy-init").symlink_to(unpacked("voms", INIT) / "usr" / INIT)

    def _start_database(self) -> None:
        user, data = getpass.getuser(), f"--datadir={self.folder / 'data'}"
        made = [self._prefix / "usr" / "bin" / "mariadb-install-db", "--no-defaults", f"--user={user}", data]
        made += [f"--basedir={self._prefix / 'usr'}", "--skip-test-db", "--skip-name-resolve"]
        subprocess.run([*made, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        self._start(
            "sbin/mariadbd", "--no-defaults", f"--user={user}", data, f"--socket={self.folder / 'socket'}",
                    "--skip-networking", f"--basedir={self._prefix / 'usr'}", "--innodb-buffer-pool-size=16M",
        )  # fmt: skip
        until((self.folder / "socket").exists, f"the database does not open, see {self.folder}")

    def _enter_members(self) -> None:
        self._sql(
            "", f"CREATE DATABASE voms_lofar; GRANT ALL ON voms_lofar.* TO voms@localhost IDENTIFIED BY '{PASSWORD}'"
        )
        self._sql("voms_lofar", (self._prefix / "usr/share/voms/voms-mysql.data").read_text())
        rows = [f"INSERT INTO ca VALUES (1, '{slashed(self._vo.authority.name)}', 'test')"]
        rows += [f"INSERT INTO groups VALUES ({number}, '{name}', 1, 0)" for name, number in GROUPS.items()]
        rows += [f"INSERT INTO roles VALUES ({number}, '{name}')" for name, number in ROLES.items()]
        rows += ["INSERT INTO seqnumber VALUES ('00')", "INSERT INTO version VALUES (2)"]
        for number, (holder, roles) in enumerate(self._members.items(), 1):
            name = slashed(holder.certificate.subject)
            rows.append(f"INSERT INTO usr(userid, dn, ca, cn) VALUES ({number}, '{name}', 1, 'member {number}')")
            rows += [f"INSERT INTO m(userid, gid) VALUES ({number}, {group})" for group in GROUPS.values()]
            rows += [f"INSERT INTO m(userid, gid, rid) VALUES ({number}, 1, {ROLES[role]})" for role in roles]
        self._sql("voms_lofar", ";\n".join(rows))

    def _sql(self, database: str, text: str) -> None:
        words = [self._prefix / "usr" / "bin" / "mariadb", "--no-defaults", "-uroot", f"-S{self.folder / 'socket'}"]
        subprocess.run(
            [*words, *([database] if database else [])], input=text.encode(), check=True, capture_output=True
        )

    def _start(self, program: str, *words: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        with (self.folder / "output").open("ab") as output:
            command = [*UNTIL_WE_DIE, "KILL", str(self._prefix / "usr" / program), *words]
            self._processes.append(
                subprocess.Popen(
                    command, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
                )
            )
