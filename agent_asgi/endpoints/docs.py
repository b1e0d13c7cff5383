"""`GET /openapi.json` and `GET /docs`: what the app offers, for machines and for people."""

import importlib.metadata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from .. import codec
from ..openapi.document import document
from ..openapi.page import POLICY, page
from ..service import Service
from .answers import json_response, page_headers


class Docs:
    """The document of an app, made when it is first asked for.

    Args:
        service: What all endpoints share.
        routes: The app's routes.
    """

    def __init__(self, service: Service, routes: Sequence[BaseRoute]) -> None:
        self._service = service
        self._routes = routes

    @cached_property
    def _document(self) -> dict[str, Any]:
        service = self._service
        return document(
            self._routes,
            service.routers,
            service.limits,
            _version(),
            authenticated=service.authenticated,
        )

    @cached_property
    def _page(self) -> str:
        return page(self._document)

    async def document(self, request: Request) -> Response:
        """Give the OpenAPI document; its server is where the app is mounted."""
        servers = [{"url": request.scope.get("root_path") or "/"}]
        return json_response(codec.encode(self._document | {"servers": servers}))

    async def page(self, _: Request) -> Response:
        """Give the page that shows the document."""
        return HTMLResponse(self._page, headers=page_headers(POLICY))


def _version() -> str:
    try:
        return importlib.metadata.version("agent-asgi")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # a copy of the source, not an installed package
