"""Ask an agent of a framework for something that needs approval, and answer it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai

from agent_asgi import AgentApp, AgentRouter
from tests.support.calling import QUICK, Json, connect, ended, plain, streamed
from tests.support.servers import serving
from tests.support.stream_rules import check_stream


@contextmanager
def of_store(store_url: str, router: AgentRouter) -> Iterator[openai.OpenAI]:
    """Run a server for the length of a block; yield a client of it."""
    app = AgentApp(router, store=store_url, timeouts=QUICK)
    with serving(app) as server, connect(server.url, timeout=30) as client:
        yield client


def respond(client: openai.OpenAI, way: str, **body: Any) -> Json:
    """Create a response as JSON, as a stream or in the background; return it when it has ended."""
    if way == "stream":
        return check_stream(streamed(client, **body))
    if way == "background":
        return plain(ended(client, client.responses.create(background=True, **body).id))
    return plain(client.responses.create(**body))


def requests_of(response: Json) -> list[Json]:
    """Return the approval requests of a response, which ends with them."""
    return [item for item in response["output"] if item["type"] == "mcp_approval_request"]


def answer(request: Json, approve: bool, **fields: Any) -> Json:
    """Return the answer to an approval request."""
    kind = "mcp_approval_response"
    return {"type": kind, "approval_request_id": request["id"], "approve": approve, **fields}


def kinds(response: Json) -> list[str]:
    """Return the types of a response's items."""
    return [item["type"] for item in response["output"]]


def called(response: Json) -> list[tuple[str, str, str]]:
    """Return the tools that a response called: name, arguments, output."""
    calls = [item for item in response["output"] if item["type"] == "mcp_call"]
    return [(call["name"], call["arguments"], call["output"]) for call in calls]
