"""`previous_response_id`: a handler sees the whole conversation, oldest first."""

import threading
from typing import Any

import anyio
import openai
import pytest
from pydantic import BaseModel

from agent_asgi import AgentRouter, FunctionCall, ResponsesRequest
from tests.support.calling import Serve, client_of, ended, error_of, texts, until


class Asked(BaseModel):
    """A request type that a handler defines itself."""

    input: list[Any]
    previous_response_id: str | None = None


def three_turns(client: openai.OpenAI) -> list[str]:
    """Run three turns; return the ids of the responses."""
    first = client.responses.create(input="one")
    message: Any = {"role": "user", "content": [{"type": "input_text", "text": "two"}]}
    second = client.responses.create(input=[message], previous_response_id=first.id)
    note: Any = {"role": "developer", "content": "be nice"}
    said: Any = [note, {"role": "user", "content": "three"}]
    third = client.responses.create(input=said, previous_response_id=second.id)
    assert third.previous_response_id == second.id
    return [first.id, second.id, third.id]


WHOLE = ["one", "answer 1", "two", "answer 2", "be nice", "three"]


def test_a_handler_sees_the_whole_conversation(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        heard.append(request)
        return f"answer {len(heard)}"

    with client_of(serve, store_url, router) as client:
        three_turns(client)
    last = heard[2]
    assert texts(last.input) == WHOLE
    roles = [each["role"] for each in last.to_dict()["input"]]
    assert roles == ["user", "assistant", "user", "assistant", "developer", "user"]
    assert texts(last.new_input) == ["be nice", "three"]
    assert heard[0].new_input is heard[0].input
    assert texts(heard[0].input) == ["one"]
    ids = [each["id"] for each in last.to_dict()["input"][:4]]
    assert len(set(ids)) == 4


def test_a_handler_of_dicts_sees_it(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[dict[str, Any]]()

    @router.invoke
    async def answer(request: dict[str, Any]) -> str:
        heard.append(request)
        return f"answer {len(heard)}"

    with client_of(serve, store_url, router) as client:
        ids = three_turns(client)
    assert texts(heard[2]["input"]) == WHOLE
    assert heard[2]["previous_response_id"] == ids[1]
    assert heard[0]["input"] == "one"


def test_a_handler_of_a_pydantic_model_sees_it(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[Asked]()

    @router.invoke
    async def answer(request: Asked) -> str:
        heard.append(request)
        return "answer"

    with client_of(serve, store_url, router) as client:
        question: Any = {"role": "user", "content": "one"}
        first = client.responses.create(input=[question])
        for background in (False, True):
            made = client.responses.create(
                input="two", previous_response_id=first.id, background=background
            )
            assert ended(client, made.id).output_text == "answer"
    for each in heard[1:]:
        assert texts(each.input) == ["one", "answer", "two"]


def test_it_goes_on_without_new_input(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        heard.append(request)
        return "answer"

    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input="one")
        client.responses.create(previous_response_id=first.id)
    assert texts(heard[1].input) == ["one", "answer"]
    assert heard[1].new_input == []


def test_what_is_not_there_cannot_be_continued(serve: Serve, store_url: str) -> None:
    router, runs = AgentRouter(), list[str]()

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        runs.append("x")
        return "ok"

    with client_of(serve, store_url, router) as client:
        first, _, third = three_turns(client)
        client.responses.delete(first)
        for id_ in ("resp_nope", first, third):
            for more in ({}, {"stream": True}, {"background": True}):
                extra: Any = more
                with pytest.raises(openai.BadRequestError) as raised:
                    client.responses.create(input="x", previous_response_id=id_, **extra)
                assert error_of(raised) == (
                    400,
                    "previous_response_not_found",
                    "previous_response_id",
                )
    assert len(runs) == 3


def test_one_in_progress_cannot_be_continued(serve: Serve, store_url: str) -> None:
    router, go_on, runs = AgentRouter(), threading.Event(), list[str]()

    @router.invoke
    async def halt(request: ResponsesRequest) -> str:
        runs.append("x")
        while not go_on.is_set():
            await anyio.sleep(0.01)
        return "done"

    with client_of(serve, store_url, router) as client:
        id_ = client.responses.create(input="x", background=True).id
        until(lambda: runs)
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="y", previous_response_id=id_)
        assert error_of(raised) == (400, "invalid_request", "previous_response_id")
        go_on.set()
        ended(client, id_)
        assert client.responses.create(input="y", previous_response_id=id_).output_text == "done"


def test_a_failed_run_can_be_continued(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.stream
    async def answer(request: ResponsesRequest) -> Any:
        heard.append(request)
        yield "half"
        if len(heard) == 1:
            raise RuntimeError

    with client_of(serve, store_url, router) as client:
        failed = ended(client, client.responses.create(input="one", background=True).id)
        assert failed.status == "failed"
        client.responses.create(input="two", previous_response_id=failed.id)
    assert texts(heard[1].input) == ["one", "half", "two"]


def output(call_id: str) -> Any:
    """Make a function's output item."""
    return {"type": "function_call_output", "call_id": call_id, "output": "sunny"}


def test_a_functions_output_answers_a_call(serve: Serve, store_url: str) -> None:
    router, heard = AgentRouter(), list[ResponsesRequest]()

    @router.invoke
    async def answer(request: ResponsesRequest) -> Any:
        heard.append(request)
        return FunctionCall(call_id=f"call_{len(heard)}", name="f", arguments="{}")

    user: Any = {"role": "user", "content": "x"}
    with client_of(serve, store_url, router) as client:
        first = client.responses.create(input="x")
        again: Any = {"previous_response_id": first.id}
        for more in ({}, {"stream": True}, {"background": True}):
            with pytest.raises(openai.BadRequestError) as raised:
                client.responses.create(input=[user, output("call_9")], **(again | more))
            assert error_of(raised) == (400, "invalid_request", "input[1].call_id")
        assert len(heard) == 1
        second = client.responses.create(input=[output("call_1"), user], **again)
        later: Any = {"previous_response_id": second.id}
        client.responses.create(input=[output("call_2"), output("call_1")], **later)
        call: Any = {"type": "function_call", "call_id": "own", "name": "f", "arguments": "{}"}
        client.responses.create(input=[call, output("own")], **later)
    assert len(heard) == 4
    kinds = [each["type"] for each in heard[1].to_dict()["input"]]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
