"""`GET /openapi.json`: the app's operations."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ...http.responses import json_response
from ...runtime import AppConfig
from ...schema import codec
from ...schema.openapi import Operation, Schema
from .document import document


class Docs:
    """The document of an app, built on the first request.

    Args:
        config: The app.
        routes: The app's routes.
        operations: The protocols' operations, by the names of their routes.
        components: The schemas that these refer to, by name.
    """

    def __init__(
        self,
        config: AppConfig,
        routes: Sequence[BaseRoute],
        operations: Mapping[str, Operation],
        components: Mapping[str, Schema],
    ) -> None:
        self._build = partial(document, config, routes, operations, components)

    def summary(self, method: str, path: str) -> str | None:
        """Return what a route does; None if the document does not have it."""
        operation = self._operations.get(path.replace("/v1/", "/"), {}).get(method.lower(), {})
        summary: str | None = operation.get("summary")
        return summary

    @cached_property
    def _operations(self) -> dict[str, Any]:
        """The operations by their paths without `/v1`: the document has only one of the two."""
        return {path.replace("/v1/", "/"): each for path, each in self._document["paths"].items()}

    @cached_property
    def _document(self) -> dict[str, Any]:
        return self._build()

    async def document(self, request: Request) -> Response:
        """Return the OpenAPI document; its server is the path where the app is mounted."""
        servers = [{"url": request.scope.get("root_path") or "/"}]
        return json_response(codec.encode(self._document | {"servers": servers}))
