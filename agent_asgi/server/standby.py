"""`Standby`: an app under development; if it cannot start, its server still runs and says why."""

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Unavailable
from ..http.responses import error_response
from .options import MESSAGE_PREFIX

REFRESH_SECONDS = 1
"""How often a browser reloads the page, in seconds."""


class Broken:
    """Replaces an app that cannot be imported: its start fails.

    Args:
        fault: Why it cannot be imported.
    """

    def __init__(self, fault: str) -> None:
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": self._fault})


class Standby:
    """Answers requests with the reason why an app could not start; otherwise it passes them on.

    Args:
        app: The app.

    Attributes:
        fault: Why the app could not start; None if it could.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.fault: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, lambda message: send(self._started(message)))
        elif self.fault is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._explain(Headers(scope=scope))(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013, "reason": "The app is broken."})

    def _started(self, message: Message) -> Message:
        if message["type"] != "lifespan.startup.failed":
            return message
        self.fault = message.get("message") or "The app could not start. The log has the reason."
        return {"type": "lifespan.startup.complete"}

    def _explain(self, headers: Headers) -> Any:
        text = f"{self.fault}\n\nThe server waits for an edit.".removeprefix(MESSAGE_PREFIX)
        if "text/html" in headers.get("accept", ""):
            refresh = {"refresh": str(REFRESH_SECONDS), "cache-control": "no-store"}
            return PlainTextResponse(text, 503, refresh)
        return error_response(Unavailable(text))
