"""`GET /docs`: Swagger UI, which shows the OpenAPI document and sends requests."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ...errors import NotFound
from ...http.responses import error_response, page_headers

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's content security policy: its own files only, nothing inline."""
PACKAGE = "flask_swagger_ui"
"""The package that has Swagger UI in its folder `dist`. Its files are read; it is not imported."""
OWN = {"viewer.css": "text/css", "viewer.js": "text/javascript"}
SWAGGER_UI = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
PATHS = frozenset({"/docs", *(f"/docs/{name}" for name in (*OWN, *SWAGGER_UI))})
"""The paths of the page and its files, which contain nothing of the app."""


async def viewer(_: Request) -> Response:
    """Return the page."""
    return _file("index.html")


async def viewer_file(request: Request) -> Response:
    """Return a script or a style of the page."""
    return _file(request.path_params["file"])


def _file(name: str) -> Response:
    files = _files()
    if not files:
        message = (
            "The API viewer needs the extra `agent-asgi[docs]`. "
            "The OpenAPI document is at /openapi.json without it."
        )
        return error_response(NotFound(message, "not_found"))
    if name not in files:
        return error_response(NotFound(f"There is no file {name!r}.", "not_found"))
    content, media_type = files[name]
    headers = page_headers(POLICY) | {"cache-control": "max-age=3600"}
    return Response(content, media_type=media_type, headers=headers)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the contents and types of the page's files, by name; none without Swagger UI."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        return {}
    here, dist = Path(__file__).parent, Path(package.origin).parent / "dist"
    own = {"index.html": "text/html", **OWN}
    return {name: ((here / name).read_bytes(), kind) for name, kind in own.items()} | {
        name: ((dist / name).read_bytes(), kind) for name, kind in SWAGGER_UI.items()
    }
