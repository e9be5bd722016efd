"""Files: what attempts made, where it stands, what may go."""

from collections.abc import Sequence

from lofargrid.model import StoredOutput
from lofargrid.tracker import records
from lofargrid.tracker.store import Store, marks


class Files(Store):
    """The table files."""

    def add_file(self, file: StoredOutput, product: bool) -> None:
        """Enter an output of a succeeded attempt."""
        self.write(
            "INSERT OR REPLACE INTO files (attempt, name, job_id, filename, url, size_bytes, adler32, product)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            file.attempt, file.name, file.job_id, file.filename, file.url, file.size_bytes, file.adler32, product,
        )  # fmt: skip

    def files(self, job_id: int) -> list[StoredOutput]:
        """What a job made."""
        return [records.file(row) for row in self.rows("SELECT * FROM files WHERE job_id = ? ORDER BY name", job_id)]

    def to_publish(self, production_id: int | None = None) -> list[StoredOutput]:
        """Products that have not their final name yet, of one production or of all."""
        sql = (
            "SELECT f.* FROM files f JOIN jobs j ON j.id = f.job_id WHERE f.product AND f.published = ''"
            " AND f.state = 'made' AND j.state = 'succeeded' AND j.current"
            " AND j.production_id = coalesce(?, j.production_id)"
        )
        return [records.file(row) for row in self.rows(sql, production_id)]

    def products(self, production_id: int) -> list[StoredOutput]:
        """The published products of the standing generation."""
        sql = (
            "SELECT f.* FROM files f JOIN jobs j ON j.id = f.job_id WHERE f.published <> '' AND j.current"
            " AND j.production_id = ? ORDER BY j.id, f.name"
        )
        return [records.file(row) for row in self.rows(sql, production_id)]

    def note_published(self, file: StoredOutput, url: str) -> None:
        """Write down where a product stands."""
        self.write("UPDATE files SET published = ? WHERE attempt = ? AND name = ?", url, file.attempt, file.name)

    def note_deleted(self, file: StoredOutput) -> None:
        """Write down that the scratch copy is gone."""
        self.write("UPDATE files SET state = 'deleted' WHERE attempt = ? AND name = ?", file.attempt, file.name)

    def disposable(self, job_id: int, grouped: Sequence[str]) -> list[StoredOutput]:
        """The scratch files of a job that nobody will read: consumers verified and not stale, products published.

        Parameters
        ----------
        job_id
            The job.
        grouped
            Grouped steps that read it; while one of them is not expanded its jobs are yet to come.
        """
        sql = (
            "SELECT f.* FROM files f JOIN jobs j ON j.id = f.job_id WHERE f.job_id = ? AND f.state = 'made'"
            " AND (NOT j.current OR (NOT (f.product AND f.published = '')"
            " AND NOT EXISTS (SELECT 1 FROM needs n JOIN jobs c ON c.id = n.job_id"
            "  WHERE n.need_id = j.id AND c.current AND (c.state <> 'succeeded' OR c.stale))"
            " AND NOT EXISTS (SELECT 1 FROM expansions e WHERE e.production_id = j.production_id"
            f"  AND (e.role <> j.role OR e.sap = j.sap) AND e.step IN ({marks(grouped)}))))"
        )
        return [records.file(row) for row in self.rows(sql, job_id, *grouped)]

    def on_scratch(self, production_id: int | None = None) -> list[int]:
        """The jobs that have files on scratch, of one production or of all."""
        if production_id is None:
            return [row[0] for row in self.rows("SELECT DISTINCT job_id FROM files WHERE state = 'made'")]
        sql = (
            "SELECT DISTINCT f.job_id FROM jobs j CROSS JOIN files f ON f.job_id = j.id WHERE j.production_id = ?"
            " AND f.state = 'made'"
        )
        return [row[0] for row in self.rows(sql, production_id)]

    def unswept(self) -> set[int]:
        """The productions whose scratch folders were not swept since something was last done for them."""
        return {row[0] for row in self.rows("SELECT id FROM productions WHERE NOT swept")}

    def swept(self, production_id: int) -> bool:
        """Whether a production's scratch folders were swept since something was last done for it."""
        return bool(self.value("SELECT swept FROM productions WHERE id = ?", production_id))

    def note_swept(self, production_id: int) -> None:
        """Write down that nothing is left to sweep."""
        self.write("UPDATE productions SET swept = 1 WHERE id = ?", production_id)
