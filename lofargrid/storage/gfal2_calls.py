"""Calls to gfal2 about tapes: a JSON object in, one out.

A program of its own, for the Python that has gfal2, which is that of the distribution and may be an older one: it needs
nothing of lofargrid. ``files`` of an answer holds an errno and a message for each file, in order, 0 where all is well.
"""

import errno
import json
import os
import sys
from collections.abc import Callable
from typing import Any

try:
    import gfal2
except ImportError:
    print(f"{sys.executable} has no gfal2: install python3-gfal2, or let GFAL_PYTHONBIN name a Python that has it",
          file=sys.stderr)  # fmt: skip
    sys.exit(127)  # as for a program that is not there


def where(context: Any, urls: list[str]) -> dict[str, Any]:
    """Tell where files are, in words of SRM."""
    return {"files": [_status(context, url) for url in urls]}


def bring(context: Any, urls: list[str], lifetime_s: int) -> dict[str, Any]:
    """Ask that files come online; there is no request where all of them are refused."""
    errors, request = context.bring_online(urls, lifetime_s, lifetime_s, True)
    return {"files": _told(errors), "request": request}


def poll(context: Any, urls: list[str], request: str) -> dict[str, Any]:
    """Tell how far files are; EAGAIN says that one has not come."""
    return {"files": _told(context.bring_online_poll(urls, request))}


def release(context: Any, urls: list[str], request: str) -> dict[str, Any]:
    """Let files go; of those that have not come, see that they do not. Tell how far they were before."""
    files = _told(context.bring_online_poll(urls, request))
    coming = [urls[number] for number, (code, _) in enumerate(files) if code == errno.EAGAIN]
    if coming:
        context.abort_bring_online(coming, request)
    context.release(urls, request)
    return {"files": files}


def _status(context: Any, url: str) -> tuple[int, str]:
    try:
        return 0, context.getxattr(url, "user.status")
    except gfal2.GError as error:
        return error.code, error.message


def _told(errors: list[Any]) -> list[tuple[int, str]]:
    return [(0, "") if one is None else (one.code, one.message) for one in errors]


def main() -> None:
    """Make the call that standard input asks for."""
    asked = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # plugins print what they like
    calls: dict[str, Callable[..., dict[str, Any]]]
    calls = {"where": where, "bring": bring, "poll": poll, "release": release}
    try:
        told = calls[asked.pop("do")](gfal2.creat_context(), **asked)
    except gfal2.GError as error:
        told = {"error": [error.code, error.message]}
    with os.fdopen(answer, "w") as stream:
        json.dump(told, stream)


if __name__ == "__main__":
    main()
