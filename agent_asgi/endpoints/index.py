"""`GET /` of an app without a playground: what it serves."""

from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..http.responses import json_response, page_headers
from ..schema import codec
from .models import Models, root_of

PLAYGROUND = "Start it with `agent-asgi dev`, or set AgentApp(playground=True)."
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Index:
    """The agents and where they are reached, as JSON or, for browsers, as a page.

    Args:
        models: What describes the agents.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    async def index(self, request: Request) -> Response:
        """Return what is served."""
        root = root_of(request)
        body = {
            "agents": self._models.described(root),
            "docs": f"{root}/docs",
            "openapi": f"{root}/openapi.json",
            "playground": PLAYGROUND,
        }
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_page(body), headers=page_headers(POLICY))
        return json_response(codec.encode(body))


def _page(body: Mapping[str, Any]) -> str:
    agents = "".join(map(_section, body["agents"]))
    title = escape(", ".join(agent["name"] for agent in body["agents"]))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><h1>{title}</h1>{agents}"
        f'<p><a href="{escape(body["docs"])}">API documentation</a></p>'
        f"<p>No playground is served here. {escape(body['playground'])}</p></html>"
    )


def _section(agent: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<li>{escape(each['name'])}: <code>{escape(each['url'])}</code></li>"
        for each in agent["protocols"]
    )
    description = escape(agent.get("description", ""))
    return f"<h2>{escape(agent['name'])}</h2><p>{description}</p><ul>{rows}</ul>"
