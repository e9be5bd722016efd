"""VOMS attribute certificates: what a virtual organisation says of somebody, as they stand in a proxy certificate.

Source: GFD.182, "The VOMS Attribute Certificate Format"; RFC 5755 for attribute certificates at large.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from asn1crypto import cms, core
from cryptography import x509

_ACS = x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")
_CERTIFICATES = "1.3.6.1.4.1.8005.100.100.10"
_FQANS = "1.3.6.1.4.1.8005.100.100.4"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class AttributeCertificate:
    """One VOMS attribute certificate.

    ``fqans`` are groups and roles, the first one is the one that is asked for first; ``server`` is the host of the
    VOMS server that made it. It belongs to the certificate with the serial number ``holder``. What it holds is only
    worth what its signature is: see `lofargrid.credentials.trust`.
    """

    vo: str
    fqans: tuple[str, ...]
    server: str
    holder: int
    begins: datetime
    ends: datetime
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    algorithm: str = field(repr=False)
    signers: tuple[x509.Certificate, ...] = field(repr=False)


def attribute_certificates(certificate: x509.Certificate) -> tuple[AttributeCertificate, ...]:
    """The attribute certificates in a proxy certificate.

    Raises
    ------
    ValueError
        There is an extension for them, and they are not in it.
    """
    try:
        extension = certificate.extensions.get_extension_for_oid(_ACS).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(extension, x509.UnrecognizedExtension), "cryptography knows nothing of VOMS"
    try:
        return tuple(_read(cms.AttributeCertificateV2.load(one)) for one in _listed(extension.value))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"its VOMS extension cannot be read: {error}") from None


def _read(one: cms.AttributeCertificateV2) -> AttributeCertificate:
    info = one["ac_info"]
    validity = info["att_cert_validity_period"]
    server, vo, fqans = _attributes(info)
    return AttributeCertificate(
        vo=vo,
        fqans=fqans,
        server=server,
        holder=info["holder"]["base_certificate_id"]["serial"].native,
        begins=validity["not_before_time"].native,
        ends=validity["not_after_time"].native,
        signed=info.dump(),
        signature=one["signature"].native,
        algorithm=one["signature_algorithm"]["algorithm"].dotted,
        signers=tuple(_signers(info)),
    )


def _attributes(info: cms.AttributeCertificateInfoV2) -> tuple[str, str, tuple[str, ...]]:
    """Server, VO and FQANs: ``lofar://voms.example.org:15000`` stands beside the FQANs."""
    for attribute in info["attributes"]:
        if attribute["type"].dotted != _FQANS:
            continue
        syntax = cms.IetfAttrSyntax.load(attribute["values"][0].dump())
        uri = syntax["policy_authority"][0].native
        fqans = tuple(one.native.decode() for one in syntax["values"])
        vo, _, place = uri.partition("://")
        server = place.rpartition(":")[0]
        # Files are looked for by these names, and all is shown to people.
        if not (_NAME.fullmatch(vo) and _NAME.fullmatch(server) and all(one.isprintable() for one in fqans)):
            raise ValueError("odd characters in it")
        return server, vo, fqans
    raise ValueError("no VOMS attributes")


def _signers(info: cms.AttributeCertificateInfoV2) -> Iterator[x509.Certificate]:
    for extension in info["extensions"]:
        if extension["extn_id"].dotted == _CERTIFICATES:
            yield from map(x509.load_der_x509_certificate, _listed(extension["extn_value"].native))


def _listed(content: bytes) -> Iterator[bytes]:
    """What stands in a list in a list."""
    (inner,) = _children(core.Sequence.load(content))
    for one in _children(inner):
        yield one.dump()


def _children(sequence: core.Sequence) -> list[core.Asn1Value]:
    return [sequence[at] for at in range(len(sequence))]
