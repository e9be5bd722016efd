"""Recalls: which files were asked for from tape, for which job."""

from collections.abc import Iterable, Sequence

from lofargrid.model import Job
from lofargrid.states import FINAL
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.store import marks

_FINAL = tuple(FINAL)


class Recalls(Jobs):
    """The table recalls, and the jobs that wait for their files."""

    def recalling(self) -> list[Job]:
        """The jobs that wait for files from tape."""
        return self.in_state("recalling")

    def recalling_count(self) -> int:
        """How many jobs wait for files from tape."""
        return int(self.value("SELECT count(*) FROM jobs WHERE state = 'recalling'"))

    def recall_requests(self) -> dict[str, list[str]]:
        """The requests that stand, and the files of each."""
        return _by_request(self.rows("SELECT request, url FROM recalls WHERE request <> '' ORDER BY 1, 2"))

    def recalls_since(self, since: str) -> set[str]:
        """The files that were asked for since a time, and did not fail since."""
        return {row[0] for row in self.rows("SELECT url FROM recalls WHERE request <> '' AND since >= ?", since)}

    def note_recall(self, url: str, job_id: int, request: str, now: str) -> None:
        """Note that a file was asked for."""
        self.write(
            "INSERT INTO recalls (url, job_id, request, since) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET job_id = excluded.job_id, request = excluded.request, since = excluded.since",
            url, job_id, request, now,
        )  # fmt: skip

    def recalls_to_extend(self, before: str) -> dict[str, list[str]]:
        """The files that were asked for before a time and whose reader has not ended, by request."""
        sql = (
            "SELECT r.request, r.url FROM recalls r JOIN jobs j ON j.id = r.job_id"
            f" WHERE r.request <> '' AND r.since < ? AND j.state NOT IN ({marks(_FINAL)}) ORDER BY 1, 2"
        )
        return _by_request(self.rows(sql, before, *_FINAL))

    def note_extended(self, urls: Sequence[str], request: str, now: str) -> None:
        """Note that files were asked for once more, and stay online longer."""
        self.write_many(
            "UPDATE recalls SET request = ?, since = ? WHERE url = ?", [(request, now, url) for url in urls]
        )

    def recall_failed(self, url: str) -> int:
        """Note that the recall of a file failed; tell how often it has."""
        self.write("UPDATE recalls SET request = '', failures = failures + 1 WHERE url = ? AND request <> ''", url)
        return int(self.value("SELECT failures FROM recalls WHERE url = ?", url) or 0)

    def recalls_forgotten(self, urls: Sequence[str]) -> None:
        """Note that nobody recalls some files any more: their requests are not known where they were made."""
        self.write_many("UPDATE recalls SET request = '' WHERE url = ?", [(url,) for url in urls])

    def recalls_read(self) -> dict[str, list[str]]:
        """The files whose reader has ended, by the request that stands for them, "" if none does."""
        sql = (
            "SELECT r.request, r.url FROM recalls r JOIN jobs j ON j.id = r.job_id"
            f" WHERE j.state IN ({marks(_FINAL)}) ORDER BY 1, 2"
        )
        return _by_request(self.rows(sql, *_FINAL))

    def forget_recalls(self, urls: Sequence[str]) -> None:
        """Forget files that were let go."""
        self.write_many("DELETE FROM recalls WHERE url = ?", [(url,) for url in urls])


def _by_request(rows: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for request, url in rows:
        found.setdefault(request, []).append(url)
    return found
