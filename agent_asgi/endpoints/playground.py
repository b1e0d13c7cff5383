"""The playground: one page to talk to the agents, and what it consists of."""

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from .. import codec
from ..errors import AgentError, NotFound
from ..service import Service
from .answers import error_response, json_response, page_headers

FOLDER = Path(__file__).parents[1] / "playground"
PAGE = "index.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's content-security-policy: its own files, and nothing that stands in the page."""


class Playground:
    """The page, its files, and what it needs to know.

    Args:
        service: What all endpoints share.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def playground(self, _: Request) -> Response:
        """Give the page."""
        return _file(PAGE)

    async def playground_file(self, request: Request) -> Response:
        """Give a script of the page, or its style."""
        name = request.path_params["file"]
        if name not in _files():
            return error_response(NotFound(f"There is no file {name!r}.", "not_found"))
        return _file(name)

    async def playground_settings(self, _: Request) -> Response:
        """Tell for each agent where its traces are shown; null where nobody knows a page."""
        try:
            tracer = (await self._service.live()).tracer
        except AgentError as error:
            return error_response(error)
        agents = self._service.routers
        pages = {each.name: tracer.page(each.experiment) for each in agents}
        return json_response(codec.encode({"traces": pages}))


@cache
def _files() -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in FOLDER.iterdir() if each.suffix in TYPES}


def _file(name: str) -> Response:
    kind = TYPES[Path(name).suffix]
    headers = page_headers(POLICY) | {"cache-control": "no-cache"}
    return Response(_files()[name], media_type=kind, headers=headers)
