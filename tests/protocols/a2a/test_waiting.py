"""Tasks that wait for an answer: they span several responses."""

import json
from typing import Any

import pytest

from agent_asgi import Limits
from agent_asgi.store import MemoryStore
from tests.protocols.a2a.agents import (
    Json,
    app,
    call,
    frames,
    get,
    message,
    post,
    reason_of,
    send,
    state_of,
    text_of,
)
from tests.support.asking import fetch
from tests.support.calling import QUICK, Serve

YES: Json = {"data": {"approve": True}}
NO: Json = {"data": {"approve": False, "reason": "too late"}}
AGAIN: Json = {"data": {"approve": True, "reason": "ask again"}}


@pytest.fixture(params=[True, False], ids=["one user", "strangers"])
def url(request: pytest.FixtureRequest, serve: Serve, store_url: str) -> str:
    """Serve the agents; return the base URL."""
    return serve(app(store=store_url, single_user=request.param, timeouts=QUICK))


@pytest.mark.parametrize("context", [None, "mine"])
def test_an_approval_is_answered_with_the_task_id(url: str, context: str | None) -> None:
    task = send(url, "asker", "write", contextId=context)
    assert state_of(task) == "INPUT_REQUIRED"
    question = task["status"]["message"]
    assert (question["role"], question["taskId"]) == ("ROLE_AGENT", task["id"])
    text, data = question["parts"]
    assert "send_mail" in text["text"]
    assert data["data"]["arguments"] == '{"to":"ann@example.com"}'
    done = send(url, "asker", YES, taskId=task["id"])
    assert (done["id"], done["contextId"]) == (task["id"], task["contextId"])
    assert (state_of(done), text_of(done)) == ("COMPLETED", "One moment. The mail is sent.")
    assert [each["role"] for each in done["history"]] == ["ROLE_USER", "ROLE_AGENT", "ROLE_USER"]
    assert done["history"][1] == question
    assert done["history"][2]["parts"][0]["data"]["approve"] is True
    assert get(url, "asker", task["id"]) == done
    assert len(get(url, "asker", task["id"], historyLength=2)["history"]) == 2


def test_a_task_may_ask_several_times(url: str) -> None:
    task = send(url, "asker", "write")
    again = send(url, "asker", AGAIN, taskId=task["id"], contextId=task["contextId"])
    assert state_of(again) == "INPUT_REQUIRED"
    assert "bob" in again["status"]["message"]["parts"][1]["data"]["arguments"]
    done = send(url, "asker", NO, taskId=task["id"])
    assert (state_of(done), text_of(done)) == ("COMPLETED", "One moment. The mail is not sent.")
    assert len(done["history"]) == 5


def test_an_answer_may_be_streamed(url: str) -> None:
    task = send(url, "asker", "write")
    sent = {"message": message(YES, taskId=task["id"])}
    first, *updates = frames(post(url, "asker", "SendStreamingMessage", sent))
    assert first["task"]["id"] == task["id"]
    assert text_of(first["task"]) == "One moment. "
    assert state_of(updates[-1]["statusUpdate"]) == "COMPLETED"
    assert {each[next(iter(each))]["taskId"] for each in updates} == {task["id"]}


def test_a_waiting_task_can_be_subscribed_to_but_not_cancelled(url: str) -> None:
    task = send(url, "asker", "write")
    assert frames(post(url, "asker", "SubscribeToTask", {"id": task["id"]})) == [{"task": task}]
    error = call(url, "asker", "CancelTask", {"id": task["id"]})["error"]
    assert reason_of(error) == (-32002, "TASK_NOT_CANCELABLE")


