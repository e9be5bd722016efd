"""sites.yaml: what a site is, which site holds a file, and which sites a production may use."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.config import settings
from lofargrid.documents.sites import (
    SHIPPED,
    SiteDocument,
    choose,
    nearest_site,
    read_sites,
    site_of,
    transfer_url,
    web_servers,
)
from lofargrid.model import Site, TapeService
from tests.unit.factories import CONTENT, faults_of

PAGE = CONTENT / "docs" / "reference" / "sites-yaml.md"
SITES = read_sites(SHIPPED)
SURF_FILE = "pnfs/grid.sara.nl/data/lofar/ops/projects/lc2_038/229507/L229507_SB100_uv.dppp.MS_3d78b8f1.tar"
ONE = """\
sites:
  Leiden:
    slots: 64
    prefixes:
      - davs://dcache.example.org:2880/lofar
    doors:
      root: root://xrootd.example.org:1094
    scratch: davs://dcache.example.org:2880/lofar/scratch
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sites.yaml"
    path.write_text(ONE)
    return path


def own(folder: Path, name: str, **keys: object) -> Path:
    """A file with one site."""
    path = folder / f"{name}.yaml"
    path.write_text(f"sites:\n  {name}: {keys}\n".replace("True", "true").replace("False", "false"))
    return path


# Reading


def test_the_archive_sites_and_this_machine_come_with_lofargrid() -> None:
    assert list(SITES) == ["SURF", "Juelich", "Poznan", "local"]
    assert [site.tier for site in SITES.values()] == [1, 1, 1, 2]
    assert SITES["SURF"].grid_name == "LCG.SARA-MATRIX.nl"
    assert SITES["Poznan"].slots == 0
    assert not SITES["local"].guarded


def test_where_compute_is_jobs_fit_and_intermediates_have_a_home() -> None:
    for name in ("SURF", "Juelich"):
        site = SITES[name]
        assert site.slots and site.scratch and site_of(site.scratch, SITES) == name
        assert site.transfers and 0 < site.stream_mb_s <= site.bandwidth_mb_s


def test_a_site_has_what_its_file_says_and_else_the_defaults(file: Path) -> None:
    assert read_sites(file) == {
        "Leiden": Site(
            "Leiden",
            slots=64,
            prefixes=("davs://dcache.example.org:2880/lofar",),
            doors={"root": "root://xrootd.example.org:1094"},
            scratch="davs://dcache.example.org:2880/lofar/scratch",
        )
    }


def test_a_later_file_adds_sites_and_changes_single_keys(file: Path, tmp_path: Path) -> None:
    changed = own(tmp_path, "SURF", slots=3, guarded=False)
    sites = read_sites(SHIPPED, file, changed)
    assert list(sites) == [*SITES, "Leiden"]
    assert (sites["SURF"].slots, sites["SURF"].guarded) == (3, False)
    assert sites["SURF"].prefixes == SITES["SURF"].prefixes
    assert sites["SURF"].tier == 1
    assert sites["Juelich"] == SITES["Juelich"]


def test_a_site_says_in_which_order_its_tools_are_tried(tmp_path: Path) -> None:
    assert read_sites(SHIPPED, own(tmp_path, "SURF", tools=["xrdcp", "https"]))["SURF"].tools == ("xrdcp", "https")


def test_what_a_site_can_recall_may_be_on_tape(tmp_path: Path) -> None:
    service = {"by": "tape-rest", "at": "https://dcache.example.org:3880/api/v1/tape"}
    site = read_sites(own(tmp_path, "x", slots=1, recall=service))["x"]
    assert (site.tape, site.recall) == (True, TapeService(**service))


def test_a_key_that_is_given_with_its_default_is_given(tmp_path: Path) -> None:
    site = read_sites(SHIPPED, own(tmp_path, "SURF", tier=2, cores=1, doors={}, scratch=""))["SURF"]
    assert (site.tier, site.cores, site.doors, site.scratch) == (2, 1, {}, "")


