"""Where the content folders are: beside the package in a checkout, inside it when installed."""

from pathlib import Path

from lofargrid.errors import Fault, InputError

_PACKAGE = Path(__file__).resolve().parent


def content() -> Path:
    """The folder that holds sandbox/, jdl/, cvmfs/ and pilots/."""
    shipped = _PACKAGE / "content"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def pipeline_names(sandbox: Path | None = None) -> list[str]:
    """The pipelines that are there: folders of sandbox/ with a pipeline.yaml."""
    root = sandbox or content() / "sandbox"
    return sorted(folder.name for folder in root.iterdir() if (folder / "pipeline.yaml").is_file())


def pipeline_folder(name: str, sandbox: Path | None = None) -> Path:
    """The folder of a pipeline.

    Raises
    ------
    InputError
        There is no pipeline of that name.
    """
    names = pipeline_names(sandbox)
    if name not in names:
        raise InputError(Fault(f"there is no pipeline {name!r}", f"There are {', '.join(names)}", field="pipeline"))
    return (sandbox or content() / "sandbox") / name
