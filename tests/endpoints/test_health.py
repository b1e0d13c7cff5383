"""What the server reports about itself: agents, health, readiness, ping."""

import asyncio
import time
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import A2A, MCP, AgentBricks, ChatCompletions, UIStream
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import started


def router(name: str = "tutor", seconds: float = 0, **options: Any) -> AgentRouter:
    """Make an agent that answers after some seconds."""
    made = AgentRouter(name, **options)

    @made.invoke
    async def answer(request: Any) -> str:
        await asyncio.sleep(seconds)
        return "fine"

    return made


def get(app: AgentApp, *paths: str) -> list[Answer]:
    """Start an app and GET several paths."""

    async def main() -> list[Answer]:
        async with started(app):
            return [await AgentClient(app).get(path) for path in paths]

    return asyncio.run(main())


def test_one_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_APP_NAME", raising=False)
    app = AgentApp(router(description="Teaches."))
    models, same, info, health = get(app, "/v1/models", "/models", "/agent/info", "/health")
    assert models.json() == same.json()
    (model,) = models.json()["data"]
    assert (model["id"], model["object"], model["description"]) == ("tutor", "model", "Teaches.")
    assert info.json()["mlflow_version"].count(".") == 2
    assert {key: info.json()[key] for key in ("name", "use_case", "agent_api")} == {
        "name": "tutor",
        "use_case": "agent",
        "agent_api": "responses",
    }
    assert (health.status, health.json()) == (200, {"status": "healthy"})
    assert app.routers[0].name == "tutor"


def test_several_agents() -> None:
    app = AgentApp(router("one"), router("two"), router("raw", protocol="json"))
    models, info = get(app, "/v1/models", "/agent/info")
    assert [each["id"] for each in models.json()["data"]] == ["one", "two"]
    assert [each["name"] for each in info.json()["agents"]] == ["one", "two", "raw"]

    async def main() -> list[int]:
        async with started(app):
            client = AgentClient(app)
            return [
                (await client.post("/one/v1/responses", {"input": "x", "model": "any"})).status,
                (await client.post("/two/invocations", {"input": "x"})).status,
                (await client.post("/raw/invocations", {"any": "thing"})).status,
                (await client.post("/responses", {"input": "x", "model": "two"})).status,
                (await client.post("/invocations", {"input": "x", "model": "one"})).status,
                (await client.post("/raw/responses", {"input": "x"})).status,
                (await client.post("/responses", {"input": "x", "model": "raw"})).status,
            ]

    assert asyncio.run(main()) == [200, 200, 200, 200, 200, 404, 404]


class Sum(msgspec.Struct):
    a: int
    b: int


def adder() -> AgentRouter:
    router = AgentRouter("adder", protocol="json")

    @router.invoke
    def add(numbers: Sum) -> dict[str, int]:
        return {"sum": numbers.a + numbers.b}

    return router


def test_how_agents_are_reached() -> None:
    protocols = [ChatCompletions(), UIStream(path="/talk"), A2A(), MCP(), AgentBricks()]
    alone = AgentApp(router("one"), protocols=protocols)
    (info,) = get(alone, "/agent/info")
    paths = {each["name"]: each["url"] for each in info.json()["protocols"]}
    assert paths == {
        "Responses": "/responses",
        "Invocations": "/invocations",
        "ChatCompletions": "/chat/completions",
        "UIStream": "/talk",
        "A2A": "/a2a",
        "MCP": "/mcp",
        "AgentBricks": "/api/invocations",
    }
    mounted = Starlette(routes=[Mount("/agents", AgentApp(router("one"), adder()))])
    info = asyncio.run(AgentClient(mounted).get("/agents/agent/info"))
    one, added = info.json()["agents"]
    assert "input_schema" not in one
    assert [each["url"] for each in one["protocols"]] == [
        "/agents/one/responses",
        "/agents/one/invocations",
        "/agents/one/chat/completions",
    ]
    assert [each["url"] for each in added["protocols"]] == ["/agents/adder/invocations"]
    assert added["input_schema"]["required"] == ["a", "b"]
    assert added["output_schema"]["additionalProperties"] == {"type": "integer"}


def test_ready_starts_what_is_not_started() -> None:
    app = AgentApp(router())

    async def main() -> list[int]:
        client = AgentClient(app)
        seen = [(await client.get("/ready")).status]
        until = time.monotonic() + 30
        while seen[-1] != 200 and time.monotonic() < until:
            seen.append((await client.get("/ready")).status)
            await asyncio.sleep(0.01)
        await app.drain()
        last = await client.get("/ready")
        assert last.json() == {"status": "draining"}
        refused = await client.post("/responses", {"input": "x"})
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        return [*seen, last.status]

    seen = asyncio.run(main())
    assert (seen[0], seen[-2], seen[-1]) == (503, 200, 503)


def test_ping_tells_of_runs_in_flight_and_drain_waits() -> None:
    app = AgentApp(router(seconds=0.3))

    async def main() -> None:
        client = AgentClient(app)
        async with started(app):
            assert (await client.get("/ping")).json()["status"] == "Healthy"
            running = asyncio.create_task(client.post("/responses", {"input": "x"}))
            await asyncio.sleep(0.1)
            ping = (await client.get("/ping")).json()
            assert ping["status"] == "HealthyBusy"
            assert abs(ping["time_of_last_update"] - time.time()) < 5
            await app.drain()
            assert (await running).status == 200
            assert (await client.get("/ping")).json()["status"] == "Healthy"

    asyncio.run(main())
