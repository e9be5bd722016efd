"""New proxies, made by voms-proxy-init of the user's certificate: it asks for the pass phrase, and his VO's server."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lofargrid.commands import run
from lofargrid.credentials.proxy import Proxy, read_proxy
from lofargrid.errors import Fault, InputError

PROGRAM = "voms-proxy-init"
_BITS = 2048
_PATIENCE_S = 600.0
"""Somebody types a pass phrase."""
_ERROR = re.compile(r"^(?:error|wrong pass ?phrase):? *(.*)$", re.I)
_NOISE = re.compile(
    r"[.+*]*|Function:.*|Cannot open file.*|\s*File=.*|Enter .*|Warning:.*|None of the.*|of returning.*"
)
_REMEDIES = {
    "valid credentials": "Your certificate belongs in ~/.globus/usercert.pem and its key in userkey.pem, mode 400;"
    " X509_USER_CERT and X509_USER_KEY name others",
    "pass": "Type the pass phrase of your key when you are asked, in a terminal",
    "unknown to this VO": "Ask to be made a member of the VO, or name another one with --vo",
    "unable to satisfy": "Ask your VO for that role, or name another one with --role",
    "parameters unset": "Debian's makes none of a proxy, such as MyProxy gives: use your certificate",
    "requested lifetime": "Ask for fewer hours with --valid, or for a new certificate",
    "not known": "The VO's address belongs in /etc/vomses, or in ~/.glite/vomses",
}


@dataclass(frozen=True)
class Wanted:
    """What a new proxy is to be like: of which VO, with which role in it, and good for how long."""

    vo: str
    role: str
    hours: float

    @property
    def words(self) -> list[str]:
        """What voms-proxy-init is told of it."""
        role = f":/{self.vo}/Role={self.role}" if self.role else ""
        minutes = round(self.hours * 60)
        return ["-voms", f"{self.vo}{role}", "-valid", f"{minutes // 60}:{minutes % 60:02d}"]


def make_proxy(path: Path, wanted: Wanted, doubts: Callable[[Proxy], list[str]]) -> Proxy:
    """Make a proxy, and put it in its place when it is known to be good: until then an older one stays there.

    Parameters
    ----------
    path
        Where it goes; nobody else can read it there.
    wanted
        What it is to be like. The VO's server may give it for a shorter time.
    doubts
        Tells why a proxy may not be believed.

    Raises
    ------
    InputError
        It was not made, or may not be believed.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".lofargrid-", dir=path.parent) as folder:
            new = Path(folder, path.name)
            words = [PROGRAM, "-rfc", "-bits", str(_BITS), *wanted.words, "-out", str(new)]
            done = run(words, timeout_s=_PATIENCE_S)
            if done.exit_code != 0:
                raise InputError(_fault(done.exit_code, done.stderr))
            found = doubts(read_proxy(new))
            if found:
                raise InputError(*(Fault(f"the new proxy is not good: {one}", "The old one was kept") for one in found))
            new.replace(path)
    except OSError as error:
        remedy = "Name another place in X509_USER_PROXY"
        raise InputError(Fault(f"no proxy can be written there: {error.strerror}", remedy, str(path))) from None
    return read_proxy(path)


def _fault(exit_code: int, said: str) -> Fault:
    """What went wrong, in the program's own words, and what helps."""
    if exit_code == 127:
        remedy = "Install it (Debian: voms-clients), or copy a proxy here that was made elsewhere, with mode 600"
        return Fault(f"{PROGRAM} is not on this machine", remedy)
    said = said.replace("Warning: your certificate", "your certificate").replace("\nwhich is", " which is")
    lines = [line for line in said.splitlines() if not _NOISE.fullmatch(line.strip())]
    errors = [found[1] for found in map(_ERROR.match, lines) if found]
    why = (errors or lines or [f"exit code {exit_code}"])[-1].strip(" .!")
    remedy = next((one for mark, one in _REMEDIES.items() if mark.lower() in why.lower()), "The old one was kept")
    return Fault(f"{PROGRAM} has made no proxy: {why}", remedy)
