"""Pure: a pilot as it stands now."""

from dataclasses import dataclass
from typing import Any

from lofargrid.pilots.joined import Joined
from lofargrid.tracker.records import PilotRecord


@dataclass(frozen=True)
class Standing:
    """A pilot as it stands now: what we wrote down of it, and what the pool says; one of them at least."""

    record: PilotRecord | None
    joined: Joined | None

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id if self.record else self.joined.pilot if self.joined else ""

    @property
    def node(self) -> str:
        """The node that it is on, as far as anybody knows."""
        return (self.joined.node if self.joined else "") or (self.record.node if self.record else "")

    @property
    def names(self) -> set[str]:
        """What people may call it: its id, its batch system's ids, its node with and without a domain."""
        names = {self.id, self.node, self.node.partition(".")[0]}
        if self.record:
            names.add(self.record.batch_id)
        if self.joined:
            names |= {part.partition("=")[2] for part in self.joined.batch.split()}
        return names - {""}

    @property
    def state(self) -> str:
        """How it stands, in words."""
        if self.joined:
            running = self.joined.running
            jobs = f"{running} job{'s' * (running > 1)}" if running else "idle"
            return f"drains, {jobs}" if self.joined.draining else jobs
        if self.record and self.record.ended:
            return f"{self.record.reason or 'left'}: {self.record.detail}"
        return "joined, not heard of" if self.record and self.record.joined else "waits for a node"

    def facts(self) -> dict[str, Any]:
        """All of it, for programs."""
        record, joined = self.record, self.joined
        return {
            "pilot": self.id,
            "site": record.site if record else joined.site if joined else "",
            "through": record.through if record else "script",
            "batch_id": (record.batch_id if record else "") or (joined.batch if joined else ""),
            "node": self.node,
            "state": self.state,
            "running": joined.running if joined else 0,
            "jobs": record.jobs if record else 0,
            "heard": joined.heard.isoformat() if joined else (record.ended or "") if record else "",
            "ends": joined.ends.isoformat() if joined else "",
            "token": record.token if record else "",
            "token_expires": record.token_expires if record else "",
            "reason": record.reason if record else None,
            "detail": record.detail if record else "",
        }