def test_every_field_of_a_site_can_be_written_and_left_out(tmp_path: Path) -> None:
    assert set(SiteDocument.model_fields) == {field.name for field in fields(Site)} - {"name"}
    assert SiteDocument().over(Site("x")) == Site("x")
    (site,) = read_sites(own(tmp_path, "x", slots=1)).values()
    assert site == Site("x", slots=1)
    for key, field in SiteDocument.model_fields.items():
        default = tuple(field.default) if key in ("prefixes", "tools") else field.default
        assert default == getattr(Site("x"), key), key


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "what"),
    [
        ("slots: 64", "slots: -1", 3, "slots", "should be greater than or equal to 0, found -1"),
        ("slots: 64", "slots: 1.5", 3, "slots", "should be a whole number"),
        ("slots: 64", "slot: 64", 3, "slot", "unknown key"),
        ("slots: 64", "tier: 3", 3, "tier", "should be 1 or 2, found 3"),
        ("slots: 64", "tier: 0", 3, "tier", "should be 1 or 2, found 0"),
        ("slots: 64", "tier: '1'", 3, "tier", "should be 1 or 2, found '1'"),
        ("slots: 64", "cores: 0", 3, "cores", "should be greater than or equal to 1"),
        ("slots: 64", "memory_mb: -1", 3, "memory_mb", "should be greater than or equal to 1"),
        ("slots: 64", "scratch_mb: -1", 3, "scratch_mb", "should be greater than or equal to 1"),
        ("slots: 64", "walltime_min: -1", 3, "walltime_min", "should be greater than 0"),
        ("slots: 64", "transfers: 0", 3, "transfers", "should be greater than or equal to 1"),
        ("slots: 64", "bandwidth_mb_s: 0", 3, "bandwidth_mb_s", "should be greater than 0"),
        ("slots: 64", "bandwidth_mb_s: .inf", 3, "bandwidth_mb_s", "should be a finite number"),
        ("slots: 64", "stream_mb_s: .nan", 3, "stream_mb_s", "should be"),
        ("slots: 64", "guarded: 1", 3, "guarded", "should be true or false"),
        ("slots: 64", "tools: []", 3, "tools", "should have at least 1"),
        ("slots: 64", "tools: [rsync]", 3, "tools.0", "'rsync' is none of gfal-copy, xrdcp"),
        (
            "slots: 64",
            "recall: {by: srm, at: 'https://h'}",
            3,
            "recall.by",
            "should be 'tape-rest', 'bulk', 'stageit' or 'gfal2', found 'srm'",
        ),
        ("slots: 64", "recall: {by: tape-rest}", 3, "recall.at", "this key is missing"),
        ("slots: 64", "recall: {by: tape-rest, at: 'http://h'}", 3, "recall.at", "it is no plain https:// URL, "),
        ("slots: 64", "recall: {by: gfal2, at: 'https://h'}", 3, "recall.at", "it is no plain srm:// or davs:// URL "),
        (
            "slots: 64",
            "recall: {by: tape-rest, at: 'https://me:secret@h'}",
            3,
            "recall.at",
            "it is no plain https:// URL, ",
        ),
        ("slots: 64", 'grid_name: a"b', 3, "grid_name", "'a\"b' may hold letters, digits, dots"),
        ("davs://dcache.example.org:2880/lofar\n", "/data/lofar\n", 5, "prefixes.0", "'/data/lofar' is no URL"),
        ("davs://dcache.example.org:2880/lofar\n", "sr://h/x\n", 5, "prefixes.0", "'sr://h/x' begins with sr://"),
        ("davs://dcache.example.org:2880/lofar\n", "srm:///x\n", 5, "prefixes.0", "'srm:///x' names no host"),
        ("davs://dcache.example.org:2880/lofar\n", "srm://h:x/y\n", 5, "prefixes.0", "'srm://h:x/y' is no URL: Port"),
        ("davs://dcache.example.org:2880/lofar\n", "srm://[h/y\n", 5, "prefixes.0", "'srm://[h/y' is no URL: Inv"),
        (
            "davs://dcache.example.org:2880/lofar\n",
            "file://h/x\n",
            5,
            "prefixes.0",
            "'file://h/x' has no absolute path",
        ),
        ("davs://dcache.example.org:2880/lofar\n", '"srm://h/a\\nb"\n', 5, "prefixes.0", "'srm://h/a\\nb' is no URL"),
        ("root: root://xrootd.example.org:1094", "root: 1", 7, "doors.root", "should be a text, found 1"),
        ("root: root:", "davs: root:", 7, "doors.davs", "'root://xrootd.example.org:1094' is no door for 'davs'"),
        (
            "root: root://xrootd.example.org:1094",
            "file: file:///x",
            7,
            "doors.file",
            "'file:///x' is no door for 'file'",
        ),
        (":1094", ":1094/x", 7, "doors.root", "'root://xrootd.example.org:1094/x' is more than a door"),
        (":1094", ":1094?SFN=/x", 7, "doors.root", "'root://xrootd.example.org:1094?SFN=/x' is more than a door"),
        (
            "scratch: davs:",
            "scratch: scratch:",
            8,
            "scratch",
            "'scratch://dcache.example.org:2880/lofar/scratch' begin",
        ),
        ("  Leiden:", "  Lei/den:", 2, "", "'Lei/den' may hold letters"),
        ("  Leiden:", "  all:", 2, "", "'all' stands for every site"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_field(
    file: Path, old: str, new: str, line: int, field: str, what: str
) -> None:
    assert old in ONE
    file.write_text(ONE.replace(old, new))
    (fault,) = faults_of(read_sites, SHIPPED, file)
    name = new.strip(" :") if not field else "Leiden"
    assert (fault.file, fault.line, fault.field) == (str(file), line, f"sites.{name}{'.' * bool(field)}{field}")
    assert fault.what.startswith(what)


@pytest.mark.parametrize("keys", ["scratch: '{}'", "prefixes: [srm://h/y, '{}']", "doors: {{srm: '{}'}}"])
@pytest.mark.parametrize(
    "url",
    [
        "srm://janneke:s3cret@dcache.example.org/lofar",
        "srm://s3cret@dcache.example.org",
        "ftp://janneke:s3cret@dcache.example.org",
        "srm://s3cret@[half/x",
        "srm://dcache.example.org#s3cret",
        "srm://dcache.example.org?s3cret",
        "srm://dcache.example.org?authz=s3cret",
    ],
)
def test_a_credential_is_refused_and_never_repeated(file: Path, keys: str, url: str) -> None:
    file.write_text(f"sites:\n  Leiden:\n    {keys.format(url)}\n")
    (fault,) = faults_of(read_sites, file)
    assert (fault.line, "take it out" in fault.what, "s3cret" in str(fault)) == (3, True, False)


def test_a_token_behind_a_question_mark_is_refused_and_never_repeated(file: Path) -> None:
    file.write_text(ONE.replace("/scratch\n", "/scratch?SFN=/x&authz=s3cret\n"))
    (fault,) = faults_of(read_sites, file)
    assert (fault.line, fault.field, "s3cret" in str(fault)) == (8, "sites.Leiden.scratch", False)


@pytest.mark.parametrize(
    "prefix",
    [
        "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar",
        "srm://SRM.grid.sara.nl/pnfs/grid.sara.nl/data/lofar/",
        "gsiftp://gridftp.grid.sara.nl//pnfs/grid.sara.nl/data//lofar",
        "srm://srm.grid.sara.nl:8443/srm/managerv2?SFN=/pnfs/grid.sara.nl/data/lofar",
        "srm://srm.grid.sara.nl/pnfs/grid.sara.nl/data/lofar/ops/..",
    ],
)
def test_a_folder_of_another_site_is_refused_however_it_is_spelt(file: Path, prefix: str) -> None:
    file.write_text(ONE.replace("    doors:", f"      - {prefix}\n    doors:"))
    (fault,) = faults_of(read_sites, SHIPPED, file)
    assert (fault.file, fault.field) == (str(file), "sites.Leiden.prefixes.1")
    assert fault.what == f"{prefix} belongs to SURF already"


def test_two_sites_of_one_file_that_share_a_folder_are_told_once_where_the_second_stands(file: Path) -> None:
    file.write_text(f"{ONE}  Delft:\n    slots: 1\n    scratch: root://xrootd.example.org//lofar\n")
    (fault,) = faults_of(read_sites, file)
    assert (fault.line, fault.field) == (11, "sites.Delft.scratch")
    assert fault.what == "root://xrootd.example.org//lofar belongs to Leiden already"


def test_a_door_that_makes_two_storages_one_is_refused(file: Path) -> None:
    """Each has a folder /lofar; with a door of the other's host nobody could tell them apart."""
    file.write_text(ONE.replace("xrootd.example.org:1094", "lta-head.lofar.psnc.pl:1094"))
    (fault,) = faults_of(read_sites, SHIPPED, file)
    assert fault.what == "davs://dcache.example.org:2880/lofar belongs to Poznan already"


def test_a_site_where_nothing_runs_and_nothing_lies_is_refused(tmp_path: Path) -> None:
    (fault,) = faults_of(read_sites, own(tmp_path, "Leiden", tier=2))
    assert (fault.line, fault.field) == (2, "sites.Leiden")
    assert fault.what == "nothing can run there and nothing lies there"
    assert read_sites(own(tmp_path, "Leiden", slots=1))["Leiden"].slots == 1


def test_an_unknown_key_is_told_with_the_nearest(file: Path) -> None:
    file.write_text(ONE.replace("slots", "slot"))
    (fault,) = faults_of(read_sites, file)
    assert fault.remedy == "Did you mean 'slots'?"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (fault,) = faults_of(read_sites, SHIPPED, tmp_path / "none.yaml")
    assert (fault.file, fault.what) == (str(tmp_path / "none.yaml"), "there is no such file")


# Which site holds a file


@pytest.mark.parametrize(
    ("url", "site"),
    [
        (f"srm://srm.grid.sara.nl:8443/{SURF_FILE}", "SURF"),
        (f"srm://srm.grid.sara.nl/{SURF_FILE}", "SURF"),
        (f"srm://SRM.Grid.Sara.NL:8443//{SURF_FILE}", "SURF"),
        (f"srm://srm.grid.sara.nl:8443/srm/managerv2?SFN=/{SURF_FILE}", "SURF"),
        (f"srm://srm.grid.sara.nl/srm/managerv2?SFN=//{SURF_FILE}", "SURF"),
        (f"gsiftp://gridftp.grid.sara.nl:2811/{SURF_FILE}", "SURF"),
        (f"gsiftp://gridftp.grid.sara.nl//{SURF_FILE}", "SURF"),
        (f"davs://srm.grid.sara.nl:2880/{SURF_FILE}", "SURF"),
        (f"https://any.host/SRMFifoGet.py?surl=srm://srm.grid.sara.nl:8443/{SURF_FILE}", "SURF"),
        ("srm://srm.grid.sara.nl/pnfs/grid.sara.nl/data/lofar", "SURF"),
        ("srm://srm.grid.sara.nl/pnfs/grid.sara.nl/data/lofar2/x", ""),
        ("srm://srm.grid.sara.nl/pnfs/grid.sara.nl/data/lofar/../atlas/x", ""),
        ("srm://srm.grid.sara.nl/pnfs/grid.sara.nl/data/atlas/x", ""),
        (f"srm://srm.grid.sara.nl.example.org/{SURF_FILE}", ""),
        (f"srm://lofar-srm.fz-juelich.de:8443/{SURF_FILE}", ""),
        ("srm://lofar-srm.fz-juelich.de:8443/pnfs/fz-juelich.de/data/lofar/ops/x.tar", "Juelich"),
        ("gsiftp://lofar-gridftp.fz-juelich.de:2811/pnfs/fz-juelich.de/data/lofar/ops/x.tar", "Juelich"),
        ("srm://lta-head.lofar.psnc.pl:8443/lofar/ops/projects/lc6_004/x.tar", "Poznan"),
        ("gsiftp://gridftp.lofar.psnc.pl:2811/lofar/ops/x.tar", "Poznan"),
        ("gsiftp://door01.lofar.psnc.pl/lofar/ops/x.tar", "Poznan"),
        ("srm://lta-head.lofar.psnc.pl/srm/managerv2?SFN=/lofar/ops/x.tar", "Poznan"),
        ("file:///data/x.tar", "local"),
        ("file://localhost/data/x.tar", "local"),
        ("file:///", "local"),
        ("file://elsewhere/data/x.tar", ""),
        ("srm:///lofar/x.tar", ""),
        ("/data/x.tar", ""),
        ("", ""),
        ("srm://[half/x", ""),
    ],
)
def test_all_spellings_of_a_place_mean_the_same_site(url: str, site: str) -> None:
    assert site_of(url, SITES) == site


@hypothesis.settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["SURF", "Juelich", "Poznan"]), st.lists(st.from_regex(r"[a-zA-Z0-9+%_ é-]{1,9}", fullmatch=True))
)
def test_a_file_below_a_prefix_is_at_its_site_through_every_door(name: str, parts: list[str]) -> None:
    site = SITES[name]
    scheme_host, path = re.fullmatch("([a-z]+://[^/]+)(/.*)", site.prefixes[0]).groups()  # type: ignore[union-attr]
    below = "/".join([path, *parts])
    urls = [f"{door}{below}" for door in (scheme_host, *site.doors.values())]
    assert {site_of(url, SITES) for url in urls} == {name}


