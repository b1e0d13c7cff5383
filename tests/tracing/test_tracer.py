"""Which agent a trace belongs to, and in which experiment it is."""

import asyncio
from typing import Any

import mlflow

from agent_asgi import AgentApp, AgentRouter, Context
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.traces import traces


def test_session_precedence() -> None:
    router = AgentRouter("t-session-precedence")

    @router.invoke
    async def nothing(context: Context) -> str:
        return context.session_id or "none"

    custom = {"session_id": "custom", "thread_id": "thread"}
    full = {"conversation": {"id": "conv"}, "context": {"conversation_id": "ctx"}}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("conv", {**full, "custom_inputs": custom}),
        ("ctx", {"context": full["context"], "custom_inputs": custom}),
        ("custom", {"custom_inputs": custom}),
        ("thread", {"custom_inputs": {"thread_id": "thread"}}),
        ("header", {}),
    ]

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            client = AgentClient(app, {"x-session-id": "header"})
            for _, body in bodies:
                assert (await client.post("/invocations", {"input": "x", **body})).status == 200

    asyncio.run(main())
    found = traces(agent="t-session-precedence")
    assert len(found) == len(bodies)
    for name, body in bodies:
        (one,) = [each for each in found if each.data.spans[0].inputs == {"input": "x", **body}]
        assert one.info.trace_metadata["mlflow.trace.session"] == name


def test_user_of_the_context_comes_before_the_user() -> None:
    router = AgentRouter("t-user")

    @router.invoke
    async def nothing() -> str:
        return ""

    async def main() -> None:
        async with started(AgentApp(router)) as app:
            body = {"input": "x", "user": "b", "context": {"user_id": "a"}}
            await AgentClient(app).post("/responses", body)

    asyncio.run(main())
    (trace,) = traces(agent="t-user")
    assert trace.info.trace_metadata["mlflow.trace.user"] == "a"


def test_each_router_has_its_experiment() -> None:
    one = AgentRouter("t-exp-one", experiment="t-exp-made")
    two = AgentRouter("t-exp-two")

    @one.invoke
    @two.invoke
    async def nothing() -> str:
        return "x"

    async def main() -> None:
        async with started(AgentApp(one, two)) as app:
            for name in ("t-exp-one", "t-exp-two"):
                await AgentClient(app).post(f"/{name}/responses", {"input": "x"})

    asyncio.run(main())
    made = mlflow.get_experiment_by_name("t-exp-made")
    assert made is not None
    (first,), (second,) = traces(agent="t-exp-one"), traces(agent="t-exp-two")
    assert (first.info.experiment_id, second.info.experiment_id) == (made.experiment_id, "0")
