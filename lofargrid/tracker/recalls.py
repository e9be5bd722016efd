"""Recalls: which files were asked for from tape, for which jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple

from lofargrid.states import FINAL
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.records import RecallLevel, RecallRecord
from lofargrid.tracker.store import marks

_FINAL = tuple(FINAL)
_READ_SOON = (
    "EXISTS (SELECT 1 FROM recall_readers b JOIN jobs j ON j.id = b.job_id"
    f" WHERE b.url = r.url AND j.state NOT IN ({marks(_FINAL)}))"
)

_DOUBTED = "SELECT count(*) FROM recalls WHERE url = ? AND doubted AND until > ?"


class Recalls(Jobs):
    """The tables of recalls, and the jobs that wait for their files."""

    def recalling(self) -> list[int]:
        """The jobs that wait for files from tape."""
        return [row[0] for row in self.rows("SELECT id FROM jobs WHERE state = 'recalling' ORDER BY 1")]

    def recalling_count(self) -> int:
        """How many jobs wait for files from tape."""
        return int(self.value("SELECT count(*) FROM jobs WHERE state = 'recalling'"))

    def recalls_unasked(self) -> set[int]:
        """The productions with a job that waits for files none of which was asked for yet."""
        rows = self.rows(
            "SELECT DISTINCT production_id FROM jobs WHERE state = 'recalling' AND NOT EXISTS (SELECT 1"
            " FROM recall_readers b JOIN recalls r ON r.url = b.url WHERE b.job_id = jobs.id)"
        )
        return {row[0] for row in rows}

    def recalls(self) -> list[RecallRecord]:
        """The files that were asked for, until they are known to be let go."""
        sql = (
            "SELECT b.url, b.job_id, j.production_id, j.state FROM recalls r JOIN recall_readers b ON b.url = r.url"
            f" JOIN jobs j ON j.id = b.job_id WHERE j.state NOT IN ({marks(_FINAL)}) ORDER BY 1, 2"
        )
        waiting: dict[str, list[int]] = {}
        read: dict[str, set[int]] = {}
        for url, job_id, production_id, state in self.rows(sql, *_FINAL):
            read.setdefault(url, set()).add(production_id)
            if state == "recalling":
                waiting.setdefault(url, []).append(job_id)
        rows = self.rows("SELECT url, size_bytes, request, since, until, came, failures FROM recalls ORDER BY 1")
        return [
            RecallRecord(
                **row, waiting=tuple(waiting.get(row["url"], ())), readers=tuple(sorted(read.get(row["url"], ())))
            )
            for row in rows
        ]

    def recall_requests(self) -> dict[str, list[str]]:
        """The requests that stand, and the files of each."""
        return _by_request(self.rows("SELECT request, url FROM recalls WHERE request <> '' ORDER BY 1, 2"))

    def recalls_since(self, since: str) -> set[str]:
        """The files that were asked for since a time, and did not fail since."""
        return {row[0] for row in self.rows("SELECT url FROM recalls WHERE request <> '' AND since >= ?", since)}

    def note_readers(self, job_id: int, urls: Iterable[str]) -> None:
        """Note that a job reads files from tape."""
        sql = "INSERT INTO recall_readers (job_id, url) VALUES (?, ?) ON CONFLICT DO NOTHING"
        self.write_many(sql, [(job_id, url) for url in urls])

    def note_recalls(self, files: Mapping[str, int], request: str, now: str, until: str) -> None:
        """Note that files, by URL with their bytes, were asked for, for the first time or once more."""
        self.write_many(
            "INSERT INTO recalls (url, size_bytes, request, since, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO"
            " UPDATE SET request = excluded.request, since = excluded.since, until = max(until, excluded.until)",
            [(url, size, request, now, until) for url, size in files.items()],
        )

    def note_doubt(self, files: Mapping[str, int], now: str, until: str) -> None:
        """Note that files may have been asked for by a request of which nothing is known."""
        self.write_many(
            "INSERT INTO recalls (url, size_bytes, request, since, until, doubted) VALUES (?, ?, '', ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET until = max(until, excluded.until), doubted = 1",
            [(url, size, now, until) for url, size in files.items()],
        )

    def note_came(self, online: Iterable[str], nearline: Iterable[str], now: str) -> None:
        """Note which of the files that were asked for are online, and which are not or not any more."""
        self.write_many("UPDATE recalls SET came = ? WHERE url = ? AND came = ''", [(now, url) for url in online])
        self.write_many("UPDATE recalls SET came = '' WHERE url = ? AND came <> ''", [(url,) for url in nearline])

    def recalls_in_vain(self, urls: Sequence[str], before: str) -> list[str]:
        """Those of some files that came, or were asked for before a time."""
        sql = "SELECT count(*) FROM recalls WHERE url = ? AND (came <> '' OR since < ?)"
        return [url for url in urls if self.value(sql, url, before)]

    def recalls_to_extend(self, before: str) -> dict[str, dict[str, int]]:
        """The files that may go before a time and are still to be read, with their bytes, by request."""
        sql = f"SELECT request, url, size_bytes FROM recalls r WHERE request <> '' AND until < ? AND {_READ_SOON}"
        found: dict[str, dict[str, int]] = {}
        for request, url, size in self.rows(f"{sql} ORDER BY 1, 2", before, *_FINAL):
            found.setdefault(request, {})[url] = size
        return found

    def recall_failed(self, url: str) -> int:
        """Note that the recall of a file failed, so that it is not on disk; tell how often it has."""
        until = "CASE WHEN doubted THEN until ELSE '' END"
        changes = f"request = '', until = {until}, came = '', failures = failures + 1"
        self.write(f"UPDATE recalls SET {changes} WHERE url = ? AND request <> ''", url)
        return int(self.value("SELECT failures FROM recalls WHERE url = ?", url) or 0)

    def recalls_forgotten(self, urls: Sequence[str]) -> None:
        """Note that no request stands for files: it is not known where it was made, or nothing more is to be done.

        What it has brought stays on disk until the time is over.
        """
        self.write_many("UPDATE recalls SET request = '' WHERE url = ?", [(url,) for url in urls])

    def recalls_read(self, now: str) -> dict[str, list[str]]:
        """The files whose last reader has ended, by the request that stands for them; by "" those that are gone."""
        sql = (
            f"SELECT request, url FROM recalls r WHERE NOT {_READ_SOON} AND (request <> '' OR until < ?) ORDER BY 1, 2"
        )
        return _by_request(self.rows(sql, *_FINAL, now))

    def recalls_to_read(self, request: str) -> int:
        """How many files of a request have a reader that has not ended."""
        return int(self.value(f"SELECT count(*) FROM recalls r WHERE request = ? AND {_READ_SOON}", request, *_FINAL))

    def forget_recalls(self, urls: Sequence[str], now: str) -> None:
        """Forget files that were let go, unless something unknown may still keep them on disk."""
        gone = [(url,) for url in urls if not self.value(_DOUBTED, url, now)]
        for table in ("recalls", "recall_readers"):
            self.write_many(f"DELETE FROM {table} WHERE url = ?", gone)
        self.recalls_forgotten(urls)

    def note_level(self, level: RecallLevel) -> None:
        """Note what a site's tapes have on disk now, unless that is what was noted last."""
        last = self.rows("SELECT * FROM recall_levels WHERE site = ? ORDER BY at DESC LIMIT 1", level.site)
        if not last or tuple(last[0])[2:] != astuple(level)[2:]:
            self.write("INSERT OR REPLACE INTO recall_levels VALUES (?, ?, ?, ?, ?)", *astuple(level))

    def last_levels(self) -> list[RecallLevel]:
        """What was noted last of each site."""
        sql = "SELECT site, max(at), on_disk_bytes, awaited_bytes, brought_bytes FROM recall_levels GROUP BY site"
        return [RecallLevel(*row) for row in self.rows(sql)]

    def recall_levels(self) -> list[RecallLevel]:
        """What the tapes had on disk over time, by site."""
        return [RecallLevel(*row) for row in self.rows("SELECT * FROM recall_levels ORDER BY site, at")]


def _by_request(rows: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for request, url in rows:
        found.setdefault(request, []).append(url)
    return found
