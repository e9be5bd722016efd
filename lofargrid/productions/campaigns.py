"""Enter campaigns: all productions of a table, or none; and take over what they say of their schedule."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from lofargrid.documents.campaigns import Campaign, Row
from lofargrid.documents.production import ProductionDocument
from lofargrid.errors import Fault, InputError
from lofargrid.productions import entering
from lofargrid.productions.jobs import Entered
from lofargrid.recipes.recipe import Recipe
from lofargrid.tracker import Tracker


def refuse_taken(tracker: Tracker, production: str) -> None:
    """Refuse a production that has the name of a campaign: what a name means is never a question.

    Raises
    ------
    InputError
        It has.
    """
    if tracker.campaign(production):
        what = f"a campaign is called {production!r}"
        raise InputError(Fault(what, "Choose another name for the production", field="production"))


def enter(
    tracker: Tracker, campaign: Campaign, hashes: Mapping[str, str], recipe_of: Callable[[Row], Recipe], now: str,
    again: bool = False,
) -> dict[str, Entered]:  # fmt: skip
    """Enter a campaign: all of its productions, or none.

    Productions that stand with the same recipe are left as they are; new ones are added; those that are no longer
    given stay.

    Parameters
    ----------
    tracker
        The tracker.
    campaign
        The campaign, without faults.
    hashes
        The hash of each production's recipe.
    recipe_of
        Reads the recipe of a row that is new or has changed. It is asked for one at a time and not kept: that of many
        productions would fill the memory.
    now
        The time, ISO 8601 UTC.
    again
        Make a new generation of what changed, and try again what failed in it.

    Returns
    -------
    entered
        What changed, by production.

    Raises
    ------
    InputError
        A production stands with another recipe and ``again`` is not given, or belongs to another campaign; all are
        told with their rows.
    """
    entered: dict[str, Entered] = {}
    faults: list[Fault] = []
    with tracker.transaction():
        campaign_id = _campaign_id(tracker, campaign.name, now)
        for row in campaign.rows:
            try:
                made = _enter_row(tracker, campaign, row, hashes[row.document.production], recipe_of, now, again)
            except InputError as error:
                faults += [one if one.file else replace(one, file=row.file, line=row.line) for one in error.faults]
                continue
            tracker.join(made.production_id, campaign_id)
            schedule(tracker, made.production_id, row.document, now)
            if made.made or made.retried or made.live:
                entered[row.document.production] = made
        if faults:
            raise InputError(*faults)
    return entered


def _campaign_id(tracker: Tracker, name: str, now: str) -> int:
    if tracker.production(name):
        raise InputError(Fault(f"a production is called {name!r}", "Name the campaign with --campaign NAME"))
    standing = tracker.campaign(name)
    return standing.id if standing else tracker.add_campaign(name, now)


def _enter_row(
    tracker: Tracker, campaign: Campaign, row: Row, hash_: str, recipe_of: Callable[[Row], Recipe], now: str,
    again: bool,
) -> Entered:  # fmt: skip
    name = row.document.production
    refuse_taken(tracker, name)
    standing = tracker.production(name)
    if standing and standing.campaign not in (None, campaign.name):
        what = f"the production {name} belongs to the campaign {standing.campaign}"
        raise InputError(Fault(what, "Choose another name", field="production"))
    if standing and standing.recipe_hash == hash_:
        return Entered(standing.id)
    recipe = recipe_of(row)
    if recipe.hash != hash_:
        what = f"a file of the production {name} has changed while the campaign was read"
        raise InputError(Fault(what, "Nothing was entered; give the same command again"))
    return entering.enter(tracker, recipe, now, again and standing is not None)


def schedule(tracker: Tracker, production_id: int, document: ProductionDocument, now: str) -> None:
    """Take over the priority and the bound that a production.yaml gives; what it does not give stays."""
    if "priority" in document.model_fields_set:
        tracker.set_priority(production_id, document.priority, now)
    if "max_running" in document.model_fields_set:
        tracker.set_max_running(production_id, document.max_running, now)