def test_the_output_of_a_function_is_an_answer_too(url: str) -> None:
    for answer in ("sunny", {"data": {"output": "sunny", "call_id": "call_1"}}):
        task = send(url, "caller", "how is it?")
        assert state_of(task) == "INPUT_REQUIRED"
        data = task["status"]["message"]["parts"][1]["data"]
        assert data == {"call_id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'}
        done = send(url, "caller", answer, taskId=task["id"])
        assert (state_of(done), text_of(done)) == ("COMPLETED", "It is sunny.")


def test_text_beside_an_answer_becomes_a_message(url: str) -> None:
    task = send(url, "asker", "write")
    done = send(url, "asker", "please", YES, taskId=task["id"])
    assert done["history"][-1]["parts"][-1] == {"text": "please"}


WRONG: list[tuple[Any, str]] = [
    ("yes", "message.parts"),
    ({"data": {"approve": "yes"}}, "message.parts[0].data.approve"),
    ({"data": {"approve": True, "reason": 1}}, "message.parts[0].data.reason"),
    ({"data": {"approve": True, "arguments": 1}}, "message.parts[0].data.arguments"),
    (
        {"data": {"approve": True, "approval_request_id": "mcpr_1"}},
        "message.parts[0].data.approval_request_id",
    ),
    ({"data": {"output": "x"}}, "message.parts[0].data.call_id"),
]


@pytest.mark.parametrize(("part", "field"), WRONG)
def test_a_wrong_answer_is_refused_with_its_field(serve: Serve, part: Any, field: str) -> None:
    url = serve(app())
    task = send(url, "asker", "write")
    sent = {"message": message(part, taskId=task["id"])}
    error = call(url, "asker", "SendMessage", sent)["error"]
    assert reason_of(error) == (-32602, "INVALID_PARAMS")
    assert error["data"][1]["fieldViolations"][0]["field"] == field
    assert state_of(send(url, "asker", YES, taskId=task["id"])) == "COMPLETED"


def test_messages_to_tasks_that_do_not_wait_are_refused(url: str) -> None:
    task = send(url, "echo", "x")
    for fields, expected in (
        ({"taskId": task["id"]}, (-32004, "UNSUPPORTED_OPERATION")),
        ({"taskId": "resp_" + "0" * 32}, (-32001, "TASK_NOT_FOUND")),
        ({"taskId": "x\0"}, (-32001, "TASK_NOT_FOUND")),
        ({"taskId": task["id"], "contextId": "other"}, (-32602, "INVALID_PARAMS")),
    ):
        error = call(url, "echo", "SendMessage", {"message": message("y", **fields)})["error"]
        assert reason_of(error) == expected


def test_an_approval_by_another_protocol_continues_the_task(url: str) -> None:
    task = send(url, "asker", "write")
    asked = task["status"]["message"]["parts"][1]["data"]["approval_request_id"]
    answer = {"type": "mcp_approval_response", "approval_request_id": asked, "approve": True}
    reply = fetch(url, "POST", "/responses", None, {"model": "asker", "input": [answer]})
    assert reply.status == 200, reply
    done = get(url, "asker", task["id"])
    assert (state_of(done), text_of(done)) == ("COMPLETED", "One moment. The mail is sent.")
    error = call(url, "asker", "SendMessage", {"message": message(YES, taskId=task["id"])})["error"]
    assert reason_of(error) == (-32004, "UNSUPPORTED_OPERATION")


def test_a_run_that_answers_is_no_task_by_itself(serve: Serve) -> None:
    url = serve(app(single_user=True))
    task = send(url, "asker", "write")
    send(url, "asker", YES, taskId=task["id"])
    listed = json.loads(fetch(url, "GET", "/responses").body)["data"]
    (later,) = [each["id"] for each in listed if each["id"] != task["id"]]
    error = call(url, "asker", "GetTask", {"id": later})["error"]
    assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
    tasks = call(url, "asker", "ListTasks")["result"]["tasks"]
    assert [each["id"] for each in tasks] == [task["id"]]


def test_a_task_that_is_too_large_is_not_loaded(serve: Serve) -> None:
    store = MemoryStore()
    for size in (32 << 20, 0):
        if not size:
            size = store._bytes and _size(store) - 1
        limits = Limits(max_conversation_bytes=size)
        store = MemoryStore()
        url = serve(app(store=store, single_user=True, timeouts=QUICK, limits=limits))
        task = send(url, "asker", "write")
        answered = call(url, "asker", "SendMessage", {"message": message(YES, taskId=task["id"])})
        assert "result" in answered
    refused = call(url, "asker", "GetTask", {"id": task["id"]})["error"]
    assert refused["data"][0]["metadata"] == {"code": "conversation_too_large"}
    assert call(url, "asker", "ListTasks")["result"]["tasks"] == []


def _size(store: MemoryStore) -> int:
    records = [entry.record for entry in store._entries.values()]
    return sum(len(record.request) + len(record.response) for record in records)
