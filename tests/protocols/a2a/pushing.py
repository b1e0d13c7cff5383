"""An app with push notifications, and plain requests to it."""

import json
from typing import Any

from agent_asgi import AgentApp
from agent_asgi.protocols import A2A
from tests.protocols.a2a.agents import VERSION, Json, call, message, routers
from tests.support.asking import Reply, fetch
from tests.support.calling import QUICK
from tests.support.receiver import Received, Receiver

TOKEN, CREDENTIALS = "token-5a1c-secret", "key-77e0-secret"


def host(receiver: Receiver) -> str:
    return f"localhost:{receiver.port}"


def notifying(*hosts: str, **options: Any) -> AgentApp:
    """Create an app of all agents, which notifies some hosts."""
    given: dict[str, Any] = {"single_user": True, "timeouts": QUICK, **options}
    return AgentApp(*routers(), protocols=[A2A(push_hosts=hosts)], **given)


def config(receiver: Receiver, **fields: Any) -> Json:
    """Return a configuration with secrets."""
    how = {"scheme": "Bearer", "credentials": CREDENTIALS}
    url = f"https://{host(receiver)}/hook"
    return {"url": url, "token": TOKEN, "authentication": how, **fields}


def begin(url: str, agent: str, text: str, push: Json | None, **fields: Any) -> Json:
    """Send a message that names who is notified; return the task at once."""
    options: Json = {"returnImmediately": True}
    options |= {} if push is None else {"taskPushNotificationConfig": push}
    params = {"message": message(text, **fields), "configuration": options}
    answer = call(url, agent, "SendMessage", params)
    assert "result" in answer, answer
    assert "secret" not in json.dumps(answer)
    task: Json = answer["result"]["task"]
    return task


def rest(url: str, method: str, path: str, body: Any = None, token: str | None = None) -> Reply:
    return fetch(url, method, f"/slow/a2a/tasks/{path}", token, body, VERSION)


def status_in(request: Received) -> Json:
    """Return the update in a notification."""
    update: Json = request.event.pop("statusUpdate")
    assert request.event.keys() == {"statusUpdate"}
    return update
