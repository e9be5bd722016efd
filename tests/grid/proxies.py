"""Proxies made here, without VOMS's programs: right ones, and such as no program makes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.grid.authority import Holder, secret

PROXY_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
VOMS = x509.ObjectIdentifier("1.3.6.1.4.1.8005.100.100.5")
IMPERSONATION = bytes.fromhex("300c300a06082b06010505071501")


def signed(
    user: Holder, *, name: str = "1", hours: float = 12, info: bytes | None = IMPERSONATION, voms: bytes | None = None,
    by: rsa.RSAPrivateKey | None = None, key: rsa.RSAPrivateKey | None = None,
) -> Holder:  # fmt: skip
    """A proxy of somebody, or of a proxy; ``by`` signs it instead of whom it is of, ``key`` saves making one."""
    now = datetime.now(UTC)
    key = key or rsa.generate_private_key(65537, 2048)
    subject = x509.Name([*user.certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(user.certificate.subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(hours=hours))
    for kind, content, critical in ((PROXY_INFO, info, True), (VOMS, voms, False)):
        if content is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(kind, content), critical=critical)
    certificate = builder.sign(by or user.key, hashes.SHA256())
    return Holder(user.certificate_file, user.key_file, certificate, key)


def written(path: Path, *chain: Holder, mode: int = 0o600) -> Path:
    """A file of a proxy: its certificate, its key, and the certificates that it rests on."""
    first, *others = chain
    path.touch(mode=0o600)
    path.write_bytes(b"".join([pem(first), secret(first.key), *map(pem, others)]))
    path.chmod(mode)
    return path


def pem(one: Holder) -> bytes:
    """A certificate as it stands in a file."""
    return one.certificate.public_bytes(Encoding.PEM)


def voms_extension(chain: Sequence[x509.Certificate]) -> bytes:
    """What a VO said in a proxy."""
    content = chain[0].extensions.get_extension_for_oid(VOMS).value
    assert isinstance(content, x509.UnrecognizedExtension)
    return content.value
