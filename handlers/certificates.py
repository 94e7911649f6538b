"""The XMPP entrances' certificate: the configured one, or one that the server makes for itself."""

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.settings import Settings

PROTOCOL = (
    ("RFC 7590", "2015-06", "complete"),
    ("XEP-0368", "1.1.0", "complete"),
)

YEARS = 10


def make_context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or later, for STARTTLS and direct TLS."""
    certificate, key = Path(settings.xmpp.tls_certificate), Path(settings.xmpp.tls_key)
    if not settings.xmpp.tls_certificate:
        certificate, key = settings.data.dir / "xmpp.crt", settings.data.dir / "xmpp.key"
        if not (certificate.exists() and key.exists()):
            make_self_signed(settings.xmpp.domain, certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["xmpp-client"])
    return context


def make_self_signed(domain: str, certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    now = datetime.datetime.now(datetime.UTC)
    names = dict.fromkeys((domain, f"conference.{domain}", f"upload.{domain}", "localhost"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    *(x509.DNSName(each) for each in names),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        # Clients are told to trust this very certificate, so it has to be its own issuer.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
