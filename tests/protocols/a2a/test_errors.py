"""Errors in both bindings: codes, reasons, statuses, fields; versions; what is not supported."""

import http.client
import json
from typing import Any

import pytest

from agent_asgi import Limits
from tests.protocols.a2a.agents import (
    VERSION,
    Json,
    app,
    call,
    frames,
    message,
    post,
    reason_of,
    send,
)
from tests.support.asking import Reply, fetch
from tests.support.calling import Serve, until

NOBODY = "resp_" + "0" * 32


@pytest.fixture
def url(serve: Serve) -> str:
    """Serve the agents; return the base URL."""
    return serve(app(limits=Limits(max_body_bytes=4096)))


def rest(url: str, method: str, path: str, body: Any = None, headers: Json = VERSION) -> Reply:
    return fetch(url, method, "/echo/a2a" + path, None, body, headers)


def error_of(reply: Reply) -> Json:
    error: Json = json.loads(reply.body)["error"]
    assert error["code"] == reply.status
    assert error["message"]
    return error


SENT: list[tuple[Any, str]] = [
    ({}, "message"),
    ({"message": {"role": "ROLE_USER", "parts": [{"text": "x"}]}}, "message.messageId"),
    ({"message": {**message("x"), "role": "user"}}, "message.role"),
    ({"message": {**message("x"), "role": "ROLE_AGENT"}}, "message.role"),
    ({"message": {**message("x"), "parts": []}}, "message.parts"),
    ({"message": message({})}, "message.parts[0]"),
    ({"message": message("x", {"text": "x", "data": None})}, "message.parts[1]"),
    ({"message": message({"text": 1})}, "message.parts[0].text"),
    ({"message": message("x", contextId="a/b")}, "message.contextId"),
    (
        {"message": message("x"), "configuration": {"historyLength": -1}},
        "configuration.historyLength",
    ),
]


@pytest.mark.parametrize(("body", "field"), SENT)
def test_a_wrong_field_is_named_in_both_bindings(url: str, body: Json, field: str) -> None:
    told = call(url, "echo", "SendMessage", body)["error"]
    assert reason_of(told) == (-32602, "INVALID_PARAMS")
    error = error_of(rest(url, "POST", "/message:send", body))
    assert reason_of(error) == (400, "INVALID_PARAMS")
    assert error["status"] == "INVALID_ARGUMENT"
    for details in (told["data"], error["details"]):
        assert details[1]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        assert details[1]["fieldViolations"][0]["field"] == field


def test_a_task_that_does_not_exist(url: str) -> None:
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        error = call(url, "echo", method, {"id": NOBODY})["error"]
        assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
    for method, rest_ in (("GET", ""), ("POST", ":cancel"), ("GET", ":subscribe")):
        error = error_of(rest(url, method, f"/tasks/{NOBODY}{rest_}"))
        assert reason_of(error) == (404, "TASK_NOT_FOUND")
        assert error["status"] == "NOT_FOUND"
    assert rest(url, "GET", "/tasks/%00").status == 404


def test_a_task_of_another_agent_does_not_exist(url: str) -> None:
    task = send(url, "echo", "x")
    error = call(url, "slow", "GetTask", {"id": task["id"]})["error"]
    assert reason_of(error) == (-32001, "TASK_NOT_FOUND")


@pytest.mark.parametrize("version", [None, "", "0.3", "1.1", "2.0", "1", "1.0x"])
def test_other_versions_are_refused(url: str, version: str | None) -> None:
    headers = {} if version is None else {"a2a-version": version}
    reply = post(url, "echo", "message/send", {"message": {}}, headers=headers)
    assert reason_of(json.loads(reply.body)["error"]) == (-32009, "VERSION_NOT_SUPPORTED")
    error = error_of(rest(url, "GET", f"/tasks/{NOBODY}", headers=headers))
    assert reason_of(error) == (400, "VERSION_NOT_SUPPORTED")
    assert error["status"] == "FAILED_PRECONDITION"


def test_a_version_may_have_a_patch_or_be_in_the_query(url: str) -> None:
    for headers, query in (({"a2a-version": "1.0.3"}, ""), ({}, "?A2A-Version=1.0")):
        assert rest(url, "GET", f"/tasks/{NOBODY}{query}", headers=headers).status == 404