def test_a_folder_inside_another_sites_folder_is_the_inner_sites(tmp_path: Path) -> None:
    sites = read_sites(SHIPPED, own(tmp_path, "Leiden", prefixes=["file:///net/leiden"], slots=1))
    assert site_of("file:///net/leiden/x", sites) == "Leiden"
    assert site_of("file:///net/x", sites) == "local"


def test_what_lies_on_a_sites_scratch_lies_at_the_site(tmp_path: Path) -> None:
    sites = read_sites(own(tmp_path, "Leiden", scratch="davs://scratch.example.org/a b", slots=1))
    assert site_of("davs://scratch.example.org/a%20b/x", sites) == "Leiden"
    assert site_of("davs://scratch.example.org/a", sites) == ""


def test_a_door_does_not_open_this_machines_disks(tmp_path: Path) -> None:
    keys = {"prefixes": ["file:///data", "srm://srm.example.org/lofar"], "doors": {"root": "root://door.example.org"}}
    sites = read_sites(own(tmp_path, "Leiden", **keys))
    assert site_of("root://door.example.org/lofar/x", sites) == "Leiden"
    assert site_of("root://door.example.org/data/x", sites) == ""
    assert site_of("file:///lofar/x", sites) == ""


def test_a_plus_sign_is_part_of_a_name(tmp_path: Path) -> None:
    sites = read_sites(own(tmp_path, "Leiden", prefixes=["srm://srm.example.org/P000+23"]))
    assert site_of("https://h/SRMFifoGet.py?surl=srm://srm.example.org/P000+23/x", sites) == "Leiden"
    assert site_of("srm://srm.example.org/srm/managerv2?SFN=/P000+23/x", sites) == "Leiden"


