"""AG-UI: runs that are cancelled, left, or shared by a key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, Context, FunctionCall, Reasoning, ResponsesRequest
from agent_asgi.protocols import AGUI
from agent_asgi.testing import AgentClient
from tests.protocols.agui.talk import OLD, RUN, Json, app, events_of, kinds
from tests.support.apps import nothing_is_left, started


def waiter() -> tuple[AgentApp, asyncio.Event]:
    """Return an app whose agent waits in the middle of everything, and its cancellation."""
    router, cancelled = AgentRouter(), asyncio.Event()

    @router.stream
    async def wait(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        yield Reasoning("hm")
        yield {"type": "agui:step_started", "stepName": "plan"}
        yield FunctionCall("look", {}, "c1")
        yield "Well"
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    return AgentApp(router, protocols=[AGUI()]), cancelled


@pytest.mark.parametrize(("body", "current"), [(RUN, True), (OLD, False)])
def test_a_run_that_the_server_stops(body: Json, current: bool) -> None:
    async def main() -> Any:
        made, _ = waiter()
        async with started(made):
            client = AgentClient(made)
            async with client.stream("/agui", body) as answer:
                async for event in answer.each_event():
                    if event["type"] == "TEXT_MESSAGE_CONTENT":
                        runtime = made._config.started()
                        assert runtime is not None
                        runtime.admission.cancel()
            return answer

    events = events_of(asyncio.run(main()))
    if current:
        assert kinds(events)[-3:] == ["TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED"]
        assert events[-1]["outcome"] == {"type": "cancelled"}
    else:
        assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "cancelled")


def test_a_client_that_leaves_cancels_the_run() -> None:
    async def main() -> None:
        made, cancelled = waiter()
        async with started(made):
            async with AgentClient(made).stream("/agui", RUN) as answer:
                async for event in answer.each_event():
                    if event["type"] == "TEXT_MESSAGE_CONTENT":
                        break
            await asyncio.wait_for(cancelled.wait(), 5)
            await nothing_is_left(made)

    asyncio.run(main())


def test_a_key_shares_one_run_of_which_both_read_the_log() -> None:
    runs: list[int] = []

    def handle(*_: Any) -> list[Any]:
        runs.append(1)
        return [Reasoning("hm"), FunctionCall("look", {"a": 1}, "c1"), "a%b", "\u2028c"]

    async def main() -> list[list[Json]]:
        async with started(app(handle)) as made:
            client, headers = AgentClient(made), {"idempotency-key": "k1"}
            answers = [await client.post("/agui", RUN, headers=headers) for _ in range(2)]
            return [events_of(answer) for answer in answers]

    first, second = asyncio.run(main())
    assert first == second
    assert len(runs) == 1
    assert kinds(first)[-1] == "RUN_FINISHED"
