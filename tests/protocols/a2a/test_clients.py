"""a2a-sdk and @a2a-js/sdk, in both bindings, against a real server."""

import json
import os
import subprocess
from typing import Any

import pytest

from agent_asgi import AgentApp
from tests.clients.packages import FOLDER, NODE, PYTHON
from tests.protocols.a2a.agents import Json, app
from tests.protocols.a2a.pushing import notifying
from tests.support.asking import fetch
from tests.support.calling import until
from tests.support.pages import ROOT
from tests.support.servers import serving

PROGRAMS = {
    "python": [str(PYTHON), "-m", "tests.clients.python.a2a_python"],
    "js": [str(NODE), str(FOLDER / "node" / "a2a_js.mjs")],
}
RUNS = [(name, binding) for name in PROGRAMS for binding in ("JSONRPC", "HTTP+JSON")]
STREAMED = ["SUBMITTED", "WORKING", "COMPLETED"]


def saw(client: str, binding: str, served: AgentApp, *scenario: str) -> Json:
    """Run a client's program against an app; return what it saw."""
    with serving(served) as server:
        until(lambda: fetch(server.url, "GET", "/ready").status, (200).__eq__, 60)
        done = subprocess.run(
            [*PROGRAMS[client], server.url, binding, *scenario],
            cwd=ROOT,
            env=os.environ | {"NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    seen: Json = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: "-".join(run))
def run(request: pytest.FixtureRequest) -> tuple[str, Json]:
    """Run a client's program; return the client and what it saw."""
    client, binding = request.param
    return client, saw(client, binding, app(single_user=True))


def test_texts_contexts_and_lists(run: tuple[str, Json]) -> None:
    seen = run[1]["texts"]
    first, second = seen["first"], seen["second"]
    assert (first["states"], first["text"]) == (STREAMED, "You said: one")
    assert second["text"] == "You said: one, two"
    assert seen["fetched"] == {"id": first["id"], "state": "COMPLETED", "text": first["text"]}
    assert seen["listed"] == [second["id"], first["id"]]
    assert seen["total"] == 2


def test_a_task_goes_on_without_its_stream_and_is_cancelled(run: tuple[str, Json]) -> None:
    client, seen = run
    assert seen["long_run"] == {
        "same": True,
        "last": "CANCELED",
        "again": "TaskNotCancelableError",
        "ended": "UnsupportedOperationError",
    }
    if client == "python":
        assert seen["polled"]["first"][0] in ("SUBMITTED", "WORKING")
        assert seen["polled"]["text"] == "0 1 2 "


def test_an_approval(run: tuple[str, Json]) -> None:
    seen = run[1]["approved"]
    done = "One moment. The mail is sent."
    assert seen == {"asked": "INPUT_REQUIRED", "same": True, "done": done}


def test_errors(run: tuple[str, Json]) -> None:
    client, told = run
    seen: dict[str, Any] = told["errors"]
    assert (seen["get"], seen["push"]) == ("TaskNotFoundError", "PushNotificationNotSupportedError")
    assert (seen["ended"], seen["failed"]) == ("UnsupportedOperationError", "FAILED")
    assert seen["context"] in ("InvalidParamsError", "RequestMalformedError")
    if client == "python":
        assert seen["card"] == "echo"


@pytest.mark.parametrize(("client", "binding"), RUNS)
def test_push_notifications_are_managed(client: str, binding: str) -> None:
    seen = saw(client, binding, notifying("hooks.example.com"), "pushed")["pushed"]
    assert seen == {
        "same": True,
        "made": [True, "a", "https://hooks.example.com/", ""],
        "gone": "TaskNotFoundError",
    }
