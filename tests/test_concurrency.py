"""Many at once: sync handlers beside a quick loop, and apps that know nothing of each other."""

import asyncio
import contextlib
import http.client
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import traces
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, get_request_headers
from agent_asgi.testing import AgentClient

pytestmark = pytest.mark.alone


def test_sync_handlers_leave_the_loop_free(serve: Callable[[Any], str]) -> None:
    router = AgentRouter("sleepy")

    @router.invoke
    def sleepy(request: ResponsesRequest) -> str:
        time.sleep(1)
        return "done"

    port = int(serve(AgentApp(router)).rsplit(":", 1)[1])

    def ask(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/responses", b'{"input": "x"}')
        status = connection.getresponse().status
        connection.close()
        return status

    ask(0)
    begun = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, number) for number in range(20)]
        slowest = max(healths(port))
        assert [each.result() for each in answers] == [200] * 20
    assert time.monotonic() - begun < 3
    assert slowest < 0.05


def healths(port: int) -> list[float]:
    """Call `/health` 200 times over some 0.9 s; give how long each took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    took = []
    for _ in range(200):
        begun = time.monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()
        took.append(time.monotonic() - begun)
        time.sleep(0.003)
    connection.close()
    return took


def agent(app: str, name: str, prefix: str) -> AgentRouter:
    """Make an agent that says who it is, in an experiment of its own."""
    router = AgentRouter(name, experiment=f"{prefix}-{app}-{name}")

    @router.invoke
    async def answer(request: ResponsesRequest, context: Context) -> str:
        await asyncio.sleep(0.001)
        seen = get_request_headers()["x-caller"]
        assert context.headers["x-caller"] == seen
        return f"{app} {name} {request.input} {seen}"

    return router


@pytest.mark.parametrize("chained", [True, False])
def test_two_apps_in_one_host_do_not_mix(chained: bool) -> None:
    prefix = f"mix-{chained}"
    one = AgentApp(agent("one", "a", prefix), agent("one", "b", prefix))
    two = AgentApp(agent("two", "a", prefix), agent("two", "b", prefix))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with one.lifespan(), two.lifespan():
            yield

    host = FastAPI(lifespan=lifespan if chained else None)
    host.mount("/one", one)
    host.mount("/deep", Starlette(routes=[Mount("/er", app=two)]))

    async def ask(number: int) -> None:
        app, path = (("one", "/one"), ("two", "/deep/er"))[number % 2]
        name = "ab"[number // 2 % 2]
        client = AgentClient(host, {"x-caller": str(number)})
        if number % 3:
            answer = await client.post(f"{path}/{name}/responses", {"input": f"q{number}"})
        else:
            body = {"input": f"q{number}", "model": name}
            answer = await client.post(f"{path}/v1/responses", body)
        text = answer.json()["output"][0]["content"][0]["text"]
        assert text == f"{app} {name} q{number} {number}"

    async def main() -> None:
        context = host.router.lifespan_context(host) if chained else contextlib.nullcontext()
        async with context:
            await asyncio.gather(*(ask(number) for number in range(200)))
        if not chained:
            await asyncio.gather(one.drain(), two.drain())

    asyncio.run(main())
    import mlflow

    found = [each for each in traces() if each.info.tags.get("agent_asgi.agent") in ("a", "b")]
    for app in ("one", "two"):
        for name in ("a", "b"):
            experiment: Any = mlflow.get_experiment_by_name(f"{prefix}-{app}-{name}")
            mine = [each for each in found if each.info.experiment_id == experiment.experiment_id]
            assert len(mine) == 50
            said = [each.data.spans[0].outputs["output"][0]["content"][0] for each in mine]
            assert all(each["text"].startswith(f"{app} {name} ") for each in said)
