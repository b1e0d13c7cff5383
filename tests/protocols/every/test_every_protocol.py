"""The same agents through every protocol: what their clients see, against a table."""

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from agent_asgi import AgentApp
from agent_asgi.protocols import A2A, AGUI, MCP, AgentBricks, ChatCompletions, UIStream
from tests.protocols.every.agents import AGENTS, IMAGE, SECRET, WORDS, routers
from tests.protocols.every.readers import CLIENTS, Call, Seen, data_of
from tests.support.apps import sets_tracing_up
from tests.support.asking import ANN, BOB, TOKENS, bearer, fetch
from tests.support.servers import Server
from tests.support.traces import traces

ADD = Call("add", {"a": 1, "b": 2}, "3")
PICK = Call("pick", {"n": 1}, None)
BOTH = (Call("add", {"a": 1}, "one"), Call("add", {"a": 2}, "two"))
WHOLE = {
    "text": Seen("Hello there"),
    "long": Seen("".join(f"{number} " for number in range(WORDS))),
    "reasoning": Seen("Yes.", reasoning="Hm."),
    "own_tool": Seen("It is 3.", calls=(ADD,)),
    "clients_tool": Seen(calls=(PICK,)),
    "parallel_tools": Seen("Both.", calls=BOTH),
    "approval": Seen(approvals=("delete",)),
    "image_in": Seen("I see 1: True"),
    "citation": Seen("It is so.", citations=("https://a.example/",)),
    "failed_before": Seen(ending="failed"),
    "failed_amid": Seen("So ", ending="failed"),
    "incomplete": Seen("Only half", ending="incomplete"),
}
"""What a client sees that loses nothing."""
LOSES: dict[str, dict[str, Callable[[Seen], Seen]]] = {
    "Responses": {},
    "invocations": {},
    "Chat Completions": {
        # calls that the agent executes are its own affair
        "own_tool": lambda seen: seen._replace(calls=()),
        "parallel_tools": lambda seen: seen._replace(calls=()),
        "citation": lambda seen: seen._replace(citations=()),
        # a text says how to answer
        "approval": lambda seen: Seen("delete"),
    },
    "AI SDK": {},
    "AG-UI": {"citation": lambda seen: seen._replace(citations=())},
    "A2A": {
        # a task has results; how they came about is the agent's affair
        "reasoning": lambda seen: seen._replace(reasoning=""),
        "own_tool": lambda seen: seen._replace(calls=()),
        "parallel_tools": lambda seen: seen._replace(calls=()),
        "citation": lambda seen: seen._replace(citations=()),
        # the task waits for its client
        "clients_tool": lambda seen: Seen(),
        # it has no state for it; the metadata say so
        "incomplete": lambda seen: seen._replace(ending="completed"),
    },
    "Agent Bricks": {
        # the output's status says so
        "incomplete": lambda seen: seen._replace(ending="completed"),
    },
    "MCP": {
        # a tool has one result: a text
        "reasoning": lambda seen: seen._replace(reasoning=""),
        "own_tool": lambda seen: seen._replace(calls=()),
        "parallel_tools": lambda seen: seen._replace(calls=()),
        "citation": lambda seen: seen._replace(citations=()),
        "failed_amid": lambda seen: Seen(ending="failed"),
        "incomplete": lambda seen: seen._replace(ending="completed"),
    },
}
"""What each protocol does not have."""
DETACHED = ("A2A", "Agent Bricks")
"""The protocols whose runs go on if the client leaves."""


class Served(NamedTuple):
    """An app that is served, and what has happened in it."""

    app: AgentApp
    url: str
    begun: list[str]
    prefix: str


_servers: dict[str, tuple[Served, Server]] = {}


@pytest.fixture
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def served(protocol: str) -> Served:
    """Serve all agents for one protocol, so that every trace is of it."""
    if protocol not in _servers:
        prefix, begun = "every-" + protocol.replace(" ", "-").lower(), list[str]()
        spoken = [ChatCompletions(), UIStream(), AGUI(), A2A(), MCP(), AgentBricks()]
        app = AgentApp(*routers(prefix, begun), protocols=spoken, authenticate=TOKENS)
        server = Server(app)
        _servers[protocol] = Served(app, server.url, begun, prefix), server
    served = _servers[protocol][0]
    until = time.monotonic() + 60
    while sets_tracing_up(served.app) and time.monotonic() < until:
        time.sleep(0.01)
    return served


