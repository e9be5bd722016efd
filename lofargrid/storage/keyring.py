"""The tokens that open files for a while, in files of their own that nobody else can read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lofargrid.errors import BackendError
from lofargrid.storage.base import Way


class Keyring:
    """Ways to files, below a folder. See `Keys` for what its calls guarantee.

    Parameters
    ----------
    folder
        Holds a file with the URL of each, and one with its token.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, url: str, way: Way) -> None:
        """See `Keys.keep`.

        Raises
        ------
        BackendError
            The disk does not take it.
        """
        place = self._place(url)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for ending, content in ((".token", way.token), (".url", way.url)):  # the second says that both are there
                part = place.with_suffix(".part")
                part.unlink(missing_ok=True)
                part.touch(mode=0o600, exist_ok=False)
                part.write_text(content, encoding="utf-8")
                part.rename(place.with_suffix(ending))
        except OSError as error:
            raise BackendError(f"cannot write {error.filename or self._folder}: {error.strerror}") from None

    def of(self, url: str) -> Way | None:
        """See `Keys.of`."""
        place = self._place(url)
        try:
            way = place.with_suffix(".url").read_text(encoding="utf-8")
            kept = place.with_suffix(".token")
            return Way(way, str(kept) if kept.stat().st_size else "")
        except OSError:
            return None

    def forget(self, urls: Sequence[str]) -> None:
        """See `Keys.forget`."""
        for url in urls:
            for ending in (".url", ".token"):
                self._place(url).with_suffix(ending).unlink(missing_ok=True)

    def _place(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()[:32]
