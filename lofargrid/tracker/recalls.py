"""Recalls: which files were asked for from tape, for which job."""

from collections.abc import Sequence

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

    def recall_requests(self) -> list[str]:
        """The requests that stand."""
        return [row[0] for row in self.rows("SELECT DISTINCT request FROM recalls WHERE request <> '' ORDER BY 1")]

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

    def recall_failed(self, url: str) -> int:
        """Note that the recall of a file failed; tell how often it has."""
        self.write("UPDATE recalls SET request = '', failures = failures + 1 WHERE url = ? AND request <> ''", url)
        return int(self.value("SELECT failures FROM recalls WHERE url = ?", url) or 0)

    def recalls_read(self) -> list[str]:
        """The files whose reader has ended."""
        sql = (
            f"SELECT r.url FROM recalls r JOIN jobs j ON j.id = r.job_id WHERE j.state IN ({marks(_FINAL)}) ORDER BY 1"
        )  # fmt: skip
        return [row[0] for row in self.rows(sql, *_FINAL)]

    def forget_recalls(self, urls: Sequence[str]) -> None:
        """Forget files that were let go."""
        self.write_many("DELETE FROM recalls WHERE url = ?", [(url,) for url in urls])
