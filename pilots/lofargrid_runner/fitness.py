"""Is this node good enough for a pilot? What is wrong is told before the pilot takes a single job."""

from __future__ import annotations

import base64
import json
import os
import socket
from typing import NamedTuple

from .contract import PilotSpec, Reason
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

OUTBOUND_S = 20.0
CLOCK_S = 300.0
# Firmware and kernel take their part: a node sold as 8 GB says a little less.
MEMORY_SHARE = 0.95


class Token(NamedTuple):
    """When a token was issued and when it expires, in seconds since 1970; 0 if it does not say. Not the secret."""

    issued: float
    expires: float


def read_token(path: str) -> Token:
    """Look at a token without checking it: that is the pool's to do.

    Raises
    ------
    Failure
        ``CREDENTIAL_REFUSED``: it cannot be read, or is none.
    """
    try:
        with open(path, encoding="ascii") as file:
            body = file.read().strip().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Token(float(claims.get("iat", 0)), float(claims.get("exp", 0)))
    except OSError as error:
        raise Failure(Reason.CREDENTIAL_REFUSED, f"cannot read the token: {error.strerror}") from None
    except (ValueError, IndexError, AttributeError, TypeError):
        raise Failure(Reason.CREDENTIAL_REFUSED, "the file `token` holds no token") from None


def ends(spec: PilotSpec, token: Token, now: float) -> float:
    """When the pilot must have left: at the end of its time, or of its token's."""
    until = now + spec.walltime_s
    return min(until, token.expires) if token.expires else until


def require_fit(spec: PilotSpec, token: Token, node: Mapping[str, Any], now: float) -> None:
    """Refuse a node that would only fail jobs.

    Raises
    ------
    Failure
        ``NODE_UNFIT`` with all that is wrong, or ``CREDENTIAL_EXPIRED``.
    """
    if token.expires and token.expires - now < spec.idle_s:
        what = f"the pilot's token expires in {token.expires - now:.0f} s: it waited too long for its turn"
        raise Failure(Reason.CREDENTIAL_EXPIRED, what)
    wrong = [*_root(), *_too_small(spec, node), *_clock(token, now), *_missing(spec.needs), *_outbound(spec.collector)]
    if wrong:
        raise Failure(Reason.NODE_UNFIT, f"{os.uname().nodename}: {'; '.join(wrong)}")


def unknown_host() -> str:
    """The name of this node if nobody can look it up, else nothing: each process of HTCondor would try for a minute."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return name
    return ""


def numeric(collector: str) -> str:
    """A collector's address in which nothing has to be looked up."""
    host, _, port = collector.rpartition(":")
    try:
        address = str(socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, ValueError):
        return collector
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _root() -> list[str]:
    # HTCondor as root wants a user of its own, and would run jobs as whoever they say they are.
    return ["a pilot runs as an ordinary user, not as root"] if os.getuid() == 0 else []


def _too_small(spec: PilotSpec, node: Mapping[str, Any]) -> list[str]:
    wanted = {
        "cpus": (spec.cores, "cores"),
        "memory_mb": (int(spec.memory_mb * MEMORY_SHARE), "MB of memory"),
        "scratch_free_mb": (spec.scratch_mb, "MB of scratch"),
    }
    return [f"{node[key]} {what}, {least} are needed" for key, (least, what) in wanted.items() if node[key] < least]


def _clock(token: Token, now: float) -> list[str]:
    # The one time of the pool's that we know is when it issued the token.
    behind = token.issued - now
    return [f"its clock is {behind:.0f} s behind the pool's or more"] if behind > CLOCK_S else []


def _missing(folders: tuple[str, ...]) -> list[str]:
    return [f"no {one}" for one in folders if not os.path.isdir(one)]


def _outbound(collector: str) -> list[str]:
    host, _, port = collector.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), OUTBOUND_S).close()
    except (OSError, ValueError) as error:
        return [f"cannot reach the pool at {collector}: {error}"]
    return []
