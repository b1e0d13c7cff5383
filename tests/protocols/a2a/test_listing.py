"""`ListTasks`: whose tasks, in which order, in pages, filtered."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_asgi.store import MemoryStore
from tests.protocols.a2a.agents import VERSION, Json, app, call, reason_of, send, state_of
from tests.protocols.a2a.test_waiting import AGAIN, YES
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.calling import QUICK, Serve


@pytest.fixture
def url(serve: Serve, store_url: str) -> str:
    """Serve the agents to one user; return the base URL."""
    return serve(app(store=store_url, single_user=True, timeouts=QUICK))


def tasks(url: str, agent: str = "echo", token: str | None = None, **params: Any) -> Json:
    result: Json = call(url, agent, "ListTasks", params, token)["result"]
    return result


def ids(found: Json) -> list[str]:
    return [task["id"] for task in found["tasks"]]


def test_pages_go_from_the_newest_to_the_oldest(url: str) -> None:
    made = [send(url, "echo", str(number))["id"] for number in range(5)]
    send(url, "files", "x")
    pages = [tasks(url, pageSize=2)]
    while token := pages[-1]["nextPageToken"]:
        pages.append(tasks(url, pageSize=2, pageToken=token))
    assert [id_ for page in pages for id_ in ids(page)] == made[::-1]
    assert [len(page["tasks"]) for page in pages] == [2, 2, 1]
    assert [page["totalSize"] for page in pages] == [3, 5, 5]
    assert {page["pageSize"] for page in pages} == {2}
    whole = tasks(url)
    assert (whole["nextPageToken"], whole["totalSize"], whole["pageSize"]) == ("", 5, 50)


def test_results_and_history_are_listed_when_asked_for(url: str) -> None:
    task = send(url, "echo", "x")
    (bare,) = tasks(url)["tasks"]
    assert "artifacts" not in bare
    assert "history" not in bare
    (full,) = tasks(url, includeArtifacts=True, historyLength=1)["tasks"]
    assert full == task


def test_a_task_is_listed_once_at_its_last_run(url: str) -> None:
    first = send(url, "asker", "write")
    second = send(url, "asker", "write")
    send(url, "asker", YES, taskId=first["id"])
    found = tasks(url, "asker")
    assert ids(found) == [first["id"], second["id"]]
    assert [state_of(task) for task in found["tasks"]] == ["COMPLETED", "INPUT_REQUIRED"]
    assert ids(tasks(url, "asker", status="TASK_STATE_INPUT_REQUIRED")) == [second["id"]]
    assert ids(tasks(url, "asker", status="TASK_STATE_COMPLETED")) == [first["id"]]
    assert ids(tasks(url, "asker", contextId=second["contextId"])) == [second["id"]]
    assert ids(tasks(url, "asker", contextId="other")) == []


def test_tasks_since_a_time(url: str) -> None:
    task = send(url, "echo", "x")
    hour = timedelta(hours=1)
    for since, expected in ((-hour, [task["id"]]), (hour, [])):
        text = (datetime.now(UTC) + since).isoformat()
        assert ids(tasks(url, statusTimestampAfter=text)) == expected


def test_http_json_takes_the_parameters_from_the_query(url: str) -> None:
    task = send(url, "echo", "x")
    query = "?pageSize=1&includeArtifacts=true&historyLength=1&status=TASK_STATE_COMPLETED"
    reply = fetch(url, "GET", f"/echo/a2a/tasks{query}", None, None, VERSION)
    assert json.loads(reply.body)["tasks"] == [task]
    for wrong in ("pageSize=0", "pageSize=101", "status=x", "pageToken=x", "includeArtifacts=2"):
        reply = fetch(url, "GET", f"/echo/a2a/tasks?{wrong}", None, None, VERSION)
        error = json.loads(reply.body)["error"]
        assert reason_of(error) == (400, "INVALID_PARAMS")
        assert error["details"][1]["fieldViolations"][0]["field"] == wrong.partition("=")[0]
    token = "1.resp_" + "0" * 32
    reply = fetch(url, "GET", f"/echo/a2a/tasks?pageToken={token}", None, None, VERSION)
    assert reason_of(json.loads(reply.body)["error"]) == (400, "INVALID_PARAMS")


def test_only_a_known_user_gets_a_list(serve: Serve) -> None:
    url = serve(app())
    send(url, "echo", "x")
    error = call(url, "echo", "ListTasks")["error"]
    assert reason_of(error) == (-32000, "AUTHENTICATION_REQUIRED")
    reply = fetch(url, "GET", "/echo/a2a/tasks", None, None, VERSION)
    assert (reply.status, json.loads(reply.body)["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_the_tasks_of_others_are_not_there(serve: Serve, store_url: str) -> None:
    url = serve(app(store=store_url, authenticate=TOKENS, timeouts=QUICK))
    task = send(url, "asker", "write", token=ANN)
    assert ids(tasks(url, "asker", ANN)) == [task["id"]]
    assert ids(tasks(url, "asker", BOB)) == []
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        error = call(url, "asker", method, {"id": task["id"]}, BOB)["error"]
        assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
    answer = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [YES]}}
    answer["message"]["taskId"] = task["id"]
    error = call(url, "asker", "SendMessage", answer, BOB)["error"]
    assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
    theirs = send(url, "asker", "write", token=ANN, contextId="mine")
    mine = send(url, "asker", "write", token=BOB, contextId="mine")
    assert theirs["contextId"] == mine["contextId"]
    assert ids(tasks(url, "asker", BOB, contextId="mine")) == [mine["id"]]


def test_a_task_of_many_turns_costs_no_walk_for_each(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = MemoryStore(), list[str]()

    def counted(name: str) -> Any:
        method = getattr(store, name)

        async def call(*arguments: Any) -> Any:
            asked.append(name)
            return await method(*arguments)

        return call

    for name in ("get", "by_key", "find_approvals"):
        monkeypatch.setattr(store, name, counted(name))
    url = serve(app(store=store, single_user=True, timeouts=QUICK))
    task = send(url, "asker", "write")
    counts = []
    for _ in range(2):
        for _ in range(8):
            send(url, "asker", AGAIN, taskId=task["id"])
        asked.clear()
        assert ids(tasks(url, "asker")) == [task["id"]]
        counts.append(len(asked))
    assert counts[1] < 2.5 * counts[0]
