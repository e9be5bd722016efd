"""A proxy certificate: the short-lived credential that speaks for a user on the grid. Source: RFC 3820."""

import warnings
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from asn1crypto import core
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning

from lofargrid.credentials.secret import read_secret
from lofargrid.credentials.voms import AttributeCertificate, attribute_certificates
from lofargrid.errors import Fault, InputError

_PROXY = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
_KINDS = {
    "1.3.6.1.5.5.7.21.1": "impersonation",
    "1.3.6.1.5.5.7.21.2": "independent",
    "1.3.6.1.4.1.3536.1.1.1.9": "limited",
}


@dataclass(frozen=True)
class Proxy:
    """What a proxy certificate says. Whether it may be believed is another question: see `lofargrid.credentials.trust`.

    ``identity`` is the subject of the user's own certificate, ``subject`` that of the proxy, in the form with slashes.
    ``kind`` is impersonation, limited or independent. ``ends`` is when the first certificate of the chain expires,
    ``chain`` goes from the proxy to the user's certificate and on.
    """

    path: Path
    subject: str
    identity: str
    kind: str
    key_bits: int
    ends: datetime
    attributes: tuple[AttributeCertificate, ...]
    chain: tuple[x509.Certificate, ...] = field(repr=False)

    @property
    def vo(self) -> str:
        """The virtual organisation that vouches for it; empty if none does."""
        return self.attributes[0].vo if self.attributes else ""

    @property
    def fqans(self) -> tuple[str, ...]:
        """Groups and roles, the one in force first: ``/lofar/user``, ``/lofar/Role=production``."""
        found = self.attributes[0].fqans if self.attributes else ()
        return tuple(one.removesuffix("/Capability=NULL").removesuffix("/Role=NULL") for one in found)

    @property
    def good_until(self) -> datetime:
        """When the first thing in it expires: a certificate, or what a VO says."""
        return min([self.ends, *(one.ends for one in self.attributes)])


def read_proxy(path: Path) -> Proxy:
    """Read a proxy certificate.

    Raises
    ------
    InputError
        It cannot be read, others can read it, or it is no proxy of RFC 3820.
    """
    content = read_secret(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of authorities' habits, for nobody here
            return _read(path, tuple(x509.load_pem_x509_certificates(content)))
    except ValueError as error:
        remedy = "Make one with: proxy --new"
        raise InputError(Fault(f"this is no proxy: {str(error).splitlines()[0]}", remedy, str(path))) from None


def _read(path: Path, chain: tuple[x509.Certificate, ...]) -> Proxy:
    depth = next((at for at, one in enumerate(chain) if _policy(one) is None), None)
    if depth == 0:
        raise ValueError("it begins with a certificate that is none")
    if depth is None:
        raise ValueError("the user's certificate is not in it")
    for one, issuer in pairwise(chain[: depth + 1]):
        try:
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"{slashed(issuer.subject)} has not signed {slashed(one.subject)}") from None
    user = chain[depth]
    attributes = next(filter(None, map(attribute_certificates, chain[:depth])), ())
    if any(one.holder != user.serial_number for one in attributes):
        raise ValueError("what its VO says was said of another certificate")
    policy = _policy(chain[0])
    assert policy is not None, "it is a proxy"
    key = chain[0].public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError("its key is neither of RSA nor of an elliptic curve")
    return Proxy(
        path=path,
        subject=slashed(chain[0].subject),
        identity=slashed(user.subject),
        kind=_KINDS.get(policy, policy),
        key_bits=key.key_size,
        ends=min(one.not_valid_after_utc for one in chain[: depth + 1]),
        attributes=attributes,
        chain=chain,
    )


def _policy(certificate: x509.Certificate) -> str | None:
    """The language of a proxy's policy, which tells its kind; None if the certificate is no proxy."""
    try:
        extension = certificate.extensions.get_extension_for_oid(_PROXY).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(extension, x509.UnrecognizedExtension), "cryptography knows nothing of proxies"
    # A limit of the chain's length may stand before it; the policy's language stands first in it.
    info = core.Sequence.load(extension.value)
    try:
        return str(info[len(info) - 1][0].dotted)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise ValueError("its kind cannot be read") from None


def slashed(name: x509.Name) -> str:
    """A name as grids write it: ``/C=NL/O=Example/CN=Janneke``."""
    parts = ((one.rfc4514_attribute_name, one.value) for one in name)
    text = "".join(f"/{kind}={value if isinstance(value, str) else value.hex()}" for kind, value in parts)
    return "".join(one if one.isprintable() else "?" for one in text)
