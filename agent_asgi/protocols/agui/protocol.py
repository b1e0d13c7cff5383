"""`AGUI`: AG-UI 1.0, for front ends such as CopilotKit."""

import re
from collections.abc import Mapping
from typing import cast

from ...context import Headers
from ...errors import AgentError
from ...schema.openapi import Schema
from ...schema.requests import FunctionTool, ResponsesRequest
from ...schema.responses import Response
from ..base import Protocol, check_path
from .encoder import AGUIEncoder
from .openapi import RUN_AGENT, schemas
from .request import AGUIRequest, decode_input

_ITEM = re.compile(r"input\[\d+\](\.approval_request_id)?[\w.\[\]]*")


class AGUI(Protocol):
    """AG-UI, for front ends such as CopilotKit. Every answer is a stream.

    Args:
        path: The path of its requests, relative to the agent's. Default "/agui".

    Raises:
        TypeError: `path` is not a str.
        ValueError: It is no path.
    """

    name = "AGUI"
    has_history = True
    operation = RUN_AGENT

    def __init__(self, path: str = "/agui") -> None:
        check_path("AGUI", path)
        self.paths = (path,)

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return decode_input(body)

    def encoder(self, request: ResponsesRequest, response: Response) -> AGUIEncoder:
        info = cast(AGUIRequest, request).info
        tools = request.tools or ()
        return AGUIEncoder(
            info, response, {tool.name for tool in tools if isinstance(tool, FunctionTool)}
        )

    def error(self, error: AgentError, body: bytes) -> bytes:
        return super().error(_in_body(error), body)

    def schemas(self) -> Mapping[str, Schema]:
        return schemas()


def _in_body(error: AgentError) -> AgentError:
    """Return an error that names the field of the run input instead of the item made of it."""
    found = _ITEM.fullmatch(error.param or "")
    if found is None:
        return error
    field = "resume" if found[1] else "messages"
    message = error.message.replace(found[0], field)
    return AgentError(message, error.status, error.code, type=error.type, param=field)
