"""Look at the inputs before anything is started: what cannot be used is told with file and line."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lofargrid.commands import run
from lofargrid.decisions.splitting import beams
from lofargrid.errors import BackendError, Fault, InputError
from lofargrid.model import Subband
from lofargrid.names import path_of
from lofargrid.states import Reason, explanation

_PATIENCE_S = 3600.0


def inspect(subbands: Sequence[Subband], runner: Path) -> list[Subband]:
    """Mark the subbands on this machine's disks that no job could use: absent, cut, unsafe, no MeasurementSet.

    The runner itself looks, so that a file is judged here as it would be on a worker node. Only headers are read.

    Raises
    ------
    BackendError
        The runner did not answer.
    """
    here = [one for one in subbands if one.url.startswith("file://")]
    if not here:
        return list(subbands)
    asked = json.dumps([{"path": path_of(one.url), "size_bytes": one.size_bytes} for one in here])
    result = run([sys.executable, "-I", "-S", str(runner), "inspect"], timeout_s=_PATIENCE_S, stdin=asked)
    if result.exit_code != 0:
        raise BackendError(f"the inputs could not be looked at: {result.stderr.strip()}")
    found = dict(zip((one.url for one in here), json.loads(result.stdout), strict=True))
    return [_marked(one, found.get(one.url)) for one in subbands]


def _marked(subband: Subband, answer: dict[str, str] | None) -> Subband:
    if not answer or not answer["reason"]:
        return subband
    return replace(subband, reason=Reason(answer["reason"]), problem=answer["detail"])


def refuse_unless_enough(subbands: Sequence[Subband], minimum_subbands: float, gaps: str) -> list[Fault]:
    """Weigh what cannot be used against the policy.

    Returns
    -------
    faults
        What cannot be used and is lived with.

    Raises
    ------
    InputError
        The policy asks for more than there is.
    """
    faults = list(_faults(subbands))
    for (role, observation, sap), members in beams(subbands).items():
        usable = sum(one.reason is None for one in members)
        enough = usable > 0 and usable / len(members) >= minimum_subbands
        if enough and not (gaps == "fail" and usable < len(members)):
            continue
        what = f"{usable} of {len(members)} subbands of {role} {observation} SAP{sap:03d} can be used"
        asked = "gaps: fail asks for all" if enough else f"minimum_subbands: {minimum_subbands:g} asks for more"
        remedy = "Mend the files above, or ask for less in policy"
        raise InputError(*faults, Fault(f"{what}, {asked}", remedy, field="policy"))
    return faults


def _faults(subbands: Sequence[Subband]) -> Iterator[Fault]:
    """What is wrong with each; what may not be read is so for many files alike, and told once."""
    refused: dict[str, list[Subband]] = {}
    for one in subbands:
        if one.reason is Reason.CREDENTIAL_REFUSED:
            refused.setdefault(one.problem, []).append(one)
        elif one.reason:
            yield _fault(one)
    for alike in refused.values():
        fault = _fault(alike[0])
        yield replace(fault, what=fault.what + (f", and {len(alike) - 1} more like it" if alike[1:] else ""))


def _fault(subband: Subband) -> Fault:
    assert subband.reason is not None
    meaning, remedy = explanation(subband.reason)
    what = f"{path_of(subband.url)}: {meaning} ({subband.problem})"
    return Fault(what, remedy[0].upper() + remedy[1:], subband.source, subband.line)
