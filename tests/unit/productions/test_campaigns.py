"""Campaigns: all rows are entered or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofargrid.documents.campaigns import Campaign, Row
from lofargrid.documents.production import ProductionDocument
from lofargrid.errors import Fault, InputError
from lofargrid.model import Job
from lofargrid.productions import campaigns
from lofargrid.productions.jobs import Entered
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState
from tests.unit.engine_factories import World, name, recipe


class Book:
    """Rows and their recipes, entered into a real tracker."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.tracker = self.world.tracker
        self.recipes: dict[str, Recipe] = {}
        self.schedules: dict[str, dict[str, int | None]] = {}
        self.asked: list[str] = []

    def add(self, *names: str, **changes: Any) -> None:
        for one in names:
            self.recipes[one] = self.world.here(recipe(production=one, **changes))

    def enter(self, campaign: str = "survey", again: bool = False) -> dict[str, Entered]:
        rows = tuple(
            Row("survey.csv", line, self._document(one), {}) for line, one in enumerate(self.recipes, 2)
        )  # fmt: skip
        hashes = {one: given.hash for one, given in self.recipes.items()}
        return campaigns.enter(
            self.tracker, Campaign(campaign, rows, ()), hashes, self._recipe_of, self.world.now, again
        )

    def _document(self, production: str) -> ProductionDocument:
        plain = {"production": production, "pipeline": "bands", "inputs": {}, "output": "x"}
        return ProductionDocument.model_validate(plain | self.schedules.get(production, {}))

    def _recipe_of(self, row: Row) -> Recipe:
        self.asked.append(row.document.production)
        return self.recipes[row.document.production]

    def refused(self, **how: Any) -> list[str]:
        before = self.content()
        with pytest.raises(InputError) as caught:
            self.enter(**how)
        assert self.content() == before
        return [str(fault) for fault in caught.value.faults]

    def content(self) -> list[list[tuple[Any, ...]]]:
        tables = ("campaigns", "productions", "jobs", "events", "tallies", "subbands")
        return [[tuple(row) for row in self.tracker.rows(f"SELECT * FROM {one}")] for one in tables]

    def members(self, campaign: str = "survey") -> list[str]:
        found = self.tracker.campaign(campaign)
        assert found is not None
        assert found.productions == len(self.tracker.productions(found.id))
        return [one.name for one in self.tracker.productions(found.id)]

    def jobs(self, production: str) -> list[Job]:
        found = self.tracker.production(production)
        assert found is not None
        return self.tracker.jobs(found.id)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path)
    book.add("a", "b")
    return book


def test_all_rows_are_entered_and_stand_in_the_campaign(book: Book) -> None:
    assert {one: len(entered.made) for one, entered in book.enter().items()} == {"a": 3, "b": 3}
    assert book.members() == ["a", "b"]
    assert [one.campaign for one in book.tracker.productions()] == ["survey", "survey"]


def test_entering_it_again_changes_nothing_and_reads_no_recipe(book: Book) -> None:
    book.enter()
    before, book.asked = book.content(), []
    assert book.enter() == {}
    assert book.enter(again=True) == {}
    assert (book.content(), book.asked) == (before, [])


def test_a_new_row_is_added_and_the_others_are_left_alone(book: Book) -> None:
    book.enter()
    book.add("c")
    assert list(book.enter()) == ["c"]
    assert book.members() == ["a", "b", "c"]


def test_a_row_that_is_gone_stays_in_the_tracker(book: Book) -> None:
    book.enter()
    del book.recipes["a"]
    book.enter()
    assert book.members() == ["a", "b"]