# Which sites a production may use


def test_all_are_those_with_compute() -> None:
    assert choose("all", SITES) == ["SURF", "Juelich", "local"]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("SURF", ["SURF"]),
        (["SURF"], ["SURF"]),
        (["local", "SURF"], ["local", "SURF"]),
        (["SURF", "SURF"], ["SURF"]),
    ],
)
def test_sites_are_chosen_by_name(wanted: str | list[str], chosen: list[str]) -> None:
    assert choose(wanted, SITES) == chosen


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("surf", "SURF"), ("Jülich", "Juelich"), ("Julich", "Juelich"), ("Poznań", "Poznan"), ("lokal", "local")],
)
def test_an_unknown_name_is_told_with_the_nearest(wanted: str, near: str) -> None:
    (fault,) = faults_of(choose, wanted, SITES)
    assert (fault.field, fault.what) == ("sites", f"there is no site {wanted!r}")
    assert fault.remedy == f"Did you mean {near!r}?"


def test_a_name_like_no_other_is_told_with_all() -> None:
    assert nearest_site("CERN", SITES) == "There are SURF, Juelich, Poznan, local"


def test_each_wrong_name_of_a_list_is_told_with_its_place() -> None:
    faults = faults_of(choose, ["SURF", "Leiden", "Poznan"], SITES)
    assert [(fault.field, fault.what) for fault in faults] == [
        ("sites.1", "there is no site 'Leiden'"),
        ("sites.2", "Poznan is storage without compute: nothing can run there"),
    ]
    assert faults[1].remedy == "There are SURF, Juelich, local"