@pytest.fixture(scope="module", autouse=True)
def stopped() -> Iterator[None]:
    """Stop the servers."""
    yield
    for _, server in _servers.values():
        server.stop()
    _servers.clear()


def expected(protocol: str, agent: str) -> Seen:
    """Return what a client of a protocol sees of an agent's run."""
    change = LOSES[protocol].get(agent)
    return WHOLE[agent] if change is None else change(WHOLE[agent])


def seen_by(protocol: str, served: Served, agent: str) -> tuple[Seen, bytes]:
    """Run an agent; return what its client sees, and the whole answer."""
    image = IMAGE if agent == "image_in" else None
    if protocol == "MCP":
        return asyncio.run(_called(served, agent, image))
    client = CLIENTS[protocol]
    path = f"/{served.prefix}-{agent}{client.path}"
    body = client.body("there", image)
    answer = fetch(served.url, "POST", path, ANN, body, client.headers)
    if answer.status >= 400:
        return Seen(ending="failed"), answer.body
    return client.read(data_of(answer.body)), answer.body


async def _called(served: Served, agent: str, image: str | None) -> tuple[Seen, bytes]:
    import httpx2
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers=bearer(ANN)) as http:
        transport = streamable_http_client(f"{served.url}/mcp", http_client=http)
        async with Client(transport) as client:
            arguments = {"input": "there"}
            result: Any = await client.call_tool(f"{served.prefix}-{agent}", arguments)
    text = "".join(part.text for part in result.content if part.type == "text")
    raw = result.model_dump_json().encode()
    if agent == "approval":
        return Seen(approvals=("delete",) if "delete" in text else ()), raw
    if agent == "clients_tool":
        return Seen(calls=(PICK,) if "pick" in text else ()), raw
    failed = bool(result.is_error)
    return Seen("" if failed else text, "failed" if failed else "completed"), raw


CASES = [
    (protocol, agent)
    for protocol in LOSES
    for agent in WHOLE
    if (protocol, agent) != ("MCP", "image_in")  # a tool's argument is a text
]


@pytest.mark.parametrize(("protocol", "agent"), CASES, indirect=["protocol"])
def test_what_a_client_sees(protocol: str, served: Served, agent: str) -> None:
    count = served.begun.count(agent)
    seen, body = seen_by(protocol, served, agent)
    if (protocol, agent) == ("Chat Completions", "approval"):
        seen = seen._replace(text="delete" if "delete" in seen.text else seen.text)
    assert seen == expected(protocol, agent)
    assert SECRET not in body.decode()
    assert served.begun.count(agent) == count + 1, "one run"
    (trace,) = traces(agent=f"{served.prefix}-{agent}")
    is_theirs(served, trace)


def is_theirs(served: Served, trace: Any) -> None:
    """Check that a stored response is found by its owner alone."""
    id_ = trace.info.tags["agent_asgi.response_id"]
    path = f"/responses/{id_}"
    assert fetch(served.url, "GET", path, BOB).status == 404
    assert fetch(served.url, "GET", path).status == 401
    assert fetch(served.url, "DELETE", path, BOB).status == 404


@pytest.mark.parametrize("protocol", CLIENTS, indirect=True)  # MCP: tests/protocols/mcp
def test_a_client_that_leaves(protocol: str, served: Served) -> None:
    client = CLIENTS[protocol]
    count = served.begun.count("left")
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    headers = {"content-type": "application/json", **bearer(ANN), **client.headers}
    body = json.dumps(client.body("there", None))
    connection.request("POST", f"/{served.prefix}-left{client.path}", body, headers)
    answer = connection.getresponse()
    while b"So " not in answer.readline():
        pass
    with contextlib.suppress(OSError):
        answer.close()
    connection.close()
    status = "completed" if protocol in DETACHED else "cancelled"
    until = time.monotonic() + 30
    while not (found := traces(agent=f"{served.prefix}-left", status=status)):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert len(found) == 1
    assert served.begun.count("left") == count + 1


def test_every_agent_is_in_the_table() -> None:
    assert {*WHOLE, "left"} == AGENTS.keys()
    assert LOSES.keys() == {*CLIENTS, "MCP"}
