"""An authority for tests: it signs users and servers, revokes them, and its folder is what X509_CERT_DIR names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

DAY = timedelta(days=1)
POLICY = """\
access_id_CA  X509    '/C=NL/O=Test/CN=Test CA'
pos_rights    globus  CA:sign
cond_subjects globus  '"/C=NL/O=Test/*"'
"""
"""What Globus's programs ask for of an authority: which names it may sign."""


@dataclass(frozen=True)
class Holder:
    """Somebody who has a certificate: its two files, and what is in them."""

    certificate_file: Path
    key_file: Path
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def name_of(*parts: str) -> x509.Name:
    """``/C=NL/O=Test`` and then what somebody is called."""
    kinds = [NameOID.ORGANIZATIONAL_UNIT_NAME] * (len(parts) - 1) + [NameOID.COMMON_NAME]
    names = [x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")]
    return x509.Name([*names, *(x509.NameAttribute(kind, one) for kind, one in zip(kinds, parts, strict=True))])


def usage(*wanted: str) -> x509.KeyUsage:
    """A key usage with only these set."""
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{one: one in wanted for one in every})


class Authority:
    """Makes certificates below a folder; ``certificates`` in it is to be trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"
        self.certificates.mkdir(parents=True)
        self._revoked: list[int] = []
        self._key = rsa.generate_private_key(65537, 2048)
        self.name = name_of("Test CA")
        builder = self._builder(self.name, self._key.public_key(), 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.add_extension(usage("key_cert_sign", "crl_sign"), critical=True).sign(
            self._key, hashes.SHA256()
        )
        (self.certificates / f"{self._hash()}.0").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        (self.certificates / f"{self._hash()}.signing_policy").write_text(POLICY)
        self.publish()

    def user(self, *called: str) -> Holder:
        """Somebody with a certificate for a year."""
        return self._issue(called, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, called: str) -> Holder:
        """A server of this machine with one."""
        here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        return self._issue((called,), ExtendedKeyUsageOID.SERVER_AUTH, here)

    def revoke(self, one: Holder) -> None:
        """Let a certificate count no more."""
        self._revoked.append(one.certificate.serial_number)
        self.publish()

    def publish(self) -> None:
        """Write the list of what is revoked."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now - DAY)
        builder = builder.next_update(now + 30 * DAY)
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        content = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        self.revocations.write_bytes(content)

    @property
    def revocations(self) -> Path:
        """The file of the list."""
        return self.certificates / f"{self._hash()}.r0"

    def _issue(
        self, called: tuple[str, ...], purpose: x509.ObjectIdentifier, also: x509.SubjectAlternativeName | None = None
    ) -> Holder:
        key = rsa.generate_private_key(65537, 2048)
        builder = self._builder(name_of(*called), key.public_key(), 365 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(usage("digital_signature", "key_encipherment"), critical=True)
        if also:
            builder = builder.add_extension(also, critical=False)
        certificate = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False).sign(
            self._key, hashes.SHA256()
        )
        folder = self.folder / called[-1].replace(" ", "-")
        folder.mkdir()
        one = Holder(folder / "cert.pem", folder / "key.pem", certificate, key)
        one.certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        one.key_file.touch(mode=0o400)
        one.key_file.chmod(0o600)
        one.key_file.write_bytes(secret(key))
        one.key_file.chmod(0o400)
        return one

    def _builder(self, name: x509.Name, key: rsa.RSAPublicKey, lasts: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self.name, name, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - DAY).not_valid_after(now + lasts)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(ours, critical=False)

    def _hash(self) -> str:
        """What OpenSSL calls the files of an authority."""
        return f"{crypto.X509.from_cryptography(self.certificate).subject_name_hash():08x}"


def secret(key: rsa.RSAPrivateKey) -> bytes:
    """A key as it stands in a file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