def test_no_site_at_all_is_never_chosen_in_silence() -> None:
    (fault,) = faults_of(choose, [], SITES)
    assert (fault.field, fault.remedy) == ("sites", "There are SURF, Juelich, local")
    (fault,) = faults_of(choose, "all", {"Poznan": SITES["Poznan"]})
    assert (fault.field, fault.remedy) == ("sites", "Add one to your sites.yaml")


# The user's own files


def test_own_files_are_the_one_of_the_xdg_folder_if_it_is_there_and_those_of_the_setting(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "USER": "janneke", "LOFARGRID_SITES": "/a.yaml::/b.yaml"}
    named = (Path("/a.yaml"), Path("/b.yaml"))
    assert settings(environment).sites == named
    for folder, variables in ((tmp_path / ".config", {}), (tmp_path / "xdg", {"XDG_CONFIG_HOME": f"{tmp_path}/xdg"})):
        mine = folder / "lofargrid" / "sites.yaml"
        mine.parent.mkdir(parents=True)
        assert settings(environment | variables).sites == named
        mine.write_text(ONE)
        assert settings(environment | variables).sites == (mine, *named)
    assert settings({"HOME": str(tmp_path / "other"), "USER": "janneke"}).sites == ()


# The reference


def test_every_key_is_in_the_reference_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE.read_text().split("## Keys")[1], re.M))
    assert set(rows) == set(SiteDocument.model_fields)
    for key, default in rows.items():
        value = getattr(Site("x"), key)
        assert default == _written(value), key


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and value:
        return f"[{', '.join(value)}]"
    return f"{value:.12g}" if isinstance(value, int | float) else str(value or "none")


