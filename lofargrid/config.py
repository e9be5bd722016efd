"""The settings of this machine. The only reader of the environment."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lofargrid.errors import Fault, InputError

_SECURITY = Path("/etc/grid-security")


@dataclass(frozen=True)
class Settings:
    """Where lofargrid keeps its things on this machine, and who uses it.

    ``slots`` is the number of payloads that the local backend runs at once, ``pipelines`` folders of the user's
    own pipelines, ``sites`` the user's own site files, a later one going before an earlier one. ``proxy`` is the
    user's proxy certificate, where jobs are to have it; ``own_proxy`` is that one, or the one that grid commands use.
    ``tokens`` is the folder of his tokens for storages, ``staging`` holds that for StageIT, ``catalogue`` tells which
    files there are of an observation.
    ``authorities`` and ``vomsdir`` hold what this machine trusts, see `lofargrid.credentials.trust`.
    """

    data: Path
    scratch: Path | None
    slots: int
    owner: str
    contact: str
    pipelines: tuple[Path, ...] = ()
    sites: tuple[Path, ...] = ()
    proxy: Path | None = None
    own_proxy: Path = Path()
    tokens: Path = Path()
    staging: Path = Path()
    catalogue: str = ""
    authorities: Path = Path()
    vomsdir: Path = Path()

    @property
    def tracker(self) -> Path:
        """The tracker's file."""
        return self.data / "tracker.db"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the machine's settings: XDG folders, LOFARGRID_DATA, LOFARGRID_SCRATCH, LOFARGRID_SLOTS,
    LOFARGRID_CONTACT, LOFARGRID_PIPELINES, LOFARGRID_SITES, LOFARGRID_PROXY, LOFARGRID_TOKENS,
    LOFARGRID_STAGINGRC, LOFARGRID_CATALOGUE, and what all grid commands read: X509_USER_PROXY, X509_CERT_DIR,
    X509_VOMS_DIR.

    Raises
    ------
    InputError
        LOFARGRID_SLOTS is not a number, or LOFARGRID_PROXY no absolute path.
    """
    home = Path(environment.get("HOME") or "/")
    share = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    owner = environment.get("USER") or environment.get("LOGNAME") or pwd.getpwuid(os.getuid()).pw_name
    scratch = environment.get("LOFARGRID_SCRATCH")
    proxy = _proxy(environment.get("LOFARGRID_PROXY"))
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "lofargrid"
    own_sites = own / "sites.yaml"
    return Settings(
        data=Path(environment.get("LOFARGRID_DATA") or share / "lofargrid"),
        scratch=Path(scratch) if scratch else None,
        slots=_positive(environment.get("LOFARGRID_SLOTS")) or len(os.sched_getaffinity(0)),
        owner=re.sub(r"[^A-Za-z0-9._-]", "_", owner),
        contact=environment.get("LOFARGRID_CONTACT") or owner,
        pipelines=_paths(environment.get("LOFARGRID_PIPELINES", "")),
        # One that cannot be reached is as if it were not there; exists() would raise.
        sites=((own_sites,) if os.access(own_sites, os.F_OK) else ()) + _paths(environment.get("LOFARGRID_SITES", "")),
        proxy=proxy,
        own_proxy=proxy or Path(environment.get("X509_USER_PROXY") or f"/tmp/x509up_u{os.getuid()}"),
        tokens=Path(environment.get("LOFARGRID_TOKENS") or own / "tokens"),
        staging=Path(environment.get("LOFARGRID_STAGINGRC") or home / ".stagingrc"),
        catalogue=environment.get("LOFARGRID_CATALOGUE") or "",
        authorities=Path(environment.get("X509_CERT_DIR") or _SECURITY / "certificates"),
        vomsdir=Path(environment.get("X509_VOMS_DIR") or _SECURITY / "vomsdir"),
    )


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(one) for one in text.split(":") if one)


def _proxy(text: str | None) -> Path | None:
    """A path that may stand in a submit description. What lies there is for those to look at who use it."""
    if not text:
        return None
    if not re.fullmatch(r"/[A-Za-z0-9._/+@~:-]+", text):
        remedy = "Name the file that `proxy` tells, by its absolute path"
        raise InputError(Fault(f"{text!r} cannot be the path of a proxy", remedy, "LOFARGRID_PROXY"))
    return Path(text)


def _positive(text: str | None) -> int:
    """A whole number from 1; 0 where none is given."""
    if not text:
        return 0
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise InputError(Fault(f"{text!r} is not a number of slots", "Give a whole number from 1", "LOFARGRID_SLOTS"))
    return int(text)
