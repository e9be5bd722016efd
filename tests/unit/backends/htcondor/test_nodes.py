"""Jobs that no node of a pool can take."""

from __future__ import annotations

from lofargrid.backends.htcondor.nodes import Machine, Wanted, hopeless

SMALL, LARGE = Machine("Leiden", 4, 8000), Machine("Leiden", 2, 64000)


def wanted(cores: int = 1, memory_mb: int = 1000, site: str = "Leiden", job: str = "one") -> Wanted:
    return Wanted(job, site, cores, memory_mb)


def test_what_some_node_can_take_waits_in_silence() -> None:
    assert hopeless([wanted(4, 8000), wanted(2, 64000)], [SMALL, LARGE]) == ""
    assert hopeless([], []) == ""


def test_what_no_single_node_has_together_is_told_with_what_they_have() -> None:
    assert hopeless([wanted(4, 64000)], [SMALL, LARGE]) == (
        "no node of Leiden has 4 cores and 64000 MB: they have 4 cores and 64000 MB at most; say so in sites.yaml."
        " Waiting for one: one"
    )


def test_a_site_that_no_node_names_is_told_once_for_all_its_jobs() -> None:
    two = [wanted(site="Nowhere"), wanted(site="Nowhere", job="two")]
    assert hopeless(two, [SMALL]) == (
        "the pool has no node whose GLIDEIN_Site is 'Nowhere' now. Waiting for one: one and 1 more"
    )
