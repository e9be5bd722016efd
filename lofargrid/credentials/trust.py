"""Whether a proxy may be believed: its chain and what a VO says in it, down to authorities that are trusted here."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from OpenSSL import crypto

from lofargrid.credentials.proxy import Proxy, slashed
from lofargrid.credentials.voms import AttributeCertificate

_ALLOW_PROXIES = 0x40  # X509_V_FLAG_ALLOW_PROXY_CERTS, which pyOpenSSL does not name
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.1.1.5": hashes.SHA1(),  # older servers still sign so
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Trust:
    """What this machine trusts.

    Parameters
    ----------
    authorities
        X509_CERT_DIR: certificates and revocation lists of authorities, under the hashes of their names.
    vomsdir
        X509_VOMS_DIR: a folder for each VO, and in it for each of its servers the names of its certificate's chain,
        ``<host>.lsc``.
    """

    def __init__(self, authorities: Path, vomsdir: Path) -> None:
        self._authorities = authorities
        self._vomsdir = vomsdir

    def doubts(self, proxy: Proxy, now: datetime) -> list[str]:
        """Why a proxy may not be believed; nothing if it may."""
        found = [self._chain(proxy.chain[0], proxy.chain[1:], now)]
        found += [self._attributes(one, now) for one in proxy.attributes]
        return [one for one in found if one]

    def _chain(self, certificate: x509.Certificate, others: Sequence[x509.Certificate], now: datetime) -> str:
        if not self._authorities.is_dir():
            return f"there are no authorities in {self._authorities}"
        store = crypto.X509Store()
        store.load_locations(None, str(self._authorities))
        store.set_flags(_ALLOW_PROXIES)
        store.set_time(now)
        rest = [crypto.X509.from_cryptography(one) for one in others]
        context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate), rest)
        try:
            chain = context.get_verified_chain()
        except crypto.X509StoreContextError as error:
            return f"{slashed(error.certificate.to_cryptography().subject)}: {error.errors[2]}"
        return next(filter(None, (self._revocation(issuer, one) for one, issuer in pairwise(chain))), "")

    def _revocation(self, issuer: crypto.X509, one: crypto.X509) -> str:
        # OpenSSL would ask for a list of every authority in the chain, or for none.
        key = issuer.to_cryptography().public_key()
        for path in self._authorities.glob(f"{issuer.subject_name_hash():08x}.r?"):
            try:
                found = x509.load_pem_x509_crl(path.read_bytes())
            except (OSError, ValueError):
                return f"{path} cannot be read, which tells what is revoked"
            named = found.get_revoked_certificate_by_serial_number(one.get_serial_number())
            if named is not None and isinstance(key, _Key) and found.is_signature_valid(key):
                return f"{slashed(one.to_cryptography().subject)}: certificate revoked"
        return ""

    def _attributes(self, one: AttributeCertificate, now: datetime) -> str:
        said = f"what {one.server} says for the VO {one.vo}"
        if not one.signers:
            return f"{said} names no signer"
        if not one.begins <= now < one.ends:
            return f"{said} was good from {one.begins:%Y-%m-%d %H:%M} to {one.ends:%Y-%m-%d %H:%M} UTC"
        if not _has_signed(one):
            return f"{said} was changed, or signed by another"
        lsc = self._vomsdir / one.vo / f"{one.server}.lsc"
        expected = _chains(lsc)
        if not expected:
            return f"{said} is not to be believed here: there is no {lsc}"
        signer = one.signers[0]
        if [slashed(signer.subject), slashed(signer.issuer)] not in expected:
            return f"{said} was signed by {slashed(signer.subject)}, which {lsc} does not name"
        return self._chain(signer, one.signers[1:], now)


def _chains(lsc: Path) -> list[list[str]]:
    """Who may sign, each with its authority: the first two names of each chain in a file."""
    try:
        text = lsc.read_text()
    except OSError:
        return []
    chains = re.split("^-.*$", text, flags=re.M)
    return [[line.strip() for line in one.split("\n") if line.strip()][:2] for one in chains]


def _has_signed(one: AttributeCertificate) -> bool:
    algorithm, key = _HASHES.get(one.algorithm), one.signers[0].public_key()
    try:
        if algorithm and isinstance(key, rsa.RSAPublicKey):
            key.verify(one.signature, one.signed, padding.PKCS1v15(), algorithm)
            return True
        if algorithm and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(one.signature, one.signed, ec.ECDSA(algorithm))
            return True
    except (InvalidSignature, UnsupportedAlgorithm):
        pass
    return False
