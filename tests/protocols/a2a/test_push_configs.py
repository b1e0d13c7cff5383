"""Who is notified of a task: the operations on that, and what is refused."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agent_asgi.protocols import A2A
from tests.protocols.a2a.agents import (
    Json,
    call,
    message,
    reason_of,
)
from tests.protocols.a2a.pushing import (
    begin,
    config,
    host,
    notifying,
    rest,
)
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.calling import Serve, until
from tests.support.receiver import Receiver
from tests.support.servers import serving

OPERATIONS = ("Create", "Get", "Delete")


def test_configurations_are_managed_and_keep_their_secrets(
    serve: Serve, store_url: str, receiver: Receiver
) -> None:
    url = serve(notifying(host(receiver), store=store_url))
    task = begin(url, "slow", "600", None)
    id_, place = task["id"], f"{task['id']}/pushNotificationConfigs"
    made = json.loads(rest(url, "POST", place, config(receiver, id="a")).body)
    assert made == {"taskId": id_, "id": "a", "url": f"https://{host(receiver)}/hook"}
    params = config(receiver, taskId=id_, url=f"https://{host(receiver)}/other")
    other = call(url, "slow", "CreateTaskPushNotificationConfig", params)["result"]
    assert len(other["id"]) == 32
    named = {"taskId": id_, "id": "a"}
    assert call(url, "slow", "GetTaskPushNotificationConfig", named)["result"] == made
    assert json.loads(rest(url, "GET", f"{place}/a").body) == made
    listed = call(url, "slow", "ListTaskPushNotificationConfigs", {"taskId": id_})["result"]
    assert listed == json.loads(rest(url, "GET", place).body)
    assert listed["nextPageToken"] == ""
    assert sorted(listed["configs"], key=str) == sorted([made, other], key=str)
    replaced = rest(url, "POST", place, config(receiver, id="a", url=made["url"] + "?b"))
    assert json.loads(replaced.body)["url"] == made["url"] + "?b"
    for _ in range(2):  # what is gone may be deleted again
        assert rest(url, "DELETE", f"{place}/{other['id']}").body == b"{}"
        assert call(url, "slow", "DeleteTaskPushNotificationConfig", other)["result"] == {}
    assert reason_of(json.loads(rest(url, "GET", f"{place}/{other['id']}").body)["error"]) == (
        404,
        "TASK_NOT_FOUND",
    )
    call(url, "slow", "CancelTask", {"id": id_})
    receiver.wait(1)
    time.sleep(0.5)
    assert [each.path for each in receiver.requests] == ["/hook?b"]


def test_a_task_has_some_configurations(serve: Serve, receiver: Receiver) -> None:
    url = serve(notifying(host(receiver)))
    id_ = begin(url, "slow", "600", None)["id"]
    for number in range(10):
        params = config(receiver, taskId=id_, id=str(number))
        assert "result" in call(url, "slow", "CreateTaskPushNotificationConfig", params)
    params = config(receiver, taskId=id_, id="10")
    error = call(url, "slow", "CreateTaskPushNotificationConfig", params)["error"]
    assert "at most 10" in error["message"]
    params = config(receiver, taskId=id_, id="9")  # takes the place of another
    assert "result" in call(url, "slow", "CreateTaskPushNotificationConfig", params)
    call(url, "slow", "CancelTask", {"id": id_})
    receiver.wait(10)


def test_the_configurations_of_others_do_not_exist(
    serve: Serve, store_url: str, receiver: Receiver
) -> None:
    app = notifying(host(receiver), store=store_url, authenticate=TOKENS, single_user=False)
    url = serve(app)
    sent = {"message": message("600"), "configuration": {"returnImmediately": True}}
    id_ = call(url, "slow", "SendMessage", sent, ANN)["result"]["task"]["id"]
    params = config(receiver, taskId=id_, id="a")
    assert "result" in call(url, "slow", "CreateTaskPushNotificationConfig", params, ANN)
    for name in (*OPERATIONS, "List"):
        method = f"{name}TaskPushNotificationConfig" + ("s" if name == "List" else "")
        error = call(url, "slow", method, params, BOB)["error"]
        assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
        error = call(url, "echo", method, params, ANN)["error"]  # the task of another agent
        assert reason_of(error) == (-32001, "TASK_NOT_FOUND")
    listed = call(url, "slow", "ListTaskPushNotificationConfigs", {"taskId": id_}, ANN)
    assert [each["id"] for each in listed["result"]["configs"]] == ["a"]
    call(url, "slow", "CancelTask", {"id": id_}, ANN)
    receiver.wait(1)


LONG = "x" * 5000
WRONG: list[tuple[Json, str]] = [
    ({"url": None}, "url"),
    ({"url": "http://localhost:{port}/"}, "url"),
    ({"url": "https://localhost/"}, "url"),
    ({"url": "https://localhost:{port}.example.com/"}, "url"),
    ({"url": "https://ann@localhost:{port}/"}, "url"),
    ({"url": "https://127.0.0.1:{port}/"}, "url"),
    ({"url": "https://evil.example.com\\@localhost:{port}/"}, "url"),
    ({"url": "https://localhost:{port}/\n"}, "url"),
    ({"url": "https://localhost:{port}/é"}, "url"),
    ({"url": "https://localhost:99999/"}, "url"),
    ({"url": "https://[/"}, "url"),
    ({"url": "https:///x"}, "url"),
    ({"url": "https://localhost:{port}/" + LONG}, "url"),
    ({"token": "a\r\nx: y"}, "token"),
    ({"token": " a"}, "token"),
    ({"token": ""}, "token"),
    ({"token": LONG}, "token"),
    ({"authentication": {}}, "authentication.scheme"),
    ({"authentication": {"scheme": "a b"}}, "authentication.scheme"),
    ({"authentication": {"scheme": "a", "credentials": "\n"}}, "authentication.credentials"),
    ({"id": ""}, "id"),
]


@pytest.fixture(scope="module")
def running_app() -> Iterator[tuple[str, str]]:
    """Serve an app that notifies port 444 of this machine; yield its URL and a task of it."""
    with serving(notifying("localhost:444")) as server:
        until(lambda: fetch(server.url, "GET", "/ready").status, (200).__eq__, 60)
        yield server.url, begin(server.url, "echo", "x", None)["id"]


@pytest.mark.parametrize(("fields", "field"), WRONG)
def test_a_wrong_configuration_is_refused(
    running_app: tuple[str, str], fields: Json, field: str
) -> None:
    url, id_ = running_app
    if isinstance(fields.get("url"), str):
        fields = {"url": fields["url"].replace("{port}", "444")}
    params = {"url": "https://localhost:444/", "taskId": id_} | fields
    sent = {"message": message("x"), "configuration": {"taskPushNotificationConfig": params}}
    created = rest(url, "POST", f"{id_}/pushNotificationConfigs", params)
    place = "configuration.taskPushNotificationConfig."
    for error, path in (
        (call(url, "echo", "CreateTaskPushNotificationConfig", params)["error"], field),
        (call(url, "echo", "SendMessage", sent)["error"], place + field),
        (json.loads(created.body)["error"], field),
    ):
        details = error["data"] if "data" in error else error["details"]
        assert reason_of(error)[1] == "INVALID_PARAMS"
        assert details[1]["fieldViolations"][0]["field"] == path


def test_the_card_says_so(serve: Serve) -> None:
    url = serve(notifying("hooks.example.com"))
    card = json.loads(fetch(url, "GET", "/echo/.well-known/agent-card.json").body)
    assert card["capabilities"]["pushNotifications"] is True


@pytest.mark.parametrize(
    ("hosts", "error"),
    [
        ("hooks.example.com", TypeError),
        ([5], TypeError),
        (["https://hooks.example.com"], ValueError),
        (["hooks.example.com/x"], ValueError),
        (["*"], ValueError),
        ([""], ValueError),
    ],
)
def test_wrong_hosts_are_refused(hosts: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"push_hosts|not a host"):
        A2A(push_hosts=hosts)


def test_hosts_have_no_case_and_443_is_no_port(serve: Serve) -> None:
    url = serve(notifying("Hooks.Example.com:443"))
    id_ = begin(url, "slow", "600", None)["id"]
    for where in ("https://hooks.example.com/a", "https://HOOKS.example.com:443"):
        params = {"taskId": id_, "url": where}
        made = call(url, "slow", "CreateTaskPushNotificationConfig", params)["result"]
        assert made["url"] == where
        call(url, "slow", "DeleteTaskPushNotificationConfig", made)
    call(url, "slow", "CancelTask", {"id": id_})
