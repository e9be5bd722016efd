"""What of a production is opened by tokens, what by a proxy, and whether these are good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lofargrid.cli.keyholder import Keyholder
from lofargrid.config import Settings
from lofargrid.errors import ExpiredError
from lofargrid.model import Site
from lofargrid.recipes.recipe import Recipe
from tests.grid.processes import write_secret
from tests.unit.engine_factories import recipe, subband

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DOORS = {"root": "root://surf.test:1094", "davs": "davs://surf.test:2880"}
SITES = {
    "SURF": Site("SURF", prefixes=("srm://srm.surf.test/lofar",), doors=DOORS),
    "Leiden": Site("Leiden", slots=1, backend="htcondor", scratch="davs://leiden.test/scratch"),
}


@pytest.fixture
def keyholder(tmp_path: Path) -> Keyholder:
    """One with a token of SURF and no proxy."""
    (tmp_path / "tokens").mkdir()
    write_secret(tmp_path / "tokens" / "SURF", b"abc")
    settings = Settings(tmp_path, None, 1, "j", "j", own_proxy=tmp_path / "none", tokens=tmp_path / "tokens")
    return Keyholder(settings, SITES, SITES, lambda one: False, lambda: NOW)


def reading(url: str, output: str = "file:///products") -> Recipe:
    return replace(recipe([replace(subband(100), url=url)]), output=output)


def test_a_surl_with_a_token_is_reached_over_https(keyholder: Keyholder, tmp_path: Path) -> None:
    url = "srm://srm.surf.test/lofar/a"
    assert keyholder.turl(url) == "davs://surf.test:2880/lofar/a"
    assert keyholder.token(url) == str(tmp_path / "tokens" / "SURF")
    assert keyholder.token("root://surf.test:1094//lofar/a") == ""


@pytest.mark.parametrize(
    ("given", "place", "tokens"),
    [
        (reading("file:///a"), "", 0),
        (reading("srm://srm.surf.test/lofar/a"), "", 1),
        (reading("srm://srm.surf.test/lofar/a", "davs://surf.test:2880/user"), "", 1),
        (reading("file:///a", "davs://surf.test:2880/user"), "", 1),
        (reading("srm://srm.surf.test/lofar/a", "davs://elsewhere.test/user"), "davs://elsewhere.test/user", 1),
        (reading("root://surf.test:1094//lofar/a"), "root://surf.test:1094//lofar/a", 0),
        (replace(reading("file:///a"), backend="htcondor", sites=("Leiden",)),
         "davs://leiden.test/scratch, the scratch of Leiden,", 0),
    ],
)  # fmt: skip
def test_what_no_token_opens_asks_for_a_proxy(keyholder: Keyholder, given: Recipe, place: str, tokens: int) -> None:
    asked = keyholder.asked(given)
    assert (asked.place.what if asked.place else "", len(asked.tokens)) == (place, tokens)
    if place:
        with pytest.raises(ExpiredError, match="none"):
            keyholder.require(given, 60)
    else:
        keyholder.require(given, 60)


def test_calls_to_a_storage_ask_for_what_opens_it(keyholder: Keyholder, tmp_path: Path) -> None:
    keyholder.require_open("file:///a", "davs://surf.test:2880/user/a")
    with pytest.raises(ExpiredError, match="none"):
        keyholder.require_open("davs://surf.test:2880/user/a", "davs://elsewhere.test/a")
    (tmp_path / "tokens" / "SURF").chmod(0o644)
    with pytest.raises(ExpiredError, match="others can read this file with a token"):
        keyholder.require_open("davs://surf.test:2880/user/a")
