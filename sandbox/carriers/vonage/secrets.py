"""Secrets of simulated Vonage accounts, for tests and the sandbox: the same name gives the same secret everywhere.

A key that follows from a name is no secret at all; it is worth nothing outside the simulator.
"""

import functools
import hashlib
import random
import uuid

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_KEY_BITS = 2048
_EXPONENT = 65537
_SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]


def make_secret(name: str = "demo") -> dict[str, str]:
    """An account's secret: application_id, private_key (PKCS #8 PEM), api_key, signature_secret."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {
        "application_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"vonage:{name}")),
        "private_key": make_private_key(name),
        "api_key": digest[:8],
        "signature_secret": digest[8:40],
    }


@functools.cache
def make_private_key(name: str) -> str:
    """An RSA key that follows from a name, as PKCS #8 PEM; takes about a second, once per process and name."""
    source = random.Random(f"vonage:{name}")  # noqa: S311 # the same on every run is what is wanted here
    p, q = _prime(source), _prime(source)
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    key = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    ).private_key()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _prime(source: random.Random) -> int:
    half = _KEY_BITS // 2
    while True:
        # The two highest bits make the product as long as asked for.
        candidate = source.getrandbits(half) | (3 << (half - 2)) | 1
        if (candidate - 1) % _EXPONENT and _is_prime(candidate, source):
            return candidate


def _is_prime(candidate: int, source: random.Random) -> bool:
    """Trial division, then Miller and Rabin's test; errs once in 4^8 at worst, and then the key does not load."""
    if any(candidate % prime == 0 for prime in _SMALL_PRIMES):
        return False
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(candidate, source.randrange(2, candidate - 1), odd, twos) for _ in range(8))


def _passes(candidate: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, candidate)
    if power in (1, candidate - 1):
        return True
    for _ in range(twos - 1):
        power = pow(power, 2, candidate)
        if power == candidate - 1:
            return True
    return False
