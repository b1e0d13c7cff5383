"""Which answers to approval requests a run takes: each once, and only for the agent that asked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ApprovalRequest, Context, ResponsesRequest
from tests.protocols.test_approvals import answer_to, eraser, refusal
from tests.support.calling import Serve, client_of, connect, ended, plain
from tests.support.websocket_client import connect as connect_ws
from tests.support.websocket_client import refused, turn

FIELD = "input[0].approval_request_id"
USER: Any = {"role": "user", "content": "erase it"}
UNKNOWN: Any = {"type": "mcp_approval_response", "approval_request_id": "nope", "approve": True}
ANSWERED = (400, "approval_already_answered", FIELD)
WRONG = (400, "invalid_request", FIELD)
TAILS: list[Any] = [
    {"type": "reasoning", "summary": []},
    {"type": "x_call"},
    {"type": "message", "role": "assistant", "content": "Erased."},
]


def reporter() -> AgentRouter:
    """Return an agent that asks, or reports how many answers it has to act on, and its state."""
    router = AgentRouter("reporter")

    @router.invoke
    async def report(request: ResponsesRequest, context: Context) -> Any:
        if request.input_text.startswith("erase") and not context.approvals:
            context.save_state(b"state")
            return ApprovalRequest("erase")
        return f"{len(context.approvals)} {context.saved_state!r}"

    return router


@pytest.mark.parametrize("tail", TAILS)
def test_an_item_after_an_answer_does_not_spare_the_claim(
    serve: Serve, store_url: str, tail: Any
) -> None:
    with client_of(serve, store_url, reporter()) as client:
        (answer,) = answer_to(client.responses.create(input="erase it"))
        assert refusal(client, [UNKNOWN, tail]) == WRONG
        assert client.responses.create(input=[answer, tail]).output_text == "1 b'state'"
        assert refusal(client, [answer]) == ANSWERED
        assert client.responses.create(input=[answer, tail]).output_text == "0 None"
        twice = (400, "invalid_request", "input[2].approval_request_id")
        (answer,) = answer_to(client.responses.create(input="erase it"))
        assert refusal(client, [answer, tail, answer]) == twice


@pytest.mark.parametrize("background", [False, True])
def test_a_past_answer_is_not_taken_again(serve: Serve, store_url: str, background: bool) -> None:
    with client_of(serve, store_url, reporter()) as client:
        first = client.responses.create(input=[USER])
        whole: Any = [USER, *plain(first)["output"], *answer_to(first)]
        second = client.responses.create(input=whole, background=background)
        second = ended(client, second.id)
        assert second.output_text == "1 b'state'"
        whole += [*plain(second)["output"], {"role": "user", "content": "Thanks."}]
        third = ended(client, client.responses.create(input=whole, background=background).id)
        assert third.output_text == "0 None"


def test_an_unstored_answer_is_taken_once_and_after_its_request(serve: Serve) -> None:
    with client_of(serve, "memory://", eraser()) as client:

        def sent(*items: Any) -> list[str]:
            response = client.responses.create(input=list(items), store=False)
            return [item.type for item in response.output]

        first = client.responses.create(input=[USER], store=False)
        (asked,), (answer,) = plain(first)["output"], answer_to(first)
        done = {"role": "assistant", "content": "Erased."}
        assert sent(USER, asked, answer) == ["message"]
        assert sent(USER, asked, answer, done, USER) == ["mcp_approval_request"]
        again = ["approval_already_answered", "input[4].approval_request_id"]
        assert list(refusal(client, [USER, asked, answer, done, answer], store=False))[1:] == again
        assert refusal(client, [answer, asked], store=False) == WRONG
        assert refusal(client, [answer, done, asked], store=False) == WRONG


def test_a_connection_takes_an_unstored_answer_once(serve: Serve) -> None:
    with connect_ws(serve(AgentApp(eraser(), store="memory://"))) as ws:
        first = turn(ws, "erase it", store=False)
        body = {"store": False, "previous_response_id": first["id"]}
        second = turn(ws, answer_to(first), **body)
        body["previous_response_id"] = second["id"]
        assert refused(ws, answer_to(first), **body) == ANSWERED


def test_another_agent_takes_no_answer(serve: Serve, store_url: str) -> None:
    url = serve(AgentApp(eraser("a"), eraser("b"), store=store_url))
    a, b = (connect(f"{url}/{name}") for name in "ab")
    first = a.responses.create(input="erase it")
    (answer,) = answer_to(first)
    assert refusal(b, [answer]) == WRONG
    assert refusal(b, [answer, TAILS[0]]) == WRONG
    assert refusal(b, [answer], previous_response_id=first.id) == WRONG
    assert refusal(b, [*plain(first)["output"], answer])[0] == 400
    second = a.responses.create(input=[answer])
    assert json.loads(second.output_text)[0] is True
    whole: Any = [*plain(first)["output"], answer, *plain(second)["output"], USER]
    assert b.responses.create(input=whole).output[0].type == "mcp_approval_request"


@pytest.mark.parametrize("given", ["struct", "dict", "event"])
def test_an_id_of_a_handler_does_not_lead_to_its_state(
    serve: Serve, store_url: str, given: str
) -> None:
    router = AgentRouter("asker")

    @router.stream
    async def ask(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        if context.approvals:
            yield str(context.saved_state)
            return
        context.save_state(request.input_text.encode())
        item = {"type": "mcp_approval_request", "id": "call_1", "name": "pay", "arguments": "{}"}
        if given == "event":
            yield {"type": "response.output_item.added", "output_index": 0, "item": item}
            yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        else:
            yield item if given == "dict" else ApprovalRequest("pay", id="call_1")

    with client_of(serve, store_url, router) as client:
        first, second = (client.responses.create(input=text) for text in ("one", "two"))
        assert refusal(client, [UNKNOWN | {"approval_request_id": "call_1"}]) == WRONG
        for response, state in ((first, "b'one'"), (second, "b'two'")):
            assert client.responses.create(input=answer_to(response)).output_text == state


def test_a_request_that_only_prepares_takes_no_answer(serve: Serve, store_url: str) -> None:
    with connect_ws(serve(AgentApp(reporter(), store=store_url))) as ws:
        first = turn(ws, "erase it")
        (answer,) = answer_to(first)
        for item in (answer, UNKNOWN):
            assert refused(ws, [item], generate=False)[:2] == (400, "invalid_request")
        assert refused(ws, [UNKNOWN, TAILS[0]], generate=False)[0] == 400
        second = turn(ws, [answer])
        assert second["output"][0]["content"][0]["text"] == "1 b'state'"
        prepared = turn(ws, [answer, TAILS[0]], generate=False)
        assert prepared["output"] == []


@pytest.mark.parametrize("background", [False, True])
def test_a_request_that_is_refused_claims_nothing(
    serve: Serve, store_url: str, background: bool
) -> None:
    with client_of(serve, store_url, reporter(), single_user=True) as client:
        first = client.responses.create(input="erase it")
        (answer,) = answer_to(first)
        output = {"type": "function_call_output", "call_id": "c", "output": "x"}
        wrong: list[tuple[Any, Any]] = [
            ([answer, output], {}),
            ([answer, {"type": "item_reference", "id": "msg_of_nobody"}], {}),
            ([answer], {"conversation": "conv_of_nobody"}),
            ([answer], {"previous_response_id": "resp_of_nobody"}),
            ([answer, UNKNOWN], {}),
        ]
        for items, body in wrong:
            assert refusal(client, items, background=background, **body)[0] == 400
        second = client.responses.create(input=[answer], background=background)
        assert ended(client, second.id).output_text == "1 b'state'"


def test_a_request_that_the_agent_answers_itself_is_not_open(serve: Serve, store_url: str) -> None:
    router = AgentRouter("itself")
    answer: Any = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}

    @router.invoke
    async def ask(request: ResponsesRequest, context: Context) -> Any:
        return [ApprovalRequest("look", id="a"), answer, f"{len(context.approvals)} answers"]

    with client_of(serve, store_url, router) as client:
        first = plain(client.responses.create(input=[USER]))
        assert client.responses.create(input=[*first["output"], USER]).output_text == "0 answers"
        taken = answer | {"approval_request_id": first["output"][0]["id"]}
        assert refusal(client, [taken]) == WRONG
