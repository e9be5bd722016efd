"""Rights: whether this user may read what lies on tape, asked before anything is recalled or started."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from lofargrid.errors import BackendError
from lofargrid.model import Subband
from lofargrid.states import Reason
from lofargrid.storage.base import Locality, Recall


class Rights:
    """Asks the tape services of one file in each folder: archives give rights to the folders of projects.

    Parameters
    ----------
    tapes
        The tape services of all sites; None where there are none.
    site_of
        Tells the site of a file whose tapes can be asked for, or None.
    note
        Is told of a service that does not answer, or cannot tell: then a recall will.
    today
        The date, such as 2026-11-29.
    """

    def __init__(
        self, tapes: Recall | None, site_of: Callable[[str], str | None], note: Callable[[str], None], today: str
    ) -> None:  # fmt: skip
        self._tapes = tapes
        self._site_of = site_of
        self._note = note
        self._today = today
        self._refused: dict[str, bool] = {}
        self._warned: set[tuple[str, str, str]] = set()

    def marked(self, subbands: Sequence[Subband]) -> list[Subband]:
        """Mark those that this user may not read."""
        new: dict[str, dict[str, str]] = defaultdict(dict)
        for one in subbands:
            folder = _folder(one)
            if self._tapes and folder not in self._refused:
                self._refused[folder] = False
                if site := self._site_of(one.url):
                    new[site][one.url] = folder
        for site, folders in new.items():
            self._ask(site, folders)
        marked = [self._marked(one) for one in subbands]
        self._warn(marked)
        return marked

    def _ask(self, site: str, folders: dict[str, str]) -> None:
        assert self._tapes, "they are asked"
        try:
            found = self._tapes.locality(list(folders))
        except BackendError as error:
            self._note(f"whether you may read what lies at {site} is not known: {error}")
            return
        self._refused |= {folder: found.get(url) is Locality.REFUSED for url, folder in folders.items()}

    def _warn(self, subbands: Sequence[Subband]) -> None:
        """Tell of what is not public yet, where the service tells of rights only when it is asked for files."""
        closed = (one for one in subbands if one.public_from > self._today and not one.reason)
        for one in {(one.project, one.public_from): one for one in closed}.values():
            site = self._site_of(one.url) or ""
            known = site, one.project, one.public_from
            if self._tapes and site and known not in self._warned and self._tapes.pinning(one.url).opens:
                self._warned.add(known)
                what = f"files of {one.project}" if one.project else "files"
                until = f"public from {one.public_from} on; until then only members of the project get them"
                self._note(f"{site}: {what} are {until}")

    def _marked(self, one: Subband) -> Subband:
        if one.reason or not self._refused.get(_folder(one)):
            return one
        known = [f"of the project {one.project}"] if one.project else []
        known += [f"public from {one.public_from}"] if one.public_from else []
        why = f"{self._site_of(one.url)} does not let you read it" + (f": it is {', '.join(known)}" if known else "")
        return replace(one, reason=Reason.CREDENTIAL_REFUSED, problem=why)


def _folder(one: Subband) -> str:
    return one.url.rpartition("/")[0]
