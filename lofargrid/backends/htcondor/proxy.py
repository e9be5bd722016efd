"""The user's proxy certificate: a file that is to go along with jobs."""

import os
import stat
from pathlib import Path


def trouble_with(proxy: Path) -> str:
    """Why a proxy cannot go along with jobs; nothing if it may. How long it is valid is for HTCondor to say."""
    try:
        status = proxy.stat()
    except OSError as error:
        return f"the proxy {proxy}: {error.strerror}. Make one by voms-proxy-init; the same command goes on"
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.getuid():
        return f"the proxy {proxy} is no file of yours that nobody else can read. chmod 600 {proxy}"
    return ""
