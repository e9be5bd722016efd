"""Whether a credential's time is over: storages have one word for that and for one that they refuse."""

from __future__ import annotations

import base64
import calendar
import json
import re
import ssl
import time

from .contract import Reason

END = "-----END CERTIFICATE-----"


def judged(reason: Reason, credential: str) -> Reason:
    """Tell a credential whose time is over from one that is refused; it may be none."""
    if reason is Reason.CREDENTIAL_EXPIRED and not has_expired(credential):
        return Reason.CREDENTIAL_REFUSED
    if reason is Reason.CREDENTIAL_REFUSED and credential and has_expired(credential):
        return Reason.CREDENTIAL_EXPIRED
    return reason


def has_expired(credential: str) -> bool:
    """Whether the time of a proxy, a macaroon or a JWT is over. A proxy that cannot be read is worth no more.

    Of a token that does not say when it ends, nothing is claimed.
    """
    try:
        with open(credential, encoding="ascii", errors="replace") as file:
            text = file.read().strip()
        if text and "-----BEGIN" not in text:
            return any(end < time.time() for end in _ends(text))
        content = ssl.PEM_cert_to_DER_cert(text.partition("-----END CERTIFICATE")[0] + END)
    except (OSError, ValueError):
        return True
    # Its validity, in DER: from, and until.
    found = re.search(rb"\x30\x1e\x17\x0d\d{12}Z\x17\x0d(\d{12}Z)", content)
    return not found or time.strptime(found[1].decode(), "%y%m%d%H%M%SZ") < time.gmtime()


def _ends(token: str) -> list[float]:
    """When a token says that it ends: the claim ``exp`` of a JWT, all caveats ``before`` of a macaroon."""
    head, _, rest = token.partition(".")
    try:
        if rest:
            return [float(json.loads(_decoded(rest.partition(".")[0]))["exp"])]
        found = re.findall(rb"before:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", _decoded(head))
        return [calendar.timegm(time.strptime(end.decode(), "%Y-%m-%dT%H:%M:%S")) for end in found]
    except (ValueError, LookupError, TypeError):
        return []


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
