"""A catalogue behind the Table Access Protocol of the Virtual Observatory, in its table of observations, ObsCore.

Source: IVOA recommendations "Table Access Protocol" 1.1 and "ObsCore" 1.1.
"""

from collections.abc import Iterable

from lofargrid.catalogues.base import Entry
from lofargrid.catalogues.rows import entry_of
from lofargrid.errors import BackendError, Fault, InputError

_MOST = 100_000
_QUERY = (
    "SELECT access_url, access_estsize, proposal_id, obs_release_date FROM ivoa.obscore WHERE obs_id IN ('{0}', '{1}')"
)
_OPTIONAL = ", proposal_id, obs_release_date"
"""Columns that ObsCore leaves to each service."""


class Tap:
    """A TAP service.

    Parameters
    ----------
    place
        Its https:// address.
    """

    def __init__(self, place: str) -> None:
        self._place = place

    def files(self, observation: str) -> Iterable[Entry]:
        """See `Catalogue.files`."""
        try:
            from pyvo.dal import DALAccessError, DALQueryError, TAPService
        except ImportError:
            remedy = "Install it: pip install 'lofargrid[catalogue]'"
            raise InputError(Fault("a TAP service is asked with pyvo", remedy)) from None
        query = _QUERY.format(observation, observation.removeprefix("L"))
        service = TAPService(self._place)
        try:
            try:
                table = service.run_sync(query, maxrec=_MOST).to_table()
            except DALQueryError:
                table = service.run_sync(query.replace(_OPTIONAL, ""), maxrec=_MOST).to_table()
        except (DALAccessError, OSError) as error:
            raise BackendError(f"asked {self._place} for {observation}: {' '.join(str(error).split())[:300]}") from None
        rows = ({name: row[name] for name in table.colnames} for row in table)
        try:
            return [one for one in map(entry_of, rows) if one]
        except ValueError as error:
            raise BackendError(f"{self._place} tells what is none: {error}") from None
