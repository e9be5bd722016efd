"""A VO for tests: its server's certificate signs what Debian's VOMS clients put into proxies. No server is needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.grid.authority import Authority, Holder
from tests.grid.unpacked import unpacked

SERVER = "localhost"
MEMBER = "/lofar/Role=NULL/Capability=NULL"
PRODUCTION = "/lofar/Role=production/Capability=NULL"


class VO:
    """The VO lofar below a folder; ``vomsdir`` in it is what X509_VOMS_DIR names."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self.server = authority.server("voms.test")
        self.vomsdir = folder / "vomsdir"
        lsc = self.vomsdir / "lofar" / f"{SERVER}.lsc"
        lsc.parent.mkdir(parents=True)
        lsc.write_text("/C=NL/O=Test/CN=voms.test\n/C=NL/O=Test/CN=Test CA\n")
        self._prefix = unpacked("voms", "bin/voms-proxy-fake")

    @property
    def environment(self) -> dict[str, str]:
        """What the VOMS clients, and we, are told of it."""
        return {"X509_CERT_DIR": str(self.authority.certificates), "X509_VOMS_DIR": str(self.vomsdir)}

    def proxy(self, path: Path, user: Holder, *fqans: str, signer: Holder | None = None, **options: object) -> Path:
        """Write a proxy of a user, with what the VO says of him if it says anything.

        ``signer`` signs that instead of the VO's server; ``options`` are those of voms-proxy-fake.
        """
        signer = signer or self.server
        words = ["-q", "-rfc", "-cert", user.certificate_file, "-key", user.key_file, "-out", path,
                 "-certdir", self.authority.certificates]  # fmt: skip
        if fqans:
            words += ["-voms", "lofar", "-uri", f"{SERVER}:15000", "-newformat",
                      "-hostcert", signer.certificate_file, "-hostkey", signer.key_file]  # fmt: skip
            words += [word for fqan in fqans for word in ("-fqan", fqan)]
        for name, value in {"bits": 2048, "hours": 12, **options}.items():
            words += [f"-{name}"] if value is True else [f"-{name}", str(value)]
        command = [str(self._prefix / "usr" / "bin" / "voms-proxy-fake"), *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **self.environment})
        return path
