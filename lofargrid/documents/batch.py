"""Pure: jdl/batch.yaml to the batch systems that it describes."""

from pathlib import Path

from lofargrid.documents.reading import Document, read_document


class BatchDocument(Document):
    """The commands of one batch system."""

    submit: list[str]
    living: list[str]
    cancel: list[str]
    template: str = ""


class BatchesDocument(Document):
    """batch.yaml."""

    systems: dict[str, BatchDocument]


def read_batches(file: Path) -> dict[str, BatchDocument]:
    """Read the batch systems.

    Raises
    ------
    InputError
        The file cannot be read or does not fit.
    """
    return read_document(file, BatchesDocument).systems