def test_the_example_of_the_reference_is_read_as_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    path = tmp_path / "sites.yaml"
    path.write_text(example)
    sites = read_sites(SHIPPED, path)
    assert choose(["SURF", "Leiden"], sites) == ["SURF", "Leiden"]
    assert sites["Leiden"].tier == 2
    assert site_of("root://xrootd.example.org:1094//lofar/scratch/janneke/x", sites) == "Leiden"
    assert (sites["SURF"].slots, sites["SURF"].cores) == (40, SITES["SURF"].cores)
    assert set(SiteDocument.model_fields) - set(re.findall(r"^    (\w+):", example, re.M)) == {
        "tier",
        "guarded",
        "tape",
        "backend",
        "lost_after_min",
        "pilots",
        "tools",
        "recall",
    }


def test_the_spellings_of_the_reference_mean_one_site() -> None:
    table = PAGE.read_text().split("## Which site holds a file")[1].split("## What came")[0]
    urls = re.findall(r"`(\w+://\S+)`", table)
    assert len(urls) == 4
    assert {site_of(url, SITES) for url in urls} == {"SURF"}


# Pilots


def test_pilots_are_as_their_site_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "sites.yaml"
    path.write_text(
        "sites:\n  Leiden:\n    slots: 1\n    pilots: {through: slurm, options: [--account=x], needs: [/cvmfs]}\n"
    )
    pilots = read_sites(path)["Leiden"].pilots
    assert pilots
    assert (pilots.through, pilots.options, pilots.needs) == ("slurm", ("--account=x",), ("/cvmfs",))
    assert (pilots.at_most, pilots.cores, pilots.idle_min) == (0, 0, 10)


