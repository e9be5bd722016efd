"""Several backends as one: each attempt goes to the one that reaches its site."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lofargrid_runner.contract import JobSpec

from lofargrid.backends.base import Backend, Changes, Observation
from lofargrid.errors import BackendError


class SeveralBackends:
    """Backends beside each other. See `Backend` for what its calls guarantee.

    Parameters
    ----------
    backends
        The backends by name.
    of_site
        The name of the backend that reaches a site.
    """

    name = "several"

    def __init__(self, backends: Mapping[str, Backend], of_site: Mapping[str, str]) -> None:
        self._backends = backends
        self._of_site = of_site

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """See `Backend.submit`. Those of a backend that does not answer do not keep the others back."""
        troubles = []
        for name, backend in self._backends.items():
            mine = [one for one in jobs if self._of_site[one.site] == name]
            try:
                if mine:
                    backend.submit(mine)
            except BackendError as error:
                troubles.append(str(error))
        if troubles:
            raise BackendError("; ".join(troubles))

    def changes(self, cursor: str | None) -> Changes:
        """See `Backend.changes`. Who asks for everything needs every answer; else those that answer are heard."""
        cursors: dict[str, str] = json.loads(cursor) if cursor else {}
        observations: list[Observation] = []
        troubles = []
        for name, backend in self._backends.items():
            try:
                changes = backend.changes(cursors.get(name))
            except BackendError as error:
                troubles.append(str(error))
                continue
            cursors[name] = changes.cursor
            observations += changes.observations
        if troubles and (cursor is None or not observations):
            raise BackendError("; ".join(troubles))
        return Changes(json.dumps(cursors), tuple(observations))

    def cancel(self, attempts: Sequence[str]) -> None:
        """See `Backend.cancel`."""
        for backend in self._backends.values():
            backend.cancel(attempts)

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """See `Backend.avoid`."""
        for name, backend in self._backends.items():
            backend.avoid({site: given for site, given in nodes.items() if self._of_site.get(site) == name})

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """See `Backend.fetch`."""
        return [path for backend in self._backends.values() for path in backend.fetch(attempt, into)]

    def wait(self, timeout_s: float) -> None:
        """See `Backend.wait`. Each has its share of the time; what another one has to tell is heard after it."""
        for backend in self._backends.values():
            backend.wait(timeout_s / len(self._backends))

    def close(self) -> None:
        """See `Backend.close`."""
        for backend in self._backends.values():
            backend.close()
