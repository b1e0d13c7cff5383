"""Approvals: a run asks, the next request answers."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    Context,
    Limits,
    ResponsesRequest,
)
from tests.support.asking import fetch
from tests.support.calling import (
    QUICK,
    Serve,
    client_of,
    connect,
    ended,
    error_of,
    plain,
    streamed,
)
from tests.support.owners import OWNERS, as_user
from tests.support.stream_rules import check_stream
from tests.support.websocket_client import connect as connect_ws
from tests.support.websocket_client import refused, turn

ARGUMENTS = {"path": "/tmp/x"}


def eraser(name: str = "eraser") -> AgentRouter:
    """Return an agent that asks before it erases, and reports the answer and its state."""
    router = AgentRouter(name)

    @router.stream
    async def erase(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        if not context.approvals:
            if request.store is not False:
                context.save_state(json.dumps(ARGUMENTS).encode())
            yield ApprovalRequest("erase", ARGUMENTS)
            return
        state = None if context.saved_state is None else json.loads(context.saved_state)
        answer = context.approvals[-1]
        yield json.dumps([answer.approve, answer.reason, answer.arguments, state])

    return router


def answer_to(response: Any, approve: bool = True, **fields: Any) -> list[Any]:
    """Return the input that answers the approval requests of a response."""
    return [
        {
            "type": "mcp_approval_response",
            "approval_request_id": item["id"],
            "approve": approve,
            **fields,
        }
        for item in (response if isinstance(response, dict) else plain(response))["output"]
    ]


def test_a_run_asks_and_the_next_request_answers(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, eraser()) as client:
        first = client.responses.create(input="erase it")
        (asked,) = plain(first)["output"]
        assert asked == {
            "type": "mcp_approval_request",
            "id": asked["id"],
            "server_label": "eraser",
            "name": "erase",
            "arguments": '{"path":"/tmp/x"}',
        }
        assert asked["id"].startswith("mcpr_")
        assert first.status == "completed"
        more = {"reason": "not mine", "agent_asgi:arguments": {"path": "/tmp/y"}}
        second = client.responses.create(
            input=answer_to(first, False, **more), previous_response_id=first.id
        )
        assert json.loads(second.output_text) == [False, "not mine", {"path": "/tmp/y"}, ARGUMENTS]
        assert second.previous_response_id == first.id
        stored = client.responses.input_items.list(second.id).data
        assert plain(stored[0])["agent_asgi:arguments"] == {"path": "/tmp/y"}
        assert b"state" not in client.responses.with_raw_response.retrieve(first.id).content


def test_an_answer_alone_continues_the_response_that_asked(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, eraser()) as client:
        first = client.responses.create(input="erase it")
        second = client.responses.create(input=answer_to(first))
        assert json.loads(second.output_text) == [True, None, None, ARGUMENTS]
        assert second.previous_response_id == first.id


def test_streamed(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, eraser()) as client:
        events = streamed(client, input="erase it")
        first = check_stream(events)
        assert [event["type"] for event in events][2:4] == [
            "response.output_item.added",
            "response.output_item.done",
        ]
        second = check_stream(streamed(client, input=answer_to(first)))
        assert json.loads(second["output"][0]["content"][0]["text"])[0] is True


def test_in_the_background(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, eraser()) as client:
        first = ended(client, client.responses.create(input="erase it", background=True).id)
        second = client.responses.create(input=answer_to(first), background=True)
        assert json.loads(ended(client, second.id).output_text) == [True, None, None, ARGUMENTS]
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=answer_to(first), background=True)
        assert error_of(raised) == (
            400,
            "approval_already_answered",
            "input[0].approval_request_id",
        )


def test_over_a_websocket(serve: Serve, store_url: str) -> None:
    url = serve(AgentApp(eraser(), store=store_url))
    with connect_ws(url) as ws:
        first = turn(ws, "erase it")
        second = turn(ws, answer_to(first), previous_response_id=first["id"])
        assert json.loads(second["output"][0]["content"][0]["text"])[3] == ARGUMENTS
        assert refused(ws, answer_to(first)) == (
            400,
            "approval_already_answered",
            "input[0].approval_request_id",
        )
        first = turn(ws, "erase it", store=False)
        second = turn(ws, answer_to(first), previous_response_id=first["id"], store=False)
        assert json.loads(second["output"][0]["content"][0]["text"])[3] is None


def refusal(client: openai.OpenAI, input: Any, **body: Any) -> tuple[int, str | None, str | None]:
    """Return status, code and param of the error that a request is refused with."""
    with pytest.raises(openai.APIStatusError) as raised:
        client.responses.create(input=input, **body)
    return error_of(raised)


def test_wrong_answers_are_refused(serve: Serve, store_url: str) -> None:
    field = "input[0].approval_request_id"
    with client_of(serve, store_url, eraser(), middleware=OWNERS) as client:
        ann, bob = as_user(client, "ann"), as_user(client, "bob")
        first = ann.responses.create(input="erase it")
        (answer,) = answer_to(first)
        unknown = answer | {"approval_request_id": "mcpr_unknown"}
        assert refusal(ann, [unknown]) == (400, "invalid_request", field)
        assert refusal(bob, [answer]) == (400, "invalid_request", field)
        twice = (400, "invalid_request", "input[1].approval_request_id")
        assert refusal(ann, [answer, answer]) == twice
        assert refusal(ann, [answer, unknown]) == (400, "invalid_request", field)
        second = ann.responses.create(input="erase it")
        assert refusal(ann, [answer, *answer_to(second)]) == (400, "invalid_request", field)
        missing = {"type": "mcp_approval_response", "approve": True}
        assert refusal(ann, [missing])[2] == field
        assert refusal(ann, [answer | {"approve": "yes"}])[2] == "input[0].approve"
        ann.responses.create(input=[answer])
        again = (400, "approval_already_answered", field)
        assert refusal(ann, [answer]) == refusal(ann, [answer], stream=True) == again
        ann.responses.delete(second.id)
        assert refusal(ann, answer_to(second)) == (400, "invalid_request", field)


def test_without_a_store_the_request_stands_in_the_input(serve: Serve) -> None:
    with client_of(serve, "memory://", eraser()) as client:
        user: Any = {"role": "user", "content": "erase it"}
        first = client.responses.create(input=[user], store=False)
        whole: Any = [user, *plain(first)["output"], *answer_to(first)]
        second = client.responses.create(input=whole, store=False)
        assert json.loads(second.output_text) == [True, None, None, None]
        assert refusal(client, answer_to(first))[0] == 400


def test_an_answered_request_may_be_part_of_the_conversation(serve: Serve) -> None:
    with client_of(serve, "memory://", eraser()) as client:
        user: Any = {"role": "user", "content": "erase it"}
        first = client.responses.create(input=[user])
        whole: Any = [user, *plain(first)["output"], *answer_to(first)]
        second = client.responses.create(input=whole)
        assert second.previous_response_id is None
        assert json.loads(second.output_text)[3] == ARGUMENTS
        whole += [*plain(second)["output"], {"role": "user", "content": "thanks"}]
        third = client.responses.create(input=whole)
        assert [item.type for item in third.output] == ["mcp_approval_request"]


def asking(count: int) -> AgentRouter:
    """Return an agent that asks for several approvals in its first and second turn."""
    router = AgentRouter("asking")

    @router.invoke
    async def ask(request: ResponsesRequest, context: Context) -> Any:
        context.save_state(b"%d" % len(request.input))
        if len(context.approvals) == 2 and len(request.input) > 5:
            return str(context.saved_state)
        return [ApprovalRequest("erase", {"n": number}) for number in range(count)]

    return router


def test_several_requests_are_answered_together(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, asking(2)) as client:
        first = client.responses.create(input="x")
        one, other = answer_to(first)
        requests: Any = plain(first)["output"]
        mixed = [requests[0], one, requests[1], other]
        second = client.responses.create(input=mixed)
        assert refusal(client, [other], previous_response_id=first.id)[1] == (
            "approval_already_answered"
        )
        # the agent has asked again: the answers to its first requests are history now
        requests = plain(second)["output"]
        one, other = answer_to(second)
        third = client.responses.create(input=[*mixed, requests[0], one, requests[1], other])
        assert third.output_text == "b'4'"


def test_a_run_that_does_not_start_gives_the_claim_back(serve: Serve, store_url: str) -> None:
    router = eraser()
    app = AgentApp(router, store=store_url, timeouts=QUICK, limits=Limits(max_streams=1))
    with connect(serve(app)) as client:
        first = client.responses.create(input="erase it")
        limit = app._config._runtime
        assert limit is not None
        limit.engine.streams.free -= 1
        assert refusal(client, answer_to(first), stream=True)[0] == 429
        limit.engine.streams.free += 1
        second = check_stream(streamed(client, input=answer_to(first)))
        assert second["status"] == "completed"


def test_asked_on_one_server_answered_on_another(serve: Serve, postgres: str) -> None:
    apps = [AgentApp(eraser(), store=postgres, timeouts=QUICK) for _ in range(2)]
    one, other = (connect(serve(app)) for app in apps)
    first = one.responses.create(input="erase it")
    second = other.responses.create(input=answer_to(first))
    assert json.loads(second.output_text) == [True, None, None, ARGUMENTS]
    assert refusal(one, answer_to(first))[1] == "approval_already_answered"
    first = one.responses.create(input="erase it", background=True)
    second = other.responses.create(input=answer_to(ended(one, first.id)), background=True)
    assert json.loads(ended(other, second.id).output_text)[3] == ARGUMENTS


@pytest.mark.parametrize("mode", ["json", "stream", "background", "mixed"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_answers_at_once_to_two_servers(
    serve: Serve, kind: str, mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/responses.db"
    store = url if kind == "sqlite" else request.getfixturevalue("postgres")
    urls = [serve(AgentApp(eraser(), store=store, timeouts=QUICK)) for _ in range(2)]
    first = connect(urls[0]).responses.create(input="erase it")
    modes = ["json", "stream", "background"] if mode == "mixed" else [mode] * 3
    bodies = [{"input": answer_to(first), each: True} for each in modes for _ in range(2)]
    for body in bodies:
        body.pop("json", None)
    with ThreadPoolExecutor(len(bodies)) as pool:
        sent = [
            pool.submit(fetch, urls[number % 2], "POST", "/responses", body=body)
            for number, body in enumerate(bodies)
        ]
        answers = [each.result(60) for each in sent]
    assert sorted(each.status for each in answers) == [200] + [400] * 5
    for each in answers:
        if each.status == 400:
            assert json.loads(each.body)["error"]["code"] == "approval_already_answered"


def test_chat_completions_say_how_to_answer(serve: Serve) -> None:
    with client_of(serve, "memory://", eraser()) as client:
        message: Any = {"role": "user", "content": "erase it"}
        body: Any = {"model": "eraser", "messages": [message]}
        done = client.chat.completions.create(**body, store=True).choices[0]
        assert done.finish_reason == "stop"
        question, _, rest = str(done.message.content).partition(" Answer with POST /responses: ")
        assert question == 'Approval is needed to call erase with {"path":"/tmp/x"}.'
        second = client.responses.create(**json.loads(rest))
        assert json.loads(second.output_text) == [True, None, None, ARGUMENTS]
        chunks = list(client.chat.completions.create(**body, store=True, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text.startswith(question)
        assert chunks[-1].choices[0].finish_reason == "stop"
        unstored = client.chat.completions.create(**body).choices[0].message.content
        assert str(unstored).endswith(
            "Send the request again with `store: true` to be able to answer."
        )


def test_invocations_ask_too(serve: Serve) -> None:
    url = serve(AgentApp(eraser(), store="memory://"))
    first = post(url, "/invocations", {"input": [{"role": "user", "content": "erase it"}]})
    assert first["output"][0]["type"] == "mcp_approval_request"
    second = post(url, "/invocations", {"input": answer_to(first)})
    assert json.loads(second["output"][0]["content"][0]["text"])[3] == ARGUMENTS


def test_a_cancelled_run_that_was_queued_gives_the_claim_back(serve: Serve, postgres: str) -> None:
    """The server that accepts executes nothing until the run has been cancelled."""
    idle = Limits(worker_concurrency=0)
    url = serve(AgentApp(eraser(), store=postgres, timeouts=QUICK, limits=idle))
    with connect(url) as client:
        first = client.responses.create(input="erase it")
        queued = client.responses.create(input=answer_to(first), background=True)
        client.responses.cancel(queued.id)
        other = connect(serve(AgentApp(eraser(), store=postgres, timeouts=QUICK)))
        assert ended(other, queued.id).status == "cancelled"
        second = client.responses.create(input=answer_to(first))
        assert second.status == "completed"


def post(url: str, path: str, body: Any) -> Any:
    """Send a request and return the answer's JSON."""
    return json.loads(fetch(url, "POST", path, body=body).body)


def test_in_a_conversation(serve: Serve, store_url: str) -> None:
    with client_of(serve, store_url, eraser(), single_user=True) as client:
        first = client.responses.create(input="erase it", conversation="c1")
        second = client.responses.create(input=answer_to(first), conversation="c1")
        assert json.loads(second.output_text) == [True, None, None, ARGUMENTS]
        assert second.previous_response_id is None
        unknown = answer_to(first)[0] | {"approval_request_id": "mcpr_unknown"}
        assert refusal(client, [unknown], conversation="c1")[2] == ("input[0].approval_request_id")