def test_changed_rows_are_refused_with_their_lines_and_only_they_are_redone(book: Book) -> None:
    book.add("c")
    book.enter()
    book.add("a", "c", parameters={"strength": 2})
    told = book.refused()
    assert [line.partition(". ")[0] for line in told] == [
        "survey.csv:2: the production a stands already with another recipe",
        "survey.csv:4: the production c stands already with another recipe",
    ]
    assert all("parameters.strength: 1 -> 2" in line for line in told)
    untouched = [job.id for job in book.jobs("b")]
    assert sorted(book.enter(again=True)) == ["a", "c"]
    assert [job.id for job in book.jobs("b")] == untouched
    assert {job.generation for job in book.jobs("a")} == {2}


def test_a_changed_row_tries_again_what_failed_and_an_unchanged_one_does_not(book: Book) -> None:
    book.enter()
    for production in "ab":
        for state in (JobState.READY, JobState.SUBMITTED, JobState.FAILED):
            job = next(one for one in book.jobs(production) if one.name == name(100))
            book.tracker.move(job, state, book.world.now)
    book.add("a", minimum_subbands=0.25)
    assert book.enter(again=True)["a"].retried == (name(100),)
    assert [one.state for one in book.jobs("b") if one.name == name(100)] == [JobState.FAILED]


def test_a_fault_in_one_row_enters_nothing(book: Book) -> None:
    book.add("c")
    read = book._recipe_of

    def broken(row: Row) -> Recipe:
        if row.document.production == "b":
            raise InputError(Fault("the list is gone", "", "b.surls"))
        return read(row)

    book._recipe_of = broken  # type: ignore[method-assign]
    assert book.refused() == ["b.surls: the list is gone"]
    assert book.asked == ["a", "c"]  # the others are looked at all the same, so that all faults are told


def test_a_recipe_that_changes_while_it_is_read_enters_nothing(book: Book) -> None:
    book._recipe_of = lambda row: replace(book.recipes[row.document.production], gaps="skip")  # type: ignore
    told = book.refused()
    assert told[0].startswith("survey.csv:2: a file of the production a has changed while the campaign was read")


def test_a_production_that_stood_alone_joins(book: Book) -> None:
    book.world.enter(recipe(production="a"))
    assert list(book.enter()) == ["b"]
    assert book.members() == ["a", "b"]


def test_a_production_of_another_campaign_is_refused(book: Book) -> None:
    book.enter("first")
    assert book.refused() == [
        f"survey.csv:{line}: production: the production {one} belongs to the campaign first. Choose another name"
        for line, one in ((2, "a"), (3, "b"))
    ]


@pytest.mark.parametrize(
    ("campaign", "told"),
    [("a", "survey.csv:2: production: a campaign is called 'a'"), ("alone", "a production is called 'alone'")],
)
def test_no_campaign_and_production_have_the_same_name(book: Book, campaign: str, told: str) -> None:
    book.world.enter(recipe(production="alone"))
    assert book.refused(campaign=campaign)[0].startswith(told)


def test_priority_and_bound_are_taken_over_each_time_and_kept_where_nothing_is_said(book: Book) -> None:
    def standing() -> list[tuple[int, int | None]]:
        return [(one.priority, one.max_running) for one in book.tracker.productions()]

    book.schedules["a"] = {"priority": 5, "max_running": 3}
    book.enter()
    assert standing() == [(5, 3), (0, None)]
    book.schedules = {"a": {"max_running": None}, "b": {"priority": 1}}
    assert book.enter() == {}
    assert standing() == [(5, None), (1, None)]
    events = [row[0] for row in book.tracker.rows("SELECT text FROM events WHERE production_id = 1 AND text <> ''")]
    assert events == ["entered", "priority 5", "max_running 3", "max_running None"]


def test_recipes_are_asked_for_one_at_a_time(book: Book) -> None:
    """That of thousands of productions would fill the memory."""
    held: list[str] = []

    def recipe_of(row: Row) -> Recipe:
        entered = [one.name for one in book.tracker.productions()]
        held.append(row.document.production)
        assert entered == held[:-1]
        return book.recipes[row.document.production]

    book._recipe_of = recipe_of  # type: ignore[method-assign]
    book.enter()
    assert held == ["a", "b"]