@pytest.mark.parametrize(
    ("entry", "field", "words"),
    [
        ("through: 'sl; urm'", "through", "pattern"),
        ("at_most: -1", "at_most", "greater than or equal to 0"),
        ("cores: 0", "cores", "greater than or equal to 1"),
        ("walltime_min: 1", "walltime_min", "greater than or equal to 5"),
        ("walltime_min: 1000000000", "walltime_min", "less than or equal to 43200"),
        ("idle_min: 0", "idle_min", "greater than 0"),
        ("htcondor: condor.tar", "htcondor", "'condor.tar' is no absolute path, nor an https:// URL"),
        ("htcondor: 'http://example.org/c.tar'", "htcondor", "nor an https:// URL"),
        ("htcondor: 'https://example.org/c.tar'", "htcondor", "trusted by its SHA-256 only"),
        ("sha256: abc", "sha256", "pattern"),
        ("logs: '/a b'", "logs", "no absolute path"),
        ("throuhg: slurm", "throuhg", "through"),
    ],
)
def test_what_pilots_cannot_be_is_told_with_its_line(tmp_path: Path, entry: str, field: str, words: str) -> None:
    path = tmp_path / "sites.yaml"
    path.write_text(f"sites:\n  Leiden:\n    slots: 1\n    pilots:\n      {entry}\n")
    [fault] = faults_of(read_sites, path)
    assert fault.field == f"sites.Leiden.pilots.{field}"
    assert fault.line in (4, 5)
    assert words in f"{fault.what} {fault.remedy}"


# From a SURL to a TURL

DOORS = {"root": "root://door.example.org:1094", "davs": "davs://door.example.org:2880"}
HERE = "srm://srm.example.org:8443/pnfs"


@pytest.mark.parametrize(
    ("url", "doors", "expected"),
    [
        (f"{HERE}/a%20b.tar", DOORS, "root://door.example.org:1094//pnfs/a%20b.tar"),
        (f"{HERE}/a.tar", {"davs": DOORS["davs"]}, "davs://door.example.org:2880/pnfs/a.tar"),
        ("srm://srm.example.org:8443/srm/managerv2?SFN=/pnfs/a.tar", DOORS, "root://door.example.org:1094//pnfs/a.tar"),
        (f"{HERE}/a.tar", {}, f"{HERE}/a.tar"),
        ("srm://other.example.org/pnfs/a.tar", DOORS, "srm://other.example.org/pnfs/a.tar"),
        ("davs://door.example.org:2880/pnfs/a.tar", DOORS, "davs://door.example.org:2880/pnfs/a.tar"),
        ("file:///pnfs/a.tar", DOORS, "file:///pnfs/a.tar"),
    ],
)
def test_a_surl_is_read_through_the_first_door_of_its_site(url: str, doors: dict[str, str], expected: str) -> None:
    sites = {"here": Site("here", prefixes=(HERE,), doors=doors)}
    assert transfer_url(url, sites) == expected


def test_where_there_is_a_token_of_the_site_it_is_read_through_a_door_of_https() -> None:
    doors = {"root": "root://door.example.org:1094", "davs": "davs://door.example.org:2880"}
    sites = {"here": Site("here", prefixes=(HERE,), doors=doors)}
    assert transfer_url(f"{HERE}/a.tar", sites, {"here": "a token"}.get).startswith("davs://door.example.org:2880/")
    assert transfer_url(f"{HERE}/a.tar", sites, {"there": "a token"}.get).startswith("root://")
    del doors["davs"]
    assert transfer_url(f"{HERE}/a.tar", sites, {"here": "a token"}.get).startswith("root://")


def test_servers_of_https_are_those_of_doors_prefixes_and_scratch() -> None:
    doors = {"root": "root://door.example.org:1094", "davs": "davs://door.example.org:2880"}
    site = Site("here", prefixes=(HERE, "https://web.example.org/x"), doors=doors, scratch="davs://disk.example.org/y")
    assert web_servers(site) == {"door.example.org:2880", "web.example.org", "disk.example.org"}
