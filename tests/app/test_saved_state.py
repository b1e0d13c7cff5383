"""`context.save_state` and `context.saved_state`."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    Context,
    Limits,
    ResponsesRequest,
)
from agent_asgi.testing import Answer
from tests.support.apps import ask

SMALL = Limits(max_state_bytes=5)


def saver(state: Any) -> AgentRouter:
    """Return an agent that saves a state and asks."""
    router = AgentRouter("saver")

    @router.invoke
    async def save(request: ResponsesRequest, context: Context) -> Any:
        context.save_state(state)
        return ApprovalRequest("erase")

    return router


def asked(state: Any, **body: Any) -> Answer:
    app = AgentApp(saver(state), store="memory://", limits=SMALL, debug=True)
    return ask(app, "/responses", {"input": "x", **body})


def test_a_state_up_to_the_limit_is_saved() -> None:
    assert asked(b"12345").status == 200


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (b"123456", "The state has 6 bytes (Limits.max_state_bytes: 5)."),
        ("text", "save_state() needs bytes, not str."),
    ],
)
def test_a_wrong_state_fails_the_run(state: Any, problem: str) -> None:
    answer = asked(state)
    assert answer.status == 500
    assert problem in answer.json()["error"]["message"]


def test_nothing_is_kept_of_a_response_that_is_not_stored() -> None:
    answer = asked(b"1", store=False)
    error: Mapping[str, Any] = answer.json()["error"]
    assert (answer.status, error["param"]) == (400, "store")
    assert "Send `store: true`" in error["message"]


def test_a_json_router_keeps_nothing() -> None:
    router = AgentRouter("json", protocol="json")

    @router.invoke
    async def save(body: dict[str, Any], context: Context) -> Any:
        context.save_state(b"1")
        return {}

    answer = ask(AgentApp(router, debug=True), "/invocations", {})
    assert answer.status == 500
    assert 'of a "json" router are not stored' in answer.json()["error"]["message"]


def test_a_context_of_a_test_takes_a_state() -> None:
    context = Context("resp_1", "agent")
    assert context.saved_state is None
    context.save_state(b"1")
