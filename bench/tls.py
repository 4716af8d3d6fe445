"""A certificate for 127.0.0.1 and a trust store of real size, so that TLS costs a subject what it costs in Lambda."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=30)
AMAZON_ROOTS = Path(__file__).parents[1] / "layers/common/dialplane/aws/amazon_roots.pem"


@dataclass(frozen=True, slots=True)
class Trust:
    """CA bundles with the throw-away authority added: all public roots, and the few that our AWS client reads.

    In Lambda our client believes those few for AWS's own hosts; the stub is none, so here they are a bundle.
    """

    everybody: Path
    amazon: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_server_tls(directory: Path) -> tuple[ssl.SSLContext, Trust]:
    """Write a throw-away authority and a server certificate into `directory`.

    Returns the server's context and who is to be believed.
    """
    now = datetime.datetime.now(datetime.UTC)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("dialplane bench authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        )

    signing = {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
    unused = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    authority = (
        builder("dialplane bench authority", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**signing, **unused), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        builder("127.0.0.1", server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    chain = directory / "server.pem"
    chain.write_bytes(
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(pem)
    )
    bundle = directory / "ca-bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.public_bytes(pem))
    amazon_bundle = directory / "amazon-roots.pem"
    amazon_bundle.write_bytes(AMAZON_ROOTS.read_bytes() + authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, Trust(bundle, amazon_bundle)
