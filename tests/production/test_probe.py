"""A probe of three subbands with the real tools, from nothing to a forecast of the whole."""

import re

from tests.production.conftest import Desk

MEASURED = re.compile(r"measured in (\d+) jobs that ran before: (.+)")


def test_a_probe_runs_and_sim_forecasts_the_whole_by_what_it_took(short: Desk) -> None:
    short.flag_average()
    declared = short("sim", "production.yaml", "--repeat", "1")
    assert "run --probe 3" in declared.err
    said = short("run", "--probe", "3", "production.yaml")
    assert said.err.splitlines()[-1] == (
        "`sim production.yaml` tells from what field-probe took what the whole of it takes"
    )
    products = sorted(path.name for path in (short.folder / "products" / "probe").iterdir())
    assert products
    assert all(f"{name}.json" in products for name in products if not name.endswith(".json"))

    again = short("run", "--probe", "3", "production.yaml")
    assert "jobs entered" not in again.err
    assert again.out == said.out

    told = short("sim", "production.yaml", "--repeat", "1", "--json")
    found = MEASURED.search(told.err)
    assert found
    assert int(found[1]) >= 4
    assert len(found[2].split(", ")) == 2
    short("cancel", "field-probe", code=None)
