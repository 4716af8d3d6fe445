"""The API's description, and pages that show it: OpenAPI and Swagger UI, from this artefact and no network.

`tools.openapi` writes ``openapi.json`` beside this module. Swagger UI's files are those of the package
``drf_spectacular_sidecar``, of which nothing else ships; the two small files around them are ours.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dialplane.domain.errors import RouteNotFound
from dialplane.runtime.http import HttpRequest, HttpResponse

OPENAPI = Path(__file__).with_name("openapi.json")
_SWAGGER_UI = ("static", "drf_spectacular_sidecar", "swagger-ui-dist")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dialplane API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# A key that is typed in stays in the page's memory: nothing is stored, nothing is sent anywhere but to this API.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""
_CONTENT_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
# Swagger UI draws its icons from data URLs; everything else is from here alone, and nothing is inline.
_PAGE_HEADERS = {
    **_HEADERS,
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
}


def openapi(public_base_url: str) -> HttpResponse:
    """The description, with the address that this deployment is called by."""
    headers = {**_HEADERS, "cache-control": "no-cache", "access-control-allow-origin": "*"}
    return HttpResponse(200, _description(public_base_url), headers=headers)


def page() -> HttpResponse:
    """Swagger UI's page."""
    return HttpResponse(200, _PAGE, "text/html; charset=utf-8", _PAGE_HEADERS)


def file(name: str, request: HttpRequest) -> HttpResponse:
    """One of the files that the page asks for. Raises RouteNotFound."""
    if name not in (*_FILES, "start.js"):
        raise RouteNotFound(f"There is no {request.path}. GET /docs is the page.")
    text, tag = _file(name)
    headers = {**_HEADERS, "cache-control": "public, max-age=86400", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return HttpResponse(304, content_type=_CONTENT_TYPES[Path(name).suffix], headers=headers)
    return HttpResponse(200, text, _CONTENT_TYPES[Path(name).suffix], headers)


@cache
def _description(public_base_url: str) -> str:
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))
    return json.dumps(document | {"servers": [{"url": public_base_url}]}, separators=(",", ":"))


@cache
def _file(name: str) -> tuple[str, str]:
    """The text and its entity tag."""
    text = _START if name == "start.js" else _swagger_ui().joinpath(name).read_text(encoding="utf-8")
    return text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _swagger_ui() -> Path:
    # Found, not imported: the package belongs to a framework that does not ship.
    spec = find_spec("drf_spectacular_sidecar")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], *_SWAGGER_UI)
