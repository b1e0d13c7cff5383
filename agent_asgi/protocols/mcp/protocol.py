"""`MCP`: the Model Context Protocol; each agent is a tool."""

import importlib.util
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route

from ...errors import MissingExtra
from ...http.responses import json_response
from ...schema import codec
from ...schema.openapi import Operation, Schema
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..base import Protocol, check_path
from .openapi import METADATA, OPERATION, schemas
from .progress import ProgressEncoder

if TYPE_CHECKING:
    from ...runtime import AppConfig
    from .endpoint import Endpoint

WELL_KNOWN = "/.well-known/oauth-protected-resource"


class MCP(Protocol):
    """The Model Context Protocol (MCP) over HTTP: each agent is a tool.

    One path at the app's root has the tools of all agents. It needs the extra `mcp`.

    Args:
        path: The path. Default "/mcp".
        resource: The public URL of the path, with which clients find out where to get a token
            (RFC 9728). Default None: they do not.
        authorization_servers: The URLs of the servers that issue tokens. Default none.
        scopes: The scopes that a token may have. Default none.

    Raises:
        ImportError: The extra is not installed.
        TypeError: `path` is not a str.
        ValueError: `path` is no path, only one of `resource` and `authorization_servers` is
            given, or `resource` is not the URL of the path.
    """

    name = "MCP"
    paths = ()

    def __init__(
        self,
        path: str = "/mcp",
        *,
        resource: str | None = None,
        authorization_servers: Sequence[str] = (),
        scopes: Sequence[str] = (),
    ) -> None:
        if importlib.util.find_spec("mcp") is None:
            raise MissingExtra("MCP", "mcp")
        check_path("MCP", path)
        if (resource is None) is not (not authorization_servers):
            raise ValueError("MCP: `resource` and `authorization_servers` belong together.")
        self.app_paths = (path,)
        self._metadata = b""
        self._endpoints: dict[Any, Endpoint] = {}
        if resource is not None:
            self._describe(path, resource, authorization_servers, scopes)

    def _describe(
        self, path: str, resource: str, servers: Sequence[str], scopes: Sequence[str]
    ) -> None:
        url = urlsplit(resource)
        if url.scheme not in ("http", "https") or not url.path.endswith(path):
            raise ValueError(f"MCP: `resource` must be the URL of {path!r}, not {resource!r}.")
        body = {"resource": resource, "authorization_servers": servers, "scopes_supported": scopes}
        self._metadata = codec.encode({name: value for name, value in body.items() if value})
        self.public = (WELL_KNOWN + path,)
        document = f"{url.scheme}://{url.netloc}{WELL_KNOWN}{url.path}"
        self.challenges = {path: f'resource_metadata="{document}"'}

    def app_routes(self, config: "AppConfig") -> Sequence[BaseRoute]:
        from .endpoint import Endpoint  # imports the SDK

        (path,) = self.app_paths
        endpoint = self._endpoints[config.app] = Endpoint(config, self)
        routes = [Route(path, endpoint, methods=["POST"], name=self.name)]
        if self._metadata:
            routes += [
                Route(each, self._document, methods=["GET"], name="MCPMetadata")
                for each in self.public
            ]
        return routes

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        async with self._endpoints[app].running():
            yield

    def encoder(self, request: ResponsesRequest, response: Response) -> ProgressEncoder:
        return ProgressEncoder()

    def operations(self) -> Mapping[str, Operation]:
        return {self.name: OPERATION, "MCPMetadata": METADATA}

    def schemas(self) -> Mapping[str, Schema]:
        return schemas()

    async def _document(self, _: Any) -> HttpResponse:
        return json_response(self._metadata)
