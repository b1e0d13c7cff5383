"""`ChatCompletions`: the OpenAI Chat Completions API."""

from collections.abc import Mapping

from ...context import Headers
from ...schema.openapi import Schema
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..base import Protocol
from .encoder import ChatEncoder
from .openapi import CHAT_COMPLETIONS, schemas
from .request import ConvertedRequest, decode_chat


class ChatCompletions(Protocol):
    """The OpenAI Chat Completions API, for clients that do not support the Responses API."""

    name = "ChatCompletions"
    paths = ("/chat/completions", "/v1/chat/completions")
    has_history = True
    own_tools = "hidden"
    operation = CHAT_COMPLETIONS

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return decode_chat(body)

    def encoder(self, request: ResponsesRequest, response: Response) -> ChatEncoder:
        usage = isinstance(request, ConvertedRequest) and request.include_usage
        return ChatEncoder(response, usage=usage)

    def schemas(self) -> Mapping[str, Schema]:
        return schemas()
