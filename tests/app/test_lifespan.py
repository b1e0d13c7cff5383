"""The lifespan of an app: entered once, failing, on several loops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient
from tests.support.upstream import tutor


def test_the_lifespan_is_entered_once_and_left_after_the_runs() -> None:
    log = []

    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    made = AgentRouter()

    @made.invoke
    async def answer(request: ResponsesRequest) -> str:
        await asyncio.sleep(0.1)
        log.append("run")
        return ""

    app = AgentApp(made, lifespan=lifespan)

    async def main() -> None:
        client = AgentClient(app)
        runs = [asyncio.create_task(client.post("/responses", {"input": "x"})) for _ in range(3)]
        await asyncio.sleep(0)
        while log != ["enter"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await asyncio.gather(*runs)
        await app.drain()

    asyncio.run(main())
    assert log == ["enter", "run", "run", "run", "leave"]


def test_a_lifespan_that_yields_no_mapping_fails_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[Any]:
        yield "a pool"

    answer = asyncio.run(AgentClient(AgentApp(tutor(), lifespan=lifespan)).get("/ready"))
    assert answer.status == 503
    assert "lifespan must yield a mapping, not 'a pool'." in caplog.text


def test_a_start_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    app = AgentApp(tutor(), lifespan=lifespan)

    async def main() -> None:
        client = AgentClient(app)
        answer = await client.post("/responses", {"input": "x"})
        assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable")
        assert b"database" not in answer.body
        assert (await client.get("/health")).status == 200

    asyncio.run(main())
    assert "no database" in caplog.text
    with pytest.raises(AgentError, match="could not start"), TestClient(app):
        pass


def test_one_app_on_several_loops() -> None:
    app = AgentApp(tutor(), timeouts=Timeouts(tracing=5))
    for _ in range(2):
        assert asyncio.run(AgentClient(app).post("/responses", {"input": "x"})).status == 200
    client = TestClient(app)
    assert client.post("/responses", json={"input": "x"}).status_code == 200
    with TestClient(app) as client:
        assert client.post("/responses", json={"input": "x"}).status_code == 200


def test_an_app_starts_again_in_the_same_loop() -> None:
    entered: list[AgentApp] = []

    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[None]:
        entered.append(app)
        yield

    app = AgentApp(tutor(), lifespan=lifespan)

    async def main() -> None:
        client = AgentClient(app)
        for _ in range(2):
            async with app.lifespan():
                assert (await client.post("/responses", {"input": "x"})).status == 200
            assert (await client.post("/responses", {"input": "x"})).status == 503

    asyncio.run(main())
    assert entered == [app, app]


@pytest.mark.parametrize("kind", [Starlette, Router])
def test_the_lifespan_of_a_fallback_is_entered(kind: Any) -> None:
    seen: list[Any] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        seen.append(app)
        yield {"text": "A page."}
        seen.append("left")

    routes = [Route("/", lambda request: PlainTextResponse(request.state.text))]
    pages = kind(routes=routes, lifespan=lifespan)

    async def main() -> bytes:
        app = AgentApp(tutor(), fallback=pages)
        async with app.lifespan():
            return (await AgentClient(app).get("/")).body

    assert asyncio.run(main()) == b"A page."
    assert seen == [pages, "left"]
