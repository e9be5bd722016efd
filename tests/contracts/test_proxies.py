"""Proxies as Debian's VOMS clients make them: what is read in them, and which are not believed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import DataObject, data, integers, sampled_from

from lofargrid.credentials.proxy import read_proxy
from lofargrid.credentials.trust import Trust
from lofargrid.errors import InputError
from tests.grid.authority import Authority, Holder
from tests.grid.proxies import signed, voms_extension, written
from tests.grid.voms import MEMBER, PRODUCTION, VO

pytestmark = pytest.mark.service
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def whole(vo: VO, janneke: Holder, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the VO says in a proxy, as it stands there."""
    return voms_extension(read_proxy(vo.proxy(tmp_path_factory.mktemp("whole") / "x509up", janneke, MEMBER)).chain)


@pytest.fixture
def trust(vo: VO) -> Trust:
    return Trust(vo.authority.certificates, vo.vomsdir)


def test_who_it_is_and_what_its_vo_says_is_read(vo: VO, janneke: Holder, trust: Trust, tmp_path: Path) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, PRODUCTION, MEMBER))
    assert found.identity == "/C=NL/O=Test/OU=People/CN=Janneke de Vries"
    assert found.subject.startswith(f"{found.identity}/CN=")
    assert (found.vo, found.fqans) == ("lofar", ("/lofar/Role=production", "/lofar"))
    assert (found.kind, found.key_bits, len(found.chain)) == ("impersonation", 2048, 2)
    assert abs(found.good_until - NOW - 12 * HOUR) < HOUR
    assert trust.doubts(found, datetime.now(UTC)) == []


def test_one_without_a_vo_is_believed_for_what_it_is(vo: VO, janneke: Holder, trust: Trust, tmp_path: Path) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke))
    assert (found.vo, found.fqans, found.attributes) == ("", (), ())
    assert trust.doubts(found, datetime.now(UTC)) == []


def test_a_limited_one_is_told_as_such(vo: VO, janneke: Holder, tmp_path: Path) -> None:
    assert read_proxy(vo.proxy(tmp_path / "limited", janneke, limited=True)).kind == "limited"


@pytest.mark.parametrize(
    ("fqans", "options", "doubt"),
    [
        ((), {"hours": 1, "pastproxy": "2:00"}, "certificate has expired"),
        ((MEMBER,), {"vomslife": 1, "pastac": "2:00"}, "what localhost says for the VO lofar was good from"),
    ],
    ids=["proxy", "attributes"],
)
def test_what_has_expired_is_not_believed(
    vo: VO, janneke: Holder, trust: Trust, tmp_path: Path, fqans: Sequence[str], options: dict[str, object], doubt: str
) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, *fqans, **options))
    assert found.good_until < NOW
    [told] = trust.doubts(found, datetime.now(UTC))
    assert doubt in told


def test_what_somebody_else_says_for_a_vo_is_not_believed(
    vo: VO, janneke: Holder, trust: Trust, tmp_path: Path
) -> None:
    carol = vo.authority.user("Carol")
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, PRODUCTION, signer=carol))
    [told] = trust.doubts(found, datetime.now(UTC))
    assert "was signed by /C=NL/O=Test/CN=Carol, which " in told


def test_a_vo_that_this_machine_does_not_know_is_not_believed(vo: VO, janneke: Holder, tmp_path: Path) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, MEMBER))
    [told] = Trust(vo.authority.certificates, tmp_path).doubts(found, datetime.now(UTC))
    assert f"there is no {tmp_path}/lofar/localhost.lsc" in told


def test_a_server_may_be_named_in_any_of_the_chains_of_its_file(vo: VO, janneke: Holder, tmp_path: Path) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, MEMBER))
    lsc = tmp_path / "vomsdir" / "lofar" / "localhost.lsc"
    lsc.parent.mkdir(parents=True)
    names = (vo.vomsdir / "lofar" / "localhost.lsc").read_text()
    lsc.write_text(f"/CN=old server\n/CN=old CA\n------ NEXT CHAIN ------\n{names}")
    assert Trust(vo.authority.certificates, tmp_path / "vomsdir").doubts(found, datetime.now(UTC)) == []


def test_no_name_of_a_vo_leads_to_other_files(vo: VO, janneke: Holder, whole: bytes, tmp_path: Path) -> None:
    odd = whole.replace(b"lofar://localhost", b"../..://localhost")
    assert odd != whole
    with pytest.raises(InputError, match="odd characters"):
        read_proxy(written(tmp_path / "x509up", signed(janneke, voms=odd), janneke))


def test_attributes_that_were_changed_are_not_believed(vo: VO, janneke: Holder, trust: Trust, tmp_path: Path) -> None:
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke, MEMBER))
    [said] = found.attributes
    changed = replace(found, attributes=(replace(said, signed=said.signed.replace(b"/lofar/", b"/admin/")),))
    [told] = trust.doubts(changed, datetime.now(UTC))
    assert "was changed, or signed by another" in told


def test_what_a_vo_says_of_one_user_is_refused_in_the_proxy_of_another(vo: VO, janneke: Holder, tmp_path: Path) -> None:
    said = voms_extension(read_proxy(vo.proxy(tmp_path / "hers", janneke, PRODUCTION)).chain)
    bob = vo.authority.user("Bob")
    with pytest.raises(InputError, match="what its VO says was said of another certificate"):
        read_proxy(written(tmp_path / "his", signed(bob, voms=said), bob))


@given(data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_cannot_be_read_of_a_vos_words_is_refused_calmly(
    vo: VO, janneke: Holder, whole: bytes, tmp_path: Path, draw: DataObject
) -> None:
    at = draw.draw(integers(0, len(whole) - 1))
    cut = draw.draw(sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]]))
    with contextlib.suppress(InputError):
        read_proxy(written(tmp_path / "x509up", signed(janneke, voms=cut, key=janneke.key), janneke))


@pytest.mark.parametrize("authorities", ["none", "another's"])
def test_a_chain_that_ends_nowhere_is_not_believed(vo: VO, janneke: Holder, tmp_path: Path, authorities: str) -> None:
    folder = Authority(tmp_path / "other").certificates if authorities == "another's" else tmp_path / "none"
    found = read_proxy(vo.proxy(tmp_path / "x509up", janneke))
    [told] = Trust(folder, vo.vomsdir).doubts(found, datetime.now(UTC))
    assert ("there are no authorities" if authorities == "none" else "unable to get local issuer certificate") in told


def test_a_user_whose_certificate_was_revoked_is_not_believed(vo: VO, trust: Trust, tmp_path: Path) -> None:
    mallory = vo.authority.user("Mallory")
    found = read_proxy(vo.proxy(tmp_path / "x509up", mallory, MEMBER))
    assert trust.doubts(found, datetime.now(UTC)) == []
    vo.authority.revoke(mallory)
    assert "certificate revoked" in " ".join(trust.doubts(found, datetime.now(UTC)))


def test_an_authority_without_a_list_of_what_is_revoked_is_believed(vo: VO, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    authority.revocations.unlink()
    other = VO(tmp_path / "other", authority)
    found = read_proxy(other.proxy(tmp_path / "x509up", authority.user("Piet"), MEMBER))
    assert Trust(authority.certificates, other.vomsdir).doubts(found, datetime.now(UTC)) == []
