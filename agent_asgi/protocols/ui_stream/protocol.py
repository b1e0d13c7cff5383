"""`UIStream`: the UI message stream of Vercel's AI SDK."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...config import require
from ...context import Headers
from ...errors import AgentError
from ...schema import codec
from ...schema.openapi import Operation, Schema
from ...schema.requests import FunctionTool, ResponsesRequest, each_tool
from ...schema.responses import Response
from ..base import Protocol, check_path
from .encoder import UIEncoder
from .endpoints import NothingToResume, ResumeChat, StopChat
from .openapi import OPERATIONS, UI_STREAM, schemas
from .request import UIRequest, continued_by, decode_chat

if TYPE_CHECKING:
    from ...runtime import AppConfig


class UIStream(Protocol):
    """The UI message stream of Vercel's AI SDK, for front ends with `useChat`.

    Args:
        resume: Whether a run continues when its client leaves. A client that comes back follows it,
            and `POST {path}/{id}/stop` stops it. Default False: leaving cancels the run.
        path: The path of the chat. Default `/api/chat`, as in the AI SDK.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: The path does not begin with a slash, or ends with one.
    """

    name = "UIStream"
    headers = ((b"x-vercel-ai-ui-message-stream", b"v1"),)
    operation = UI_STREAM

    def __init__(self, *, resume: bool = False, path: str = "/api/chat") -> None:
        require("UIStream", {"resume": (resume, bool)})
        check_path("UIStream", path)
        self.paths = (path,)
        self._resume = resume

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        return decode_chat(body, resume=self._resume)

    def sends_history(self, request: ResponsesRequest) -> bool:
        return isinstance(request, UIRequest) and request.sends_history

    def encoder(self, request: ResponsesRequest, response: Response) -> UIEncoder:
        tools = [tool for _, tool in each_tool(request.tools or ())]
        offered = {
            str(tool.name if isinstance(tool, FunctionTool) else tool.get("name")) for tool in tools
        }
        return UIEncoder(response, offered, continued_by(request))

    def error(self, error: AgentError, body: bytes) -> bytes:
        payload = error.payload()
        param = payload["param"] or ""
        name = "id" if param == "conversation" else "messages" if param.startswith("input") else ""
        if name:  # the body's own name of what is a field of a Responses body
            payload["message"] = name + payload["message"].removeprefix(param)
            payload["param"] = name
        return codec.encode({"error": payload})

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        chat = f"{prefix}{self.paths[0]}/{{id}}"
        if not self._resume:
            nothing = NothingToResume(self, config, router)
            return [Route(f"{chat}/stream", nothing, methods=["GET"])]
        return [
            Route(f"{chat}/stream", ResumeChat(self, config, router), methods=["GET"]),
            Route(f"{chat}/stop", StopChat(self, config, router), methods=["POST"]),
        ]

    def operations(self) -> Mapping[str, Operation]:
        return OPERATIONS

    def schemas(self) -> Mapping[str, Schema]:
        return schemas()
