"""Recalls: which files were asked for from tape, for which jobs."""

from collections.abc import Iterable, Mapping, Sequence

from lofargrid.model import Job
from lofargrid.states import FINAL
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.records import RecallRecord
from lofargrid.tracker.store import marks

_FINAL = tuple(FINAL)
_READ_SOON = (
    "EXISTS (SELECT 1 FROM recall_readers b JOIN jobs j ON j.id = b.job_id"
    f" WHERE b.url = r.url AND j.state NOT IN ({marks(_FINAL)}))"
)


class Recalls(Jobs):
    """The tables of recalls, and the jobs that wait for their files."""

    def recalling(self) -> list[Job]:
        """The jobs that wait for files from tape."""
        return self.in_state("recalling")

    def recalling_count(self) -> int:
        """How many jobs wait for files from tape."""
        return int(self.value("SELECT count(*) FROM jobs WHERE state = 'recalling'"))

    def recalls(self) -> list[RecallRecord]:
        """The files that were asked for and are not read to the end."""
        waiting: dict[str, list[int]] = {}
        sql = "SELECT b.url, b.job_id FROM recall_readers b JOIN jobs j ON j.id = b.job_id WHERE j.state = 'recalling'"
        for url, job_id in self.rows(f"{sql} ORDER BY 1, 2"):
            waiting.setdefault(url, []).append(job_id)
        rows = self.rows("SELECT url, since, failures FROM recalls ORDER BY 1")
        return [RecallRecord(url, since, failures, tuple(waiting.get(url, ()))) for url, since, failures in rows]

    def recall_requests(self) -> dict[str, list[str]]:
        """The requests that stand, and the files of each."""
        return _by_request(self.rows("SELECT request, url FROM recalls WHERE request <> '' ORDER BY 1, 2"))

    def recalls_since(self, since: str) -> set[str]:
        """The files that were asked for since a time, and did not fail since."""
        return {row[0] for row in self.rows("SELECT url FROM recalls WHERE request <> '' AND since >= ?", since)}

    def note_readers(self, wanted: Mapping[int, Sequence[str]]) -> None:
        """Note which jobs read which files from tape."""
        sql = "INSERT INTO recall_readers (job_id, url) VALUES (?, ?) ON CONFLICT DO NOTHING"
        self.write_many(sql, [(job_id, url) for job_id, urls in wanted.items() for url in urls])

    def note_recalls(self, urls: Sequence[str], request: str, now: str) -> None:
        """Note that files were asked for, for the first time or once more."""
        self.write_many(
            "INSERT INTO recalls (url, request, since) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET request = excluded.request, since = excluded.since",
            [(url, request, now) for url in urls],
        )

    def recalls_to_extend(self, before: str) -> dict[str, list[str]]:
        """The files that were asked for before a time and are still to be read, by request."""
        sql = f"SELECT request, url FROM recalls r WHERE request <> '' AND since < ? AND {_READ_SOON} ORDER BY 1, 2"
        return _by_request(self.rows(sql, before, *_FINAL))

    def recall_failed(self, url: str) -> int:
        """Note that the recall of a file failed; tell how often it has."""
        self.write("UPDATE recalls SET request = '', failures = failures + 1 WHERE url = ? AND request <> ''", url)
        return int(self.value("SELECT failures FROM recalls WHERE url = ?", url) or 0)

    def recalls_forgotten(self, urls: Sequence[str]) -> None:
        """Note that nobody recalls some files any more: their requests are not known where they were made."""
        self.write_many("UPDATE recalls SET request = '' WHERE url = ?", [(url,) for url in urls])

    def recalls_read(self) -> dict[str, list[str]]:
        """The files whose last reader has ended, by the request that stands for them, "" if none does."""
        return _by_request(
            self.rows(f"SELECT request, url FROM recalls r WHERE NOT {_READ_SOON} ORDER BY 1, 2", *_FINAL)
        )

    def forget_recalls(self, urls: Sequence[str]) -> None:
        """Forget files that were let go."""
        for table in ("recalls", "recall_readers"):
            self.write_many(f"DELETE FROM {table} WHERE url = ?", [(url,) for url in urls])


def _by_request(rows: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for request, url in rows:
        found.setdefault(request, []).append(url)
    return found
