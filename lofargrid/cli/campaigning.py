"""Read the table of a campaign, look at the inputs of many productions at once, enter or plan them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from lofargrid.assets import pipeline_folder
from lofargrid.cli.access import Access
from lofargrid.cli.doctor import missing_programs
from lofargrid.cli.session import Session, stamp, told_of
from lofargrid.cli.text import count, note
from lofargrid.documents.campaigns import Campaign, Row, read_campaign
from lofargrid.documents.pipelines import Pipeline, read_pipeline
from lofargrid.documents.production import read_production
from lofargrid.errors import Fault, InputError
from lofargrid.inspection import inspect
from lofargrid.model import Subband
from lofargrid.productions import campaigns
from lofargrid.productions.jobs import Entered
from lofargrid.recipes import sandboxes
from lofargrid.recipes.recipe import Recipe

FEW = 500
"""So many files are looked at by one process."""
_AT_ONCE = 4
_PATIENCE_S = 3.0
_MOST_FAULTS = 100


def is_table(path: Path) -> bool:
    """Whether a file is the table of a campaign, not a production.yaml."""
    return path.suffix.lower() in (".csv", ".tsv")


@dataclass
class Reading:
    """A campaign while it is read: its faults are collected, those of all rows are told together.

    ``marks`` has the files that cannot be used, by URL and the size that the list promises; ``clock`` gives seconds.
    """

    session: Session
    like: Path
    pipeline: Pipeline
    campaign: Campaign
    clock: Callable[[], float] = time.monotonic
    faults: list[Fault] = field(default_factory=list)
    marks: dict[tuple[str, int | None], Subband] = field(default_factory=dict)
    _folders: dict[tuple[str, str], Row] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _looked_at: int = 0
    _next_s: float = 0.0

    def __post_init__(self) -> None:
        self._access = Access(self.session)
        self._rights = self.session.rights()
        self.faults += self.campaign.faults
        self._next_s = self.clock() + _PATIENCE_S

    def recipe(self, row: Row) -> Recipe:
        """The recipe of a row as its files are now, with what was found of its inputs before."""
        try:
            recipe = self.session.frozen(row.document, self.like, self.pipeline)
        except InputError as error:
            raise InputError(*row.told_of(error.faults, str(self.like))) from None
        return self._marked(recipe)

    def _marked(self, recipe: Recipe) -> Recipe:
        """The recipe with what was found of its inputs."""
        found = (self.marks.get(_file(one)) for one in recipe.subbands)
        subbands = [
            replace(one, reason=mark.reason, problem=mark.problem) if mark else one
            for one, mark in zip(recipe.subbands, found, strict=True)
        ]
        return replace(recipe, subbands=tuple(subbands))

    def recipes(self, fresh: Callable[[Recipe], bool], strict: bool) -> Iterator[tuple[Row, Recipe]]:
        """The recipe of each row that can be read; those for which ``fresh`` holds with their inputs looked at.

        Parameters
        ----------
        fresh
            Whether the inputs of a recipe are to be looked at.
        strict
            Refuse inputs that only a grid storage could bring.
        """
        waiting: list[tuple[Row, Recipe]] = []
        unseen: dict[str, Subband] = {}
        for number, row in enumerate(self.campaign.rows):
            self._tell(f"{number} of {count(len(self.campaign.rows), 'row')} read")
            recipe = self._frozen(row, strict)
            if recipe is None:
                continue
            if not fresh(recipe):
                yield row, recipe
                continue
            new = [one for one in recipe.subbands if hash(_file(one)) not in self._seen]
            if any(unseen.get(one.url, one).size_bytes != one.size_bytes for one in new):
                yield from self._looked(waiting, unseen)  # two lists promise different sizes of one file
            waiting.append((row, recipe))
            unseen |= {one.url: one for one in new}
            if len(unseen) >= FEW * _AT_ONCE:
                yield from self._looked(waiting, unseen)
        yield from self._looked(waiting, unseen)

    def _frozen(self, row: Row, strict: bool) -> Recipe | None:
        try:
            recipe = self.recipe(row)
            if strict:
                with told_of(self.like):
                    self._access.require(recipe, row.document.credential)
        except InputError as error:
            self.faults += row.told_of(error.faults, str(self.like))
            return None
        self.faults += self._meeting(row, recipe)
        return recipe

    def _meeting(self, row: Row, recipe: Recipe) -> Iterator[Fault]:
        """Two productions that would give their products the same names in the same folder."""
        made_over = {step.over for step in recipe.steps.values() if any(one.product for one in step.outputs.values())}
        for observation in sorted({one.observation for one in recipe.subbands if one.role in made_over}):
            other = self._folders.setdefault((recipe.output, observation), row)
            if other is not row:
                what = f"products of {observation} would replace those of line {other.line} in {recipe.output}"
                column = row.columns.get("output", "production")
                yield Fault(what, "Give each production a folder of its own", row.file, row.line, column)
                return

    def _looked(
        self, waiting: list[tuple[Row, Recipe]], unseen: dict[str, Subband]
    ) -> Iterator[tuple[Row, Recipe]]:  # fmt: skip
        """Look at files in a few processes at once, and give the recipes that waited for that."""
        self._inspect(list(unseen.values()))
        for row, recipe in waiting:
            marked = self._marked(recipe)
            try:
                lived_with = self.session.weighed(marked, self.like)
            except InputError as error:
                self.faults += row.told_of(error.faults, str(self.like))
                continue
            self._note(f"goes without: {fault}" for fault in lived_with)
            self._note(missing_programs(marked, self.session.software(marked.software)))
            yield row, marked
        waiting.clear()
        unseen.clear()

    def _inspect(self, subbands: Sequence[Subband]) -> None:
        chunks = [subbands[start : start + FEW] for start in range(0, len(subbands), FEW)]
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as pool:
            runner = sandboxes.pack_runner(Path(folder))
            for looked_at in pool.map(lambda chunk: inspect(chunk, runner), chunks):
                found = self._rights.marked(looked_at)
                self.marks |= {_file(one): one for one in found if one.reason}
                self._seen |= {hash(_file(one)) for one in found}  # of a million files the names are too long
                self._looked_at += len(found)
                self._tell(f"{count(self._looked_at, 'file')} looked at")

    def _tell(self, line: str) -> None:
        """Say how far it is, now and then."""
        if self.clock() >= self._next_s:
            note(f"{self.campaign.name}: {line} ...")
            self._next_s = self.clock() + _PATIENCE_S

    def _note(self, lines: Iterator[str] | Sequence[str]) -> None:
        """Tell what holds for many productions once."""
        for line in lines:
            if line not in self._told:
                self._told.add(line)
                note(line)

    def refuse_faults(self) -> None:
        """Tell all that was found wrong.

        Raises
        ------
        InputError
            Something was.
        """
        faults = sorted(dict.fromkeys(self.faults), key=lambda one: (one.file, one.line or 0))
        if len(faults) > _MOST_FAULTS:
            faults = [*faults[:_MOST_FAULTS], Fault(f"and {len(faults) - _MOST_FAULTS} more faults")]
        if faults:
            raise InputError(*faults)


def _file(one: Subband) -> tuple[str, int | None]:
    return one.url, one.size_bytes


def read(session: Session, table: Path, like: Path | None, name: str) -> Reading:
    """Read a campaign's table and the production.yaml that it varies.

    Raises
    ------
    InputError
        One of them cannot be read.
    """
    if not table.exists():
        raise InputError(Fault("there is no such file", "Check the name", str(table)))
    like = like or table.parent / "production.yaml"
    if not like.exists():
        remedy = "Write it (`init` does), or name another with --like FILE"
        raise InputError(Fault(f"there is no {like}, which the rows of {table} vary", remedy))
    document = read_production(like)
    with told_of(like):
        pipeline = read_pipeline(pipeline_folder(document.pipeline, session.settings.pipelines))
    return Reading(session, like, pipeline, read_campaign(table, document, pipeline, name))


def enter(session: Session, reading: Reading, replan: bool) -> dict[str, Entered]:
    """Enter a campaign: look at what is new first, then enter all of it or nothing.

    Raises
    ------
    InputError
        Anything that is wrong in any row.
    """
    tracker = session.tracker() if session.tracker_path.exists() else None
    standing = {one.name: one.recipe_hash for one in tracker.productions()} if tracker else {}

    def fresh(recipe: Recipe) -> bool:
        return recipe.production not in standing or (replan and standing[recipe.production] != recipe.hash)

    hashes = {recipe.production: recipe.hash for _, recipe in reading.recipes(fresh, strict=True)}
    reading.refuse_faults()
    tracker = tracker or session.tracker()
    entered = campaigns.enter(tracker, reading.campaign, hashes, reading.recipe, stamp(), replan)
    live = [attempt for one in entered.values() for attempt in one.live]
    session.stop(tracker, live)
    return entered
