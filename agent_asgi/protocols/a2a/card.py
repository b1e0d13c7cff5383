"""The agent card: what an agent can do, and where it is reached."""

import hashlib
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...agents.router import AgentRouter
from ...agents.skill import Skill
from ...http.responses import json_response
from ...runtime import AppConfig
from ...schema import codec
from .endpoints import VERSION
from .schema import Json

CARD_PATH = "/.well-known/agent-card.json"
SECONDS = 300
"""How long a card may be cached whose URL is configured."""
INPUT_MODES = ("text/plain", "application/json", "application/pdf", "image/png", "image/jpeg")
OUTPUT_MODES = ("text/plain", "application/json")


class Card:
    """Serves an agent's card.

    Args:
        config: The app's settings.
        router: The agent.
        url: The app's public URL; None if each request says it.
        path: The path of the protocol, with the prefix of the agent's.
        version: The agent's version.
        push: Whether there are push notifications.
    """

    def __init__(
        self,
        config: AppConfig,
        router: AgentRouter,
        url: str | None,
        path: str,
        version: str,
        *,
        push: bool,
    ) -> None:
        self.router = router
        self._config = config
        self._url = url
        self._path = quote(path)
        self._version = version
        self._push = push

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the agent's card."""
        await self._response(Request(scope))(scope, receive, send)

    def _response(self, request: Request) -> Response:
        url = self._url or _url_of(request)
        body = codec.encode(self._card(url.rstrip("/") + self._path))
        if self._url is None:
            return json_response(body, headers={"cache-control": "no-store", "vary": "Host"})
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"cache-control": f"public, max-age={SECONDS}", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return json_response(body, headers=headers)

    def _card(self, url: str) -> Json:
        router = self.router
        interfaces = [
            {"url": url, "protocolBinding": binding, "protocolVersion": VERSION}
            for binding in ("JSONRPC", "HTTP+JSON")
        ]
        description = router.description or "An agent."
        examples = list(router.examples) or None
        default = Skill(router.name, router.name, description, ["agent"], examples)
        skills = router.skills or [default]
        card = {
            "name": router.name,
            "description": description,
            "version": self._version,
            "supportedInterfaces": interfaces,
            "capabilities": {
                "streaming": True,
                "pushNotifications": self._push,
                "extendedAgentCard": False,
            },
            "defaultInputModes": INPUT_MODES,
            "defaultOutputModes": OUTPUT_MODES,
            "skills": skills,
        }
        return card | (_SECURITY if self._config.authenticated else {})


def _url_of(request: Request) -> str:
    """Return the app's URL as the request says it; Starlette's is without the mount's path."""
    host = request.headers.get("host") or "localhost"
    return f"{request.scope['scheme']}://{host}{request.scope.get('root_path', '')}"


_SECURITY = {
    "securitySchemes": {"token": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
    "securityRequirements": [{"schemes": {"token": {"list": []}}}],
}
