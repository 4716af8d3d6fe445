"""TLS contexts for everything that calls out, made once: reading trusted roots takes longer than a handshake.

Certificates and host names are always verified; the two contexts differ only in whom they believe.
"""

from __future__ import annotations

import os
import ssl
from functools import cache

# Not with pathlib, which nothing else loads here and which takes longer to load than the roots take to read.
_AMAZON_ROOTS = os.path.join(os.path.dirname(__file__), "aws", "amazon_roots.pem")


@cache
def default_context(cafile: str | None = None) -> ssl.SSLContext:
    """Believes the system's roots, or those in ``cafile``."""
    return ssl.create_default_context(cafile=cafile)


@cache
def amazon_context() -> ssl.SSLContext:
    """Believes the five roots of AWS's endpoints only: about 20 ms less than reading all of the system's."""
    return ssl.create_default_context(cafile=_AMAZON_ROOTS)
