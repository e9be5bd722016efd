"""Software releases: from cvmfs/software.yaml to what a payload finds on its node."""

import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lofargrid.documents.reading import Document, read_document
from lofargrid.errors import Fault, InputError


class Values(Document):
    """Places inside a release that templates use; empty where the tools find them by themselves."""

    aoflagger_strategy: str = ""


class Release(Document):
    """One release, as cvmfs/software.yaml describes it."""

    description: str
    path: list[str] = []
    aliases: dict[str, str] = {}
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    values: Values = Values()
    versions: dict[str, Annotated[list[str], Field(min_length=1)]] = {}


class SoftwareDocument(Document):
    """cvmfs/software.yaml."""

    releases: dict[str, Release]


@dataclass(frozen=True)
class Software:
    """A release made concrete for this machine: folders for PATH, variables, files, other names, versions."""

    release: str
    path: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    values: Values
    aliases: Mapping[str, str]
    versions: Mapping[str, tuple[str, ...]]

    def find(self, command: str, inherited: str) -> str | None:
        """The program that a payload would start for ``command``, or None."""
        search = ":".join([*self.path, inherited])
        return shutil.which(command, path=search) or shutil.which(self.aliases.get(command, command), path=search)


def read_software(path: Path, release: str) -> Software:
    """Find a release.

    Raises
    ------
    InputError
        There is no such release, or the file does not fit.
    """
    releases = read_document(path, SoftwareDocument).releases
    if release not in releases:
        remedy = f"There are {', '.join(releases)}"
        raise InputError(Fault(f"there is no software release {release!r}", remedy, field="software"))
    found = releases[release]
    places = {"environment": sys.prefix, "site_packages": sysconfig.get_path("purelib")}

    def concrete(text: str) -> str:
        try:
            return text.format(**places)
        except (LookupError, ValueError, AttributeError):
            remedy = f"In braces may stand {', '.join(places)}; write other braces twice"
            what = f"{text!r} names no place"
            raise InputError(Fault(what, remedy, str(path), None, f"releases.{release}")) from None

    return Software(
        release=release,
        path=tuple(concrete(folder) for folder in found.path),
        environment={name: concrete(value) for name, value in found.environment.items()},
        files={name: concrete(value) for name, value in found.files.items()},
        values=Values(aoflagger_strategy=concrete(found.values.aoflagger_strategy)),
        aliases=found.aliases,
        versions={name: tuple(words) for name, words in found.versions.items()},
    )
