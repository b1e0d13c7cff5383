"""Tasks: their life, their conversation, their results."""

import json
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.protocols import A2A
from tests.protocols.a2a.agents import (
    VERSION,
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
from tests.support.calling import QUICK, Serve, until


@pytest.fixture
def url(serve: Serve, store_url: str) -> str:
    """Serve the agents to one user; return the base URL."""
    return serve(app(store=store_url, single_user=True, timeouts=QUICK))


def test_a_message_is_answered_with_the_ended_task(url: str) -> None:
    task = send(url, "echo", "hello")
    assert task["id"].startswith("resp_")
    assert task["contextId"].startswith("conv_")
    assert (state_of(task), text_of(task)) == ("COMPLETED", "You said: hello")
    assert task["status"]["timestamp"].endswith("Z")
    (sent,) = task["history"]
    assert (sent["role"], sent["parts"]) == ("ROLE_USER", [{"text": "hello"}])
    assert (sent["taskId"], sent["contextId"]) == (task["id"], task["contextId"])
    assert task["metadata"]["usage"]["total_tokens"] == 7
    assert get(url, "echo", task["id"]) == task


def test_a_stream_begins_with_the_task_and_adds_up_to_it(url: str) -> None:
    reply = post(url, "echo", "SendStreamingMessage", {"message": message("hello")})
    first, *updates = frames(reply)
    assert state_of(first["task"]) == "SUBMITTED"
    assert "artifacts" not in first["task"] or first["task"]["artifacts"] == []
    states = [each["statusUpdate"] for each in updates if "statusUpdate" in each]
    assert [state_of(each) for each in states] == ["WORKING", "COMPLETED"]
    assert updates[-1] == {"statusUpdate": states[-1]}
    pieces = [each["artifactUpdate"] for each in updates if "artifactUpdate" in each]
    whole = pieces.pop()
    assert [each["artifact"]["parts"] for each in pieces] == [
        [{"text": "You said: "}],
        [{"text": "hello"}],
    ]
    assert [each.get("append", False) for each in pieces] == [False, True]
    assert whole.get("append", False) is False
    assert whole["lastChunk"] is True
    task = get(url, "echo", first["task"]["id"])
    assert task["artifacts"] == [whole["artifact"]]
    assert {each["artifact"]["artifactId"] for each in pieces} == {whole["artifact"]["artifactId"]}
    assert {each["taskId"] for each in (*pieces, *states)} == {task["id"]}
    assert {each["contextId"] for each in (*pieces, *states)} == {task["contextId"]}


def test_http_json_says_the_same_without_the_envelope(url: str) -> None:
    body = {"message": message("hello")}
    reply = fetch(url, "POST", "/echo/a2a/message:send", None, body, VERSION)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/a2a+json")
    task = json.loads(reply.body)["task"]
    found = fetch(url, "GET", f"/echo/a2a/tasks/{task['id']}", None, None, VERSION)
    assert json.loads(found.body) == task
    stream = frames(fetch(url, "POST", "/echo/a2a/message:stream", None, body, VERSION))
    assert [next(iter(frame)) for frame in stream][:2] == ["task", "statusUpdate"]
    assert state_of(stream[-1]["statusUpdate"]) == "COMPLETED"


def test_a_context_remembers_its_tasks(url: str) -> None:
    first = send(url, "echo", "one")
    second = send(url, "echo", "two", contextId=first["contextId"])
    assert text_of(second) == "You said: one, two"
    assert second["contextId"] == first["contextId"]
    assert second["id"] != first["id"]
    assert len(second["history"]) == 1
    named = send(url, "echo", "one", contextId="mine")
    assert named["contextId"] == "mine"
    assert text_of(send(url, "echo", "two", contextId="mine")) == "You said: one, two"


def test_without_a_known_user_only_random_contexts_remember(serve: Serve) -> None:
    url = serve(app())
    named = send(url, "echo", "one", contextId="mine")
    assert named["contextId"] == "mine"
    assert text_of(send(url, "echo", "two", contextId="mine")) == "You said: two"
    first = send(url, "echo", "one")
    again = send(url, "echo", "two", contextId=first["contextId"])
    assert text_of(again) == "You said: one, two"


def test_an_unknown_random_context_is_refused(url: str) -> None:
    sent = {"message": message("x", contextId="conv_" + "0" * 32)}
    error = call(url, "echo", "SendMessage", sent)["error"]
    assert reason_of(error) == (-32602, "INVALID_PARAMS")
    assert error["data"][1]["fieldViolations"][0]["field"] == "message.contextId"
    assert error["message"].startswith("message.contextId: ")


def test_a_repeated_message_id_is_no_repetition(url: str) -> None:
    first = send(url, "echo", "yes", messageId="1")
    again = send(url, "echo", "yes", messageId="1", contextId=first["contextId"])
    assert text_of(again) == "You said: yes, yes"
    assert [each["messageId"] for each in again["history"]] == ["1"]


def test_return_immediately_then_follow_and_cancel(url: str) -> None:
    configuration = {"returnImmediately": True, "historyLength": 0}
    sent = {"message": message("600"), "configuration": configuration}
    task = call(url, "slow", "SendMessage", sent)["result"]["task"]
    assert state_of(task) in ("SUBMITTED", "WORKING")
    assert "history" not in task
    until(lambda: get(url, "slow", task["id"]), lambda found: state_of(found) == "WORKING")
    cancelled = call(url, "slow", "CancelTask", {"id": task["id"]})["result"]
    assert state_of(cancelled) == "CANCELED"
    error = call(url, "slow", "CancelTask", {"id": task["id"]})["error"]
    assert reason_of(error) == (-32002, "TASK_NOT_CANCELABLE")
    error = call(url, "slow", "SubscribeToTask", {"id": task["id"]})["error"]
    assert reason_of(error) == (-32004, "UNSUPPORTED_OPERATION")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("colon", [":", "%3A"])
def test_subscribers_get_all_updates(url: str, method: str, colon: str) -> None:
    sent = {"message": message("8"), "configuration": {"returnImmediately": True}}
    task = call(url, "slow", "SendMessage", sent)["result"]["task"]
    path = f"/slow/a2a/tasks/{task['id']}{colon}subscribe"
    first, *updates = frames(fetch(url, method, path, None, None, VERSION))
    assert first["task"]["id"] == task["id"]
    assert state_of(updates[-1]["statusUpdate"]) == "COMPLETED"
    pieces = [each["artifactUpdate"] for each in updates if "artifactUpdate" in each]
    said = "".join(each["artifact"]["parts"][0]["text"] for each in pieces[:-1])
    assert said == "0 1 2 3 4 5 6 7 "
    assert pieces[-1]["artifact"]["parts"] == [{"text": said}]


def test_a_responses_run_is_a_task_too(url: str) -> None:
    body = {"input": "8", "model": "slow", "background": True}
    accepted = json.loads(fetch(url, "POST", "/responses", None, body).body)
    stream = frames(post(url, "slow", "SubscribeToTask", {"id": accepted["id"]}))
    assert state_of(stream[-1]["statusUpdate"]) == "COMPLETED"
    task = get(url, "slow", accepted["id"])
    assert text_of(task) == "0 1 2 3 4 5 6 7 "
    assert task["history"][0]["parts"] == [{"text": "8"}]


def test_a_failure_is_a_failed_task_that_tells_no_internals(url: str) -> None:
    task = send(url, "failing", "yes")
    assert (state_of(task), text_of(task)) == ("FAILED", "I am ")
    (part,) = task["status"]["message"]["parts"]
    assert part == {"text": "The agent failed. The server's log has the reason."}
    told = send(url, "failing", "no")
    assert told["status"]["message"]["parts"] == [{"text": "There is no such city."}]
    stream = frames(post(url, "failing", "SendStreamingMessage", {"message": message("yes")}))
    assert stream[-1]["statusUpdate"]["status"]["message"]["parts"] == [part]
    assert "1234" not in json.dumps([task, told, stream])


def test_files_go_in_and_out(url: str) -> None:
    parts: list[Any] = [
        "what is this?",
        {"raw": "aGk=", "mediaType": "image/png"},
        {"url": "https://example.com/a.jpg", "mediaType": "image/jpeg"},
        {"raw": "aGk=", "filename": "a.pdf", "mediaType": "application/pdf"},
        {"url": "https://example.com/a.mp4", "mediaType": "video/mp4"},
        {"data": {"a": None}},
    ]
    task = send(url, "files", *parts)
    message_, image, chart = task["artifacts"]
    kinds = ["input_text", *["input_image"] * 2, "input_file", "input_video", "input_text"]
    assert json.loads(message_["parts"][0]["text"]) == kinds
    assert message_["parts"][0]["metadata"]["annotations"][0]["url"] == "https://example.com"
    assert image["parts"] == [{"raw": "aGk=", "mediaType": "image/png"}]
    assert chart["parts"][0]["data"]["points"] == [1, 2]
    sent = task["history"][0]["parts"]
    assert sent[1] == {"raw": "aGk=", "mediaType": "image/png"}
    assert sent[2] == {"url": "https://example.com/a.jpg"}
    assert sent[3] == {"raw": "aGk=", "mediaType": "application/pdf", "filename": "a.pdf"}


def test_the_handler_finds_what_a_responses_request_has_no_field_for(serve: Serve) -> None:
    seen: list[Json] = []
    router = AgentRouter("seer")

    @router.invoke
    def see(request: ResponsesRequest) -> str:
        seen.append(request.to_dict())
        return "seen"

    url = serve(AgentApp(router, protocols=[A2A()]))
    sent = message("x", messageId="m1", metadata={"a": 1}, referenceTaskIds=["t"])
    configuration = {"acceptedOutputModes": ["text/plain"]}
    params = {"message": sent, "metadata": {"b": 2}, "configuration": configuration}
    assert "result" in call(url, "", "SendMessage", params)
    (body,) = seen
    assert body["custom_inputs"] == {"a": 1, "b": 2}
    about = {"messageId": "m1", "referenceTaskIds": ["t"], "acceptedOutputModes": ["text/plain"]}
    assert body["a2a"] == about


def test_a_key_makes_a_retry_safe(serve: Serve) -> None:
    url = serve(app(single_user=True))
    params = {"message": message("hello")}
    headers = VERSION | {"idempotency-key": "k"}
    first, again = (post(url, "echo", "SendMessage", params, headers=headers) for _ in range(2))
    assert json.loads(first.body) == json.loads(again.body)
    reply = post(url, "echo", "SendMessage", {"message": message("other")}, headers=headers)
    assert reason_of(json.loads(reply.body)["error"]) == (-32000, "IDEMPOTENCY_KEY_REUSED")