def test_what_is_not_supported(url: str) -> None:
    config = {"taskId": NOBODY, "url": "https://example.com"}
    for name in ("Create", "Get", "Delete"):
        error = call(url, "echo", f"{name}TaskPushNotificationConfig", config)["error"]
        assert reason_of(error) == (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED")
    path = f"/tasks/{NOBODY}/pushNotificationConfigs"
    for method, rest_ in (("POST", ""), ("GET", ""), ("GET", "/1"), ("DELETE", "/1")):
        error = error_of(rest(url, method, path + rest_, config if method == "POST" else None))
        assert reason_of(error) == (400, "PUSH_NOTIFICATION_NOT_SUPPORTED")
    sent = {"message": message("x"), "configuration": {"taskPushNotificationConfig": config}}
    error = call(url, "echo", "SendMessage", sent)["error"]
    assert reason_of(error) == (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED")
    error = call(url, "echo", "GetExtendedAgentCard")["error"]
    assert reason_of(error) == (-32004, "UNSUPPORTED_OPERATION")
    error = error_of(rest(url, "GET", "/extendedAgentCard"))
    assert reason_of(error) == (400, "UNSUPPORTED_OPERATION")
    error = call(url, "echo", "message/send", {})["error"]
    assert reason_of(error) == (-32601, "METHOD_NOT_FOUND")


RPC: list[tuple[Any, int]] = [
    ([], -32600),
    ([{"jsonrpc": "2.0", "id": 1, "method": "GetTask"}], -32600),
    ({"id": 1, "method": "GetTask"}, -32600),
    ({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}, -32600),
    ({"jsonrpc": "2.0", "id": {}, "method": "GetTask"}, -32600),
    ({"jsonrpc": "2.0", "id": 1}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": [NOBODY]}, -32602),
    ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {}}, -32602),
    ({"jsonrpc": "2.0", "id": "a", "method": "GetTask", "params": {"id": NOBODY}}, -32001),
]


@pytest.mark.parametrize(("body", "code"), RPC)
def test_requests_that_json_rpc_does_not_have(url: str, body: Any, code: int) -> None:
    reply = fetch(url, "POST", "/echo/a2a", None, body, VERSION)
    found = json.loads(reply.body)
    assert (reply.status, found["error"]["code"]) == (200, code)
    expected = body.get("id") if isinstance(body, dict) and code != -32600 else None
    assert found["id"] == expected


def test_bodies_that_cannot_be_read(url: str) -> None:
    reply = rest(url, "POST", "/message:send", {"message": message("x" * 5000)})
    assert (reply.status, error_of(reply)["status"]) == (413, "INVALID_ARGUMENT")
    reply = fetch(url, "POST", "/echo/a2a", None, {"x": "x" * 5000}, VERSION)
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (413, -32000)
    reply = rest(url, "POST", "/message:send", {}, VERSION | {"content-encoding": "gzip"})
    assert (reply.status, error_of(reply)["code"]) == (415, 415)


def test_too_many_streams_are_told_with_the_status(serve: Serve) -> None:
    url = serve(app(limits=Limits(max_streams=1)))
    sent = {"message": message("600")}
    body = json.dumps({"jsonrpc": "2.0", "method": "SendStreamingMessage", "params": sent})
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/slow/a2a", body, VERSION)
        frame = json.loads(connection.getresponse().readline().removeprefix(b"data: "))
        reply = post(url, "echo", "SendStreamingMessage", {"message": message("x")})
        assert reply.status == 429
        assert reply.headers["retry-after"]
        assert reason_of(json.loads(reply.body)["error"]) == (-32000, "TOO_MANY_STREAMS")
        reply = rest(url, "POST", "/message:stream", {"message": message("x")})
        assert (reply.status, error_of(reply)["status"]) == (429, "RESOURCE_EXHAUSTED")
        call(url, "slow", "CancelTask", {"id": frame["result"]["task"]["id"]})
    finally:
        connection.close()


def test_a_context_takes_one_run_at_a_time(url: str) -> None:
    sent = {"message": message("600", contextId="busy")}
    task = call(url, "slow", "SendMessage", sent | {"configuration": {"returnImmediately": True}})
    error = call(url, "slow", "SendMessage", sent)["error"]
    assert reason_of(error) == (-32000, "CONVERSATION_LOCKED")
    id_ = task["result"]["task"]["id"]
    busy = {"message": message("x", taskId=id_)}
    assert "is running" in call(url, "slow", "SendMessage", busy)["error"]["message"]
    call(url, "slow", "CancelTask", {"id": id_})


def test_a_refused_message_leaves_no_context(serve: Serve) -> None:
    limits = Limits(max_queued=1, worker_concurrency=1)
    url = serve(app(single_user=True, limits=limits))
    replies: list[Reply] = []
    for _ in range(3):  # one runs, one waits, one is refused
        sent = {"message": message("600"), "configuration": {"returnImmediately": True}}
        replies.append(post(url, "slow", "SendMessage", sent))
        until(lambda: fetch(url, "GET", "/ping").body, lambda body: b"Busy" in body)
    *accepted, reply = replies
    assert [each.status for each in replies] == [200, 200, 429]
    assert reason_of(json.loads(reply.body)["error"]) == (-32000, "TOO_MANY_QUEUED")
    assert len(json.loads(fetch(url, "GET", "/conversations").body)["data"]) == 2
    for each in accepted:
        call(url, "slow", "CancelTask", {"id": json.loads(each.body)["result"]["task"]["id"]})


def test_a_stream_that_cannot_begin_is_an_error(url: str) -> None:
    reply = post(url, "echo", "SendStreamingMessage", {"message": message("x", taskId=NOBODY)})
    assert reason_of(json.loads(reply.body)["error"]) == (-32001, "TASK_NOT_FOUND")
    headers = VERSION | {"accept": "text/event-stream"}
    sent = {"message": message("x", taskId=NOBODY)}
    reply = post(url, "echo", "SendStreamingMessage", sent, headers=headers)
    (frame,) = frames(reply)
    assert reason_of(frame["error"]) == (-32001, "TASK_NOT_FOUND")
