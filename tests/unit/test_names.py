"""Names: what is read can be written again, whoever gave the name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid import names
from lofargrid.names import ProductName, file_name, file_url, is_url, parse_product, path_of, safe_name

PRODUCTS = st.builds(
    ProductName,
    sas_id=st.integers(1000, 999_999_999),
    subband=st.integers(0, 999),
    sap=st.none() | st.integers(0, 999),
    processing=st.sampled_from(["", ".dppp"]),
    suffix=st.just("") | st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
    tar=st.booleans(),
)
PATHS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00/"), min_size=1)

# As the archives hand them out: SURF, Jülich, Poznań.
SURLS = {
    "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops/projects/lc2_038/229507/"
    "L229507_SB100_uv.dppp.MS_3d78b8f1.tar": ProductName(229507, 100, None, ".dppp", "3d78b8f1"),
    "srm://lofar-srm.fz-juelich.de:8443/pnfs/fz-juelich.de/data/lofar/ops/projects/lc7_012/583139/"
    "L583139_SB000_uv.MS_900c9fcf.tar": ProductName(583139, 0, None, "", "900c9fcf"),
    "srm://lta-head.lofar.psnc.pl:8443/lofar/ops/projects/lc6_004/555005/L555005_SB302_uv.MS_805a38ae.tar": ProductName(
        555005, 302, None, "", "805a38ae"
    ),
    "srm://srm.grid.sara.nl:8443/srm/managerv2?SFN=/pnfs/grid.sara.nl/data/lofar/ops/projects/lc4_010/345678/"
    "L345678_SAP001_SB007_uv.MS_12345678.tar": ProductName(345678, 7, 1, "", "12345678"),
    "https://lta-download.lofar.psnc.pl/lofigrid/SRMFifoGet.py?surl=srm://lta-head.lofar.psnc.pl:8443/lofar/ops/"
    "L123456_SAP000_SB000_uv.MS_3d78b8f1.tar": ProductName(123456, 0, 0, "", "3d78b8f1"),
    "https://lofar-download.grid.surfsara.nl/lofigrid/SRMFifoGet.py?surl=srm%3A%2F%2Fsrm.grid.sara.nl%3A8443%2Fpnfs%2F"
    "L123456_SAP000_SB000_uv.MS_3d78b8f1.tar": ProductName(123456, 0, 0, "", "3d78b8f1"),
    "https://lofar-download.fz-juelich.de/webserver-lofar/SRMFifoGet.py?surl=srm://lofar-srm.fz-juelich.de:8443/srm/"
    "managerv2?SFN=/pnfs/L123456_SAP000_SB000_uv.MS_3d78b8f1.tar": ProductName(123456, 0, 0, "", "3d78b8f1"),
    "gsiftp://gridftp.lofar.psnc.pl:2811/lofar/ops/L555005_SB302_uv.MS_805a38ae.tar": ProductName(
        555005, 302, None, "", "805a38ae"
    ),
    "root://door.example.org//pnfs/data/L555005_SB302_uv.MS": ProductName(555005, 302, tar=False),
}


@given(PRODUCTS)
def test_a_product_name_that_is_written_reads_back_the_same(product: ProductName) -> None:
    assert parse_product(str(product)) == product


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("L123456_SAP000_SB000_uv.MS_3d78b8f1.tar", ProductName(123456, 0, 0, "", "3d78b8f1")),
        ("L123456_SB100_uv.dppp.MS_3d78b8f1.tar", ProductName(123456, 100, None, ".dppp", "3d78b8f1")),
        ("L123456_SAP002_SB487_uv.MS", ProductName(123456, 487, 2, "", "", tar=False)),
        ("L123456_SB001_uv.MS.tar", ProductName(123456, 1)),
    ],
)
def test_all_forms_of_the_archive_are_read_and_written(name: str, product: ProductName) -> None:
    assert parse_product(name) == product
    assert str(product) == name
    assert product.observation == "L123456"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "L123456_SAP000_SB000_uv.MS_3d78b8f1.tar\n",
        "L123456_SAP000_SB000_uv.MS_3d78b8f1.tar.gz",
        "L123456_SAP000_SB000_uv.MS_3D78B8F1.tar",
        "L123456_SAP0_SB000_uv.MS",
        "L123456_SAP000_SB0000_uv.MS",
        "L٣٤٥٦_SAP000_SB000_uv.MS",
        "L012345_SAP000_SB000_uv.MS",
        "xL123456_SAP000_SB000_uv.MS",
        "L123456_SAP000_B000_S0_P000_bf.h5",
    ],
)
def test_what_is_not_the_name_of_a_subband_is_refused_with_one_that_is(name: str) -> None:
    with pytest.raises(ValueError, match=names.PRODUCT_FORM):
        parse_product(name)


@pytest.mark.parametrize(("surl", "product"), SURLS.items())
def test_the_subband_is_found_in_the_surls_of_every_site(surl: str, product: ProductName) -> None:
    assert is_url(surl)
    assert parse_product(file_name(surl)) == product


@given(st.lists(PATHS, min_size=1).map(lambda parts: "/" + "/".join(parts)))
def test_a_path_of_any_characters_survives_as_a_url(path: str) -> None:
    url = file_url(path)
    assert url.isascii()
    assert " " not in url
    assert is_url(url)
    assert not is_url(path)
    assert path_of(url) == path
    assert file_name(url) == path.rstrip("/").rpartition("/")[2]


@pytest.mark.parametrize("form", ["{}", "srm://h:8443/srm/managerv2?SFN={}", "https://h/SRMFifoGet.py?surl=srm://h{}"])
def test_a_plus_in_a_path_is_no_space(form: str) -> None:
    assert path_of(form.format("/pnfs/a+b/c.tar")) == "/pnfs/a+b/c.tar"


@pytest.mark.parametrize("text", ["/data/a.tar", "a.tar", "data/a:b.tar", "://x", "1a://x", "C:/x", ""])
def test_a_path_is_no_url(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize("text", ["a", "L654321-field", "A_1", "a" * 64])
def test_letters_digits_and_two_signs_are_safe(text: str) -> None:
    assert safe_name(text)


@pytest.mark.parametrize("text", ["", "-a", "_a", "a/b", "..", "a b", "a\n", "ä", "a" * 65, "$(x)", "a.b"])
def test_all_else_is_not_safe(text: str) -> None:
    assert not safe_name(text)


def test_names_of_jobs_tell_observation_beam_slice_and_step() -> None:
    assert names.job_name(names.sap_key("L654321", 2), "cal2") == "L654321-SAP002-cal2"
    assert names.job_name(names.group_key("L654321", 0, 24), "targ2") == "L654321-SAP000-G0024-targ2"


def test_an_absent_part_is_no_part_zero() -> None:
    assert names.group_key("L1", 0, 0) != names.group_key("L1", 0, 0, 0)


def test_a_part_of_a_group_has_its_number_in_its_name() -> None:
    keys = [names.group_key("L654321", 0, 24, part) for part in (None, 0, 1, 12)]
    assert keys == ["L654321-SAP000-G0024", *(f"L654321-SAP000-G0024p{part}" for part in (0, 1, 12))]


@given(
    st.integers(1, 999_999_999), st.integers(0, 999), st.integers(0, 99_999), st.none() | st.integers(0, 600),
    st.sampled_from(["target", "calibrator"]),
)  # fmt: skip
def test_the_group_is_read_back_from_its_key_whatever_the_part(
    sas_id: int, sap: int, group: int, part: int | None, role: str
) -> None:
    key = names.group_key(f"L{sas_id}", sap, group, part)
    assert names.group_of_key(role, key) == ((role, f"L{sas_id}", sap), group)


@given(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.integers(0, 99)), st.data())
def test_no_two_attempts_share_an_id(first: tuple[str, int, int], data: st.DataObject) -> None:
    other = data.draw(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.integers(0, 99)))
    assert (names.attempt_id(*first) == names.attempt_id(*other)) == (first == other)
    assert names.attempt_id(*first).startswith(first[0])
