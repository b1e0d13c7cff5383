"""Concurrency: sync handlers next to a responsive loop, and several independent apps."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, get_request_headers
from agent_asgi.testing import AgentClient
from tests.support.traces import traces

WAIT = 20


def test_sync_handlers_leave_the_loop_free(serve: Callable[[Any], str]) -> None:
    router = AgentRouter("blocking")
    all_inside, healthy = threading.Barrier(21), threading.Event()

    @router.invoke
    def blocks(request: ResponsesRequest) -> str:
        all_inside.wait(WAIT)
        assert healthy.wait(WAIT)
        return "done"

    url = serve(AgentApp(router))

    def ask(_: int) -> int:
        return httpx2.post(f"{url}/responses", json={"input": "x"}, timeout=2 * WAIT).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, number) for number in range(20)]
        all_inside.wait(WAIT)
        for _ in range(20):
            assert httpx2.get(f"{url}/health", timeout=WAIT).status_code == 200
        assert not any(each.done() for each in answers)
        healthy.set()
        assert [each.result() for each in answers] == [200] * 20


def agent(app: str, name: str, prefix: str) -> AgentRouter:
    """Make an agent that identifies itself and traces to a separate experiment."""
    router = AgentRouter(name, experiment=f"{prefix}-{app}-{name}")

    @router.invoke
    async def answer(request: ResponsesRequest, context: Context) -> str:
        await asyncio.sleep(0.001)
        seen = get_request_headers()["x-caller"]
        assert context.headers["x-caller"] == seen
        return f"{app} {name} {request.input_text} {seen}"

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
