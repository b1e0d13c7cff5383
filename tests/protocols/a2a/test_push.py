"""Push notifications: who is told when a task ends, and what nobody is told."""

import json
import logging
import os
import signal
import time
from pathlib import Path

import pytest

from agent_asgi.background import deliverer
from tests.protocols.a2a.agents import (
    call,
    get,
    message,
    reason_of,
    state_of,
    text_of,
)
from tests.protocols.a2a.pushing import (
    CREDENTIALS,
    TOKEN,
    begin,
    config,
    host,
    notifying,
    status_in,
)
from tests.support.asking import fetch
from tests.support.calling import Serve, until
from tests.support.commands import command, running
from tests.support.receiver import Receiver
from tests.support.servers import free_port


def test_each_end_is_notified_with_the_secrets(
    serve: Serve, store_url: str, receiver: Receiver
) -> None:
    url = serve(notifying(host(receiver), store=store_url))
    ends = [("echo", "COMPLETED"), ("failing", "FAILED"), ("asker", "INPUT_REQUIRED")]
    for count, (agent, state) in enumerate([*ends, ("slow", "CANCELED")], 1):
        task = begin(url, agent, "600", config(receiver))
        if agent == "slow":
            call(url, agent, "CancelTask", {"id": task["id"]})
        request = receiver.wait(count)[-1]
        assert request.headers["content-type"] == "application/a2a+json"
        assert request.headers["authorization"] == f"Bearer {CREDENTIALS}"
        assert request.headers["x-a2a-notification-token"] == TOKEN
        update = status_in(request)
        assert (update["taskId"], update["contextId"]) == (task["id"], task["contextId"])
        assert state_of(update) == state
        found = get(url, agent, task["id"])
        assert found["status"].get("message") == update["status"].get("message")
        assert "secret" not in json.dumps([found, update])
    time.sleep(0.5)
    assert len(receiver.requests) == 4


def test_nobody_else_is_notified(serve: Serve, receiver: Receiver) -> None:
    url = serve(notifying(host(receiver)))
    first = begin(url, "echo", "x", None)
    until(lambda: state_of(get(url, "echo", first["id"])), "COMPLETED".__eq__)
    last = begin(url, "echo", "x", config(receiver))
    assert status_in(receiver.wait(1)[0])["taskId"] == last["id"]
    time.sleep(0.5)
    assert len(receiver.requests) == 1


def test_a_task_that_goes_on_is_notified_under_its_id(
    serve: Serve, store_url: str, receiver: Receiver
) -> None:
    url = serve(notifying(host(receiver), store=store_url))
    task = begin(url, "asker", "send it", config(receiver, id="one"))
    receiver.wait(1)
    again = config(receiver, id="two", url=f"https://{host(receiver)}/two", token="t")
    answer = {"message": message({"data": {"approve": True}}, taskId=task["id"])}
    answer["configuration"] = {"taskPushNotificationConfig": again}
    ended = call(url, "asker", "SendMessage", answer)["result"]["task"]
    assert text_of(ended).endswith("The mail is sent.")
    _, *requests = receiver.wait(3)
    assert {each.path for each in requests} == {"/hook", "/two"}
    for request in requests:
        update = status_in(request)
        assert (update["taskId"], update["contextId"]) == (task["id"], task["contextId"])
        assert state_of(update) == "COMPLETED"


def test_it_is_tried_again_until_it_is_accepted(
    serve: Serve, store_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500, 302]
    with caplog.at_level(logging.DEBUG, "agent_asgi"):
        url = serve(notifying(host(receiver), store=store_url))
        begin(url, "echo", "x", config(receiver))
        requests = receiver.wait(3)
        time.sleep(0.5)
    assert [each.path for each in requests] == ["/hook"] * 3  # no redirect is followed
    assert len({each.body for each in requests}) == 1
    assert {each.headers["authorization"] for each in requests} == {f"Bearer {CREDENTIALS}"}
    assert "attempt 1" in caplog.text
    assert "secret" not in caplog.text


def test_what_belongs_to_a_task_is_deleted_with_it(
    serve: Serve, store_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [503] * 9
    app = notifying(host(receiver), store=store_url)
    url = serve(app)
    monkeypatch.setattr(deliverer, "WAITS", (1.0,) * 9)
    id_ = begin(url, "echo", "x", config(receiver, id="a"))["id"]
    receiver.wait(1)
    assert fetch(url, "DELETE", f"/responses/{id_}").status == 200
    time.sleep(1.5)
    assert len(receiver.requests) == 1
    named = {"taskId": id_, "id": "a"}
    error = call(url, "echo", "GetTaskPushNotificationConfig", named)["error"]
    assert reason_of(error) == (-32001, "TASK_NOT_FOUND")


def test_a_configuration_that_is_deleted_is_not_tried_again(
    serve: Serve, store_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [503] * 9
    url = serve(notifying(host(receiver), store=store_url))
    monkeypatch.setattr(deliverer, "WAITS", (1.0,) * 9)
    id_ = begin(url, "echo", "x", config(receiver, id="a"))["id"]
    receiver.wait(1)
    named = {"taskId": id_, "id": "a"}
    assert call(url, "echo", "DeleteTaskPushNotificationConfig", named)["result"] == {}
    time.sleep(1.5)
    assert len(receiver.requests) == 1


def test_a_host_that_leads_into_the_network_is_not_called(
    serve: Serve,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(deliverer, "WAITS", (0.1,))
    with caplog.at_level(logging.WARNING, "agent_asgi"):
        begin(serve(notifying(host(receiver))), "echo", "x", config(receiver))
        until(lambda: "has no public address" in caplog.text, (True).__eq__, 20)
    assert receiver.requests == []


def test_a_server_calls_the_hosts_that_it_allows(
    serve: Serve, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "WAITS", (0.2,) * 9)
    receiver.answers = [503] * 6  # the other server looks for deliveries meanwhile
    store = f"sqlite:///{tmp_path}/r.db"
    first = serve(notifying(host(receiver), store=store))
    serve(notifying("hooks.example.com", store=store))
    task = begin(first, "echo", "x", config(receiver))
    receiver.wait(7)
    assert state_of(get(first, "echo", task["id"])) == "COMPLETED"


APP = """
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.background import deliverer, outgoing
from agent_asgi.protocols import A2A

deliverer.WAITS, deliverer.LEASE_SECONDS, deliverer.POLL_SECONDS = (1.0,) * 9, 2.0, 0.2
outgoing.is_public = lambda address: address.version == 4
router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return request.input_text

app = AgentApp(router, store={store!r}, protocols=[A2A(push_hosts=[{host!r}])])
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_it_survives_a_kill(
    kind: str, tmp_path: Path, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    store = "sqlite:///r.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    (tmp_path / "served.py").write_text(APP.format(host=host(receiver), store=store))
    receiver.answers = [503]
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port))
    with running(argv, tmp_path, port) as first:
        task = begin(f"http://127.0.0.1:{port}", "", "x", config(receiver))
        receiver.wait(1)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(10)
    with running(argv, tmp_path, port):
        *_, last = receiver.wait(2)
        assert status_in(last)["taskId"] == task["id"]
        assert last.headers["authorization"] == f"Bearer {CREDENTIALS}"
        time.sleep(2.5)
    assert len({each.body for each in receiver.requests}) == 1
