"""The playground: one page to talk to the agents, with its scripts and its style."""

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ...errors import AgentError, NotFound
from ...http.responses import error_response, json_response, page_headers
from ...runtime import AppConfig
from ...schema import codec

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's content security policy: its own files only, nothing inline."""


class Playground:
    """The page, its files and its settings.

    Args:
        config: The app.
    """

    def __init__(self, config: AppConfig) -> None:
        self._config = config

    async def playground(self, _: Request) -> Response:
        """Return the page."""
        return _file("index.html")

    async def playground_file(self, request: Request) -> Response:
        """Return a script or a style of the page."""
        return _file(request.path_params["file"])

    async def playground_settings(self, _: Request) -> Response:
        """Return for each agent the address of its traces; null if it is not known."""
        try:
            tracer = (await self._config.running()).tracer
        except AgentError as error:
            return error_response(error)
        pages = {each.name: tracer.page(each.experiment) for each in self._config.routers}
        return json_response(codec.encode({"traces": pages}))


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    paths = [path for path in Path(__file__).parent.iterdir() if path.suffix in TYPES]
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in paths}


def _file(name: str) -> Response:
    if name not in _files():
        return error_response(NotFound(f"There is no file {name!r}.", "not_found"))
    content, media_type = _files()[name]
    headers = page_headers(POLICY) | {"cache-control": "no-cache"}
    return Response(content, media_type=media_type, headers=headers)
