"""`Responses`: the OpenAI Responses API over HTTP."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from ...agents.router import AgentRouter
from ...context import Headers
from ...errors import NotFound
from ...http.responses import error_response
from ...schema.decode import decode_request
from ...schema.openapi import Operation
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..base import Protocol
from ..retrieve import Retrieve
from .compact import Compact
from .encoder import ResponsesEncoder
from .openapi import RESPONSES, STORED
from .stored import Cancel, Delete, InputItems, ListResponses
from .websocket import WebSocket

if TYPE_CHECKING:
    from ...runtime import AppConfig


class Responses(Protocol):
    """The OpenAI Responses API: frames name their events, responses have all fields."""

    name = "Responses"
    answers_calls = True
    paths = ("/responses", "/v1/responses")
    operation = RESPONSES

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return decode_request(body)

    def encoder(self, request: ResponsesRequest, response: Response) -> ResponsesEncoder:
        return ResponsesEncoder(response)

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        routes: list[BaseRoute] = []
        for path in (prefix + path for path in self.paths):
            one = path + "/{id}"
            routes += [
                WebSocketRoute(path, WebSocket(config, router)),
                Route(f"{path}/compact", Compact(config, router), methods=["POST"]),
                Route(f"{path}/input_tokens", not_offered, methods=["GET", "POST", "DELETE"]),
                Route(path, ListResponses(self, config, router), methods=["GET"]),
                Route(one, Retrieve(self, config, router), methods=["GET"]),
                Route(one, Delete(self, config, router), methods=["DELETE"]),
                Route(f"{one}/cancel", Cancel(self, config, router), methods=["POST"]),
                Route(f"{one}/input_items", InputItems(self, config, router), methods=["GET"]),
            ]
        return routes

    def operations(self) -> Mapping[str, Operation]:
        return {self.name: RESPONSES, **STORED}


async def not_offered(_: Request) -> HttpResponse:
    """Refuse to count tokens. Without this route, `input_tokens` would be taken for an id."""
    return error_response(NotFound("This server does not count input tokens.", "not_found"))
