"""The pool that pilots join: its address, the tokens that open it, and the pilots that it knows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import classad2
import htcondor2

from lofargrid.backends.htcondor.schedd import answered, called_back
from lofargrid.backends.htcondor.token import Token, read_token
from lofargrid.commands import run
from lofargrid.errors import BackendError
from lofargrid.pilots.joined import Joined

PORT = 9618
_KEY = "LOFARGRID_PILOT_KEY"
_MAY = ("ADVERTISE_STARTD", "READ")
_SILENCE_S = 50
_ASKED = [
    "LofargridPilot", "LofargridBatch", "LofargridEnds", "GLIDEIN_Site", "Machine", "Name", "TotalSlotCpus",
    "NumDynamicSlots", "LastHeardFrom", "Draining", "LofargridDrains", "DynamicSlot", "JobId",
]  # fmt: skip


class Pool:
    """The pool that HTCondor's configuration on this machine names."""

    @property
    def collector(self) -> str:
        """Its address, as pilots reach it.

        Raises
        ------
        BackendError
            The configuration names none.
        """
        name = str(htcondor2.param.get("COLLECTOR_HOST", "")).replace(",", " ").split()
        if not name:
            raise BackendError("HTCondor's configuration names no pool: it has no COLLECTOR_HOST")
        host, _, port = name[0].rpartition(":")
        return name[0] if host and port[:1].isdigit() else f"{name[0]}:{PORT}"

    def token(self, lifetime_s: int) -> Token:
        """Ask the pool for a token that lets a startd join, and nothing else.

        Raises
        ------
        BackendError
            The pool gives none, in its words.
        """
        words = ["condor_token_fetch", "-type", "COLLECTOR", "-lifetime", str(lifetime_s)]
        words += [word for one in _MAY for word in ("-authz", one)]
        key = str(htcondor2.param.get(_KEY, ""))
        done = run(words + (["-key", key] if key else []))
        try:
            if not done.exit_code:
                return read_token(done.stdout)
        except ValueError:
            pass
        why = " ".join(done.stderr.split()) or "it says no more"
        raise BackendError(f"the pool gives no token for a pilot: {why}. Who may have one is for its admin to say")

    @answered
    def joined(self) -> list[Joined]:
        """The pilots that are in the pool now."""
        # A pilot speaks every 20 s. The pool believes in one for longer that died without a word.
        where = f"LofargridPilot isnt undefined && time() - LastHeardFrom < {_SILENCE_S}"
        ads = htcondor2.Collector().query(htcondor2.AdType.Startd, where, projection=_ASKED)
        jobs: dict[str, list[str]] = {}
        for ad in ads:
            if "JobId" in ad:
                jobs.setdefault(str(ad["LofargridPilot"]), []).append(str(ad["JobId"]))
        whole = [ad for ad in ads if not ad.get("DynamicSlot")]
        return [_joined(ad, sorted(jobs.get(str(ad["LofargridPilot"]), ()))) for ad in whole]

    @answered
    def cores(self, site: str) -> int:
        """How many cores pilots and nodes of a site offer now, free or not."""
        where = f"GLIDEIN_Site == {classad2.quote(site)} && DynamicSlot isnt true"
        ads = htcondor2.Collector().query(htcondor2.AdType.Startd, where, projection=["TotalSlotCpus"])
        return sum(int(ad["TotalSlotCpus"]) for ad in ads)

    def drain(self, pilots: Sequence[Joined]) -> None:
        """Let pilots take no more jobs, and leave when what runs there has ended.

        Raises
        ------
        BackendError
            The pool does not let us; those before are drained.
        """
        for one in pilots:
            done = run(["condor_drain", "-graceful", "-exit-on-completion", one.slot], called_back())
            if done.exit_code:
                why = " ".join((done.stderr or done.stdout).split())
                raise BackendError(f"{one.pilot} is not drained: {why}. It takes an ADMINISTRATOR of the pool")


def _joined(ad: Any, jobs: Sequence[str]) -> Joined:
    return Joined(
        pilot=str(ad["LofargridPilot"]),
        slot=str(ad["Name"]),
        site=str(ad.get("GLIDEIN_Site", "")),
        node=str(ad.get("Machine", "")),
        batch=str(ad.get("LofargridBatch", "")),
        cores=int(ad.get("TotalSlotCpus", 0)),
        running=int(ad.get("NumDynamicSlots", 0)),
        ends=datetime.fromtimestamp(int(ad.get("LofargridEnds", 0)), UTC),
        heard=datetime.fromtimestamp(int(ad.get("LastHeardFrom", 0)), UTC),
        draining=bool(ad.get("Draining", False) or ad.get("LofargridDrains", False)),
        jobs=tuple(jobs),
    )
