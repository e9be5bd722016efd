"""Where the content folders are: beside the package in a checkout, inside it when installed."""

from collections.abc import Sequence
from pathlib import Path

from lofargrid.errors import Fault, InputError

_PACKAGE = Path(__file__).resolve().parent


def content() -> Path:
    """The folder that holds sandbox/, jdl/, cvmfs/ and pilots/."""
    shipped = _PACKAGE / "content"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def common_scripts() -> Path:
    """The folder of scripts that all pipelines share."""
    return content() / "sandbox" / "common"


def pipeline_folders(own: Sequence[Path] = ()) -> dict[str, Path]:
    """The pipelines that are there, by name: folders with a pipeline.yaml; the user's own go before ours."""
    roots = [root for root in (content() / "sandbox", *reversed(own)) if root.is_dir()]
    found = {path.parent.name: path.parent for root in roots for path in root.glob("*/pipeline.yaml")}
    return dict(sorted(found.items()))


def pipeline_folder(name: str, own: Sequence[Path] = ()) -> Path:
    """The folder of a pipeline.

    Raises
    ------
    InputError
        There is no pipeline of that name.
    """
    found = pipeline_folders(own)
    if name not in found:
        raise InputError(Fault(f"there is no pipeline {name!r}", f"There are {', '.join(found)}", field="pipeline"))
    return found[name]
