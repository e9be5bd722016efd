"""A recipe: pipeline, parameters, software and inputs frozen with a hash, so that a run can be repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, overload

from lofargrid.decisions.splitting import SplitStep, digest
from lofargrid.documents.pipelines import (
    Pipeline,
    Step,
    group_size,
    parameters_used,
)
from lofargrid.documents.sites import ALL
from lofargrid.model import Site, Subband

PARAMETERS_FOLDER = "parameters"


class Listing(Sequence[Subband]):
    """Subbands that are read when they are asked for: an engine has the recipes of thousands of productions.

    Parameters
    ----------
    every
        Reads all.
    one
        Reads the one of a role and a key.
    """

    def __init__(self, every: Callable[[], Sequence[Subband]], one: Callable[[str, str], Subband]) -> None:
        self._every = every
        self._one = one

    def __len__(self) -> int:
        return len(self._every())

    def __iter__(self) -> Iterator[Subband]:
        return iter(self._every())

    @overload
    def __getitem__(self, place: int) -> Subband: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Subband]: ...
    def __getitem__(self, place: int | slice) -> Subband | Sequence[Subband]:
        return self._every()[place]

    def find(self, role: str, key: str) -> Subband:
        """The subband of a role and a key, without reading the others."""
        return self._one(role, key)


@dataclass(frozen=True)
class Recipe:
    """All that decides what a production makes.

    ``parameters`` hold for file parameters the path inside the job's folder; ``files`` maps such paths to
    where the user's file lies now. ``digests`` has the SHA-256 of each file of the sandbox and of ``files``,
    ``imports`` the files of the sandbox that a script of it imports, also through others.
    """

    production: str
    pipeline: Pipeline
    parameters: Mapping[str, Any]
    subbands: Sequence[Subband]
    output: str
    software: str
    backend: str
    gaps: str
    minimum_subbands: float
    keep_intermediates: bool
    digests: Mapping[str, str]
    files: Mapping[str, str]
    templates: Mapping[str, str]
    imports: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sites: str | Sequence[str] = ALL

    def allowed(self, sites: Mapping[str, Site]) -> list[str]:
        """Those of some sites that may run its jobs: that it names, and that its backend reaches."""
        named = [name for name in sites if self.sites == ALL or name in self.sites]
        return [name for name in named if sites[name].backend in ("", self.backend)]

    @cached_property
    def hash(self) -> str:
        """Equal for two recipes that make the same."""
        # A list of inputs is long, and the same line by line.
        lines = sorted(
            f"{one.role}\t{one.observation}\t{one.sap}\t{one.number}"
            f"\t{one.url}\t{one.size_bytes}\t{one.adler32}\t{one.frequency_hz}"
            for one in self.subbands
        )
        return digest(self.choices, "\n".join(lines))

    @cached_property
    def listed(self) -> Mapping[tuple[str, str], Subband]:
        """The subbands by role and key."""
        if isinstance(self.subbands, Listing):
            return _ByKey(self.subbands)
        return {(one.role, one.key): one for one in self.subbands}

    def content(self) -> dict[str, Any]:
        """What the hash is taken over, as values that JSON can hold."""
        return {**self.choices, "inputs": listed_content(self.subbands)}

    @cached_property
    def choices(self) -> Mapping[str, Any]:
        """The content but its inputs."""
        return {
            "production": self.production,
            "pipeline": self.pipeline.model_dump(mode="json", by_alias=True),
            "parameters": dict(self.parameters),
            "output": self.output,
            "software": self.software,
            "backend": self.backend,
            "policy": {
                "gaps": self.gaps,
                "minimum_subbands": self.minimum_subbands,
                "keep_intermediates": self.keep_intermediates,
            },
            "digests": dict(self.digests),
            **({} if self.sites == ALL else {"sites": list(self.sites)}),
        }

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps that these parameters select."""
        return self.pipeline.active(self.parameters)

    def split_steps(self) -> list[SplitStep]:
        """The steps as splitting needs them."""
        pipeline = self.pipeline.model_dump_json(by_alias=True, exclude_unset=True)
        return [
            SplitStep(
                name, step, self._content_of(name, step, pipeline),
                group_size(step, self.parameters) if step.grouped else 0,
            )
            for name, step in self.steps.items()
        ]  # fmt: skip

    def _content_of(self, name: str, step: Step, pipeline: str) -> str:
        """A hash of all that a step's result depends on but its inputs: what it costs and tells is left out."""
        definition = step.model_dump(
            mode="json", by_alias=True, exclude={"description", "resources", "retry", "minimum", "when"}
        )
        templates = {one: self.templates[one] for one in sorted(step.files.values())}
        used = {one: self.parameters[one] for one in _parameters_used(pipeline, name, tuple(templates.items()))}
        texts = [*step.words(), *templates.values()]
        named = {one for one in self.digests if any(f"sandbox/{one}" in text for text in texts)}
        named |= {one for script in named for one in self.imports.get(script, ())}
        folders = tuple(f"{PARAMETERS_FOLDER}/{one}/" for one in used)
        files = {
            one: value
            for one, value in self.digests.items()
            if one in templates or one in named or one.startswith(folders)
        }
        return digest(definition, used, files, self.software, self.gaps if step.merges else "")


class _ByKey(Mapping[tuple[str, str], Subband]):
    """A listing by role and key."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def __getitem__(self, key: tuple[str, str]) -> Subband:
        return self._listing.find(*key)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((one.role, one.key) for one in self._listing)

    def __len__(self) -> int:
        return len(self._listing)


@lru_cache(maxsize=1000)
def _parameters_used(pipeline: str, step: str, templates: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The parameters that a step's result depends on.

    To parse its templates takes long, and the thousands of productions of a campaign have the same.
    """
    read = shared_pipeline(pipeline)
    return frozenset(parameters_used(read.steps[step], dict(templates), read.parameters))


@lru_cache(maxsize=100)
def shared_pipeline(text: str) -> Pipeline:
    """A pipeline from its JSON: one value for all productions that have it."""
    return Pipeline.model_validate_json(text)


def listed_content(subbands: Sequence[Subband]) -> dict[str, list[Any]]:
    """All of the listed subbands that decides a result."""
    return {f"{one.role} {one.key}": [one.url, one.size_bytes, one.adler32, one.frequency_hz] for one in subbands}
