"""SRM, the protocol, in front of anything that recalls: an envelope in, an envelope out, no network.

Facts of the protocol: "The Storage Resource Manager Interface Specification", version 2.2 (GFD-R-P.129).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from lofargrid.storage.base import Locality, Recalled, RecallState
from tests.grid.wires import Tapes

PLACE = "/srm/managerv2"
UNDELEGATED = b"0"
"""What a client of GSI says after the handshake: it gives the server no proxy of its own."""
STRANGE = Recalled(
    RecallState.FAILED,
    "SURL does not refer to an existing known file request that is associated with the request token",
)
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_SRM = "http://srm.lbl.gov/StorageResourceManager"
_LOCALITIES = {Locality.ONLINE: "ONLINE_AND_NEARLINE", Locality.NEARLINE: "NEARLINE", Locality.LOST: "LOST"}
_STATES = {
    RecallState.QUEUED: "SRM_REQUEST_QUEUED",
    RecallState.ONLINE: "SRM_SUCCESS",
    RecallState.FAILED: "SRM_INVALID_PATH",
}


def srm(tapes: Tapes, envelope: bytes) -> bytes:
    """What a server answers to a call."""
    call = ElementTree.fromstring(envelope)[0][0]
    name = call.tag.removeprefix(f"{{{_SRM}}}")
    answer = Element(f"{{{_SOAP}}}Envelope")
    outer = SubElement(SubElement(answer, f"{{{_SOAP}}}Body"), f"{{{_SRM}}}{name}Response")
    _CALLS[name](tapes, call[0], SubElement(outer, f"{name}Response"))
    return ElementTree.tostring(answer, xml_declaration=True, encoding="utf-8")


def _ls(tapes: Tapes, asked: Element, answer: Element) -> None:
    surls = _surls(asked)
    states = [tapes.where(_path(surl)) for surl in surls]
    _status(answer, "returnStatus", "SRM_SUCCESS" if any(one in _LOCALITIES for one in states) else "SRM_FAILURE")
    details = SubElement(answer, "details")
    for surl, state in zip(surls, states, strict=True):
        detail = SubElement(details, "pathDetailArray")
        SubElement(detail, "path").text = _path(surl)
        if state not in _LOCALITIES:
            refused = state is Locality.REFUSED
            _status(detail, "status", "SRM_AUTHORIZATION_FAILURE" if refused else "SRM_INVALID_PATH")
            continue
        _status(detail, "status", "SRM_SUCCESS")
        SubElement(detail, "size").text = str(tapes.size(_path(surl)))
        SubElement(detail, "type").text = "FILE"
        SubElement(detail, "fileLocality").text = _LOCALITIES[state]


def _bring_online(tapes: Tapes, asked: Element, answer: Element) -> None:
    surls = _surls(asked)
    name = tapes.bring([_path(one) for one in surls], float(asked.findtext("desiredLifeTime") or 0))
    _standing(surls, answer, tapes.standing(name) or {}, name)


def _status_of_bring_online(tapes: Tapes, asked: Element, answer: Element) -> None:
    standing = _known(tapes, asked, answer)
    if standing is not None:
        _standing(_surls(asked), answer, standing, asked.findtext("requestToken") or "")


def _release(tapes: Tapes, asked: Element, answer: Element) -> None:
    standing = _known(tapes, asked, answer)
    if standing is not None:
        paths = [_path(one) for one in _surls(asked)]
        _let_go(tapes, asked, answer, [one for one in paths if one in standing])


def _abort(tapes: Tapes, asked: Element, answer: Element) -> None:
    standing = _known(tapes, asked, answer)
    if standing is not None:
        paths = [_path(one) for one in _surls(asked)]
        coming = {path for path, one in standing.items() if one.state is RecallState.QUEUED}
        _let_go(tapes, asked, answer, [one for one in paths if one in coming])


def _let_go(tapes: Tapes, asked: Element, answer: Element, paths: Sequence[str]) -> None:
    tapes.let_go(asked.findtext("requestToken") or "", paths)
    _status(answer, "returnStatus", "SRM_SUCCESS")
    told = SubElement(answer, "arrayOfFileStatuses")
    for surl in _surls(asked):
        one = SubElement(told, "statusArray")
        SubElement(one, "surl").text = surl
        _status(one, "status", "SRM_SUCCESS" if _path(surl) in paths else "SRM_INVALID_PATH")


def _known(tapes: Tapes, asked: Element, answer: Element) -> Mapping[str, Recalled] | None:
    """How far a request is; of an unknown one that is said."""
    standing = tapes.standing(asked.findtext("requestToken") or "")
    if standing is None:
        _status(answer, "returnStatus", "SRM_INVALID_REQUEST", "no such request")
    return standing


def _standing(surls: Sequence[str], answer: Element, standing: Mapping[str, Recalled], name: str) -> None:
    told = [standing.get(_path(surl), STRANGE) for surl in surls]
    states = {one.state for one in told}
    alike = "SRM_SUCCESS" if RecallState.ONLINE in states else "SRM_FAILURE"
    whole = "SRM_PARTIAL_SUCCESS" if len(states) > 1 else alike
    _status(answer, "returnStatus", "SRM_REQUEST_QUEUED" if RecallState.QUEUED in states else whole)
    SubElement(answer, "requestToken").text = name
    array = SubElement(answer, "arrayOfFileStatuses")
    for surl, one in zip(surls, told, strict=True):
        file = SubElement(array, "statusArray")
        SubElement(file, "sourceSURL").text = surl
        _status(file, "status", _STATES[one.state], one.detail)


def _status(parent: Element, called: str, code: str, why: str = "") -> None:
    status = SubElement(parent, called)
    SubElement(status, "statusCode").text = code
    SubElement(status, "explanation").text = why


def _surls(asked: Element) -> list[str]:
    return [one.text or "" for one in asked.iter() if one.tag in ("urlArray", "sourceSURL")]


def _path(surl: str) -> str:
    return urlsplit(surl).path


_CALLS: Mapping[str, Callable[[Tapes, Element, Element], None]] = {
    "srmLs": _ls,
    "srmBringOnline": _bring_online,
    "srmStatusOfBringOnlineRequest": _status_of_bring_online,
    "srmReleaseFiles": _release,
    "srmAbortFiles": _abort,
}
