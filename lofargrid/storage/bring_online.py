"""Recall through gfal2's bring-online: SRM, and what else gfal2 speaks.

Source: gfal2's documentation and source, and what it was seen to answer.
"""

import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lofargrid.commands import run
from lofargrid.errors import BackendError, UncertainError
from lofargrid.storage.asking import LOCALITIES, parts, plain_path, trouble_of
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Way

AT_ONCE = 100
"""Of so many files one call asks where they are: gfal2 asks about each of them by itself."""

_PINNING = Pinning()
_CALLS = Path(__file__).with_name("gfal2_calls.py")
_PYTHON = "/usr/bin/python3"
_LIMIT_S = 300.0
# What gfal2 says of a file itself: ENOMSG comes with the service's own words.
_OF_FILES = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOMSG)
# With the same numbers it says of each file that the call failed. A request that nobody knows is EBADR over SRM, and
# over HTTP EINVAL, as is what HTTP has no better word for.
_OF_CALLS = re.compile(r"Failed to query|HTTP \d{3} :|\(received (?!404)\d{3}\)")
_NOT_OF_IT = re.compile("Missing response item|associated with the request token")
_UNKNOWN = (errno.EBADR, errno.EINVAL)
# With these nothing was done.
_REFUSED = (errno.EACCES, errno.EPERM, errno.ECONNREFUSED, errno.EHOSTUNREACH)
_UNDONE = re.compile(r"Failed to query|\(received (4\d\d|503)\)")

_Told = Mapping[str, tuple[int, str]]


class BringOnline:
    """The tapes of one site. See `Recall` for what its calls guarantee.

    The Python that GFAL_PYTHONBIN names, as for gfal2's own commands, must have gfal2.

    Parameters
    ----------
    called
        How messages name the service.
    at
        What a file's path is put behind: srm://srm.example.org:8443 or davs://door.example.org:2880.
    proxy
        The user's proxy certificate; it need not be there.
    authorities
        Whose certificates are believed.
    """

    def __init__(self, called: str, at: str, proxy: Path, authorities: Path) -> None:
        self._called = called
        self._at = at
        self._environment = {"X509_USER_PROXY": str(proxy), "X509_CERT_DIR": str(authorities)}

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return _PINNING

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`."""
        found: dict[str, Locality] = {}
        for part in parts(urls, AT_ONCE):
            told, _ = self._call("where files are", "where", part)
            found |= {url: self._locality(*one) for url, one in told.items()}
        return found

    def _locality(self, code: int, word: str) -> Locality:
        if not code:
            return LOCALITIES.get(word, Locality.NEARLINE)
        if _of_call(code, word):
            raise self._error("where files are", word)
        return Locality.ABSENT if code == errno.ENOENT else trouble_of(word)

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        what = "for files from tape"
        told, answer = self._call(what, "bring", urls, lifetime_s=int(_PINNING.lifetime_s))
        name = str(answer["request"])
        if not name:
            code, why = next(iter(told.values()))
            raise self._error(what, why, _uncertain(code, why))
        return name

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        told, _ = self._call("how far a request is", "poll", urls, request=_plain(request))
        return {url: _recalled(*one) for url, one in self._standing(told).items()}

    def _standing(self, told: _Told) -> _Told:
        """What is said of files that a request is for; nothing if the service does not know the request."""
        code, why = next(iter(told.values()))
        alike = len(set(told.values())) == 1
        if alike and code in _UNKNOWN and not _OF_CALLS.search(why):
            return {}
        if alike and code not in (0, errno.EAGAIN) and _of_call(code, why):
            raise self._error("how far a request is", why)
        return {url: (code, why) for url, (code, why) in told.items() if not _NOT_OF_IT.search(why)}

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`."""
        return {}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        told, _ = self._call("to release files", "release", urls, request=_plain(request))
        return bool(self._standing(told))

    def _call(self, what: str, do: str, urls: Sequence[str], **more: Any) -> tuple[_Told, Mapping[str, Any]]:
        """Ask gfal2, and tell what it says of each file, and its whole answer."""
        words = [os.environ.get("GFAL_PYTHONBIN") or _PYTHON, str(_CALLS)]
        asked = {"do": do, "urls": [f"{self._at}{plain_path(url)}" for url in urls], **more}
        done = run(words, {**os.environ, **self._environment}, _LIMIT_S, json.dumps(asked))
        if done.exit_code:
            why = (done.stderr.strip().splitlines() or [f"{words[0]} ended with {done.exit_code}"])[-1]
            raise self._error(what, why, uncertain=done.exit_code not in (126, 127))
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise self._error(what, f"{words[0]} gives an answer that is none", uncertain=True) from None
        if "error" in answer:
            raise self._error(what, answer["error"][1], _uncertain(*answer["error"]))
        return {url: (code, why) for url, (code, why) in zip(urls, answer["files"], strict=True)}, answer

    def _error(self, what: str, why: str, uncertain: bool = False) -> BackendError:
        return (UncertainError if uncertain else BackendError)(f"asked {self._called} {what}: {why.strip()}")


def _plain(request: str) -> str:
    """A request's name, which a URL may hold."""
    return quote(request, safe=":")


def _of_call(code: int, why: str) -> bool:
    """Whether it is the call that failed, and nothing is said of a file."""
    return code not in _OF_FILES or bool(_OF_CALLS.search(why))


def _uncertain(code: int, why: str) -> bool:
    """Whether a call that failed may have been carried out."""
    return code not in _REFUSED and not _UNDONE.search(why)


def _recalled(code: int, why: str) -> Recalled:
    if code == errno.EAGAIN:
        return Recalled(RecallState.QUEUED)
    return Recalled(RecallState.FAILED, why) if code else Recalled(RecallState.ONLINE)
