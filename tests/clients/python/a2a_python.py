"""Talks to the agents of tests/protocols/a2a with a2a-sdk: `... URL BINDING`, `JSONRPC` or
`HTTP+JSON`. Prints what it saw, as JSON. `... URL BINDING pushed` manages push notifications.
"""

import asyncio
import json
import sys
from typing import Any

from a2a.client import ClientConfig, create_client
from a2a.helpers import get_artifact_text, new_data_message, new_text_message
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
    TaskState,
)

Json = dict[str, Any]


class Talk:
    """A client of one agent.

    Args:
        url: The base URL of the app.
        binding: The binding.
        agent: The agent.
        options: Further options of the client's configuration.
    """

    def __init__(self, url: str, binding: str, agent: str, **options: Any) -> None:
        self._url = f"{url}/{agent}"
        self._config = ClientConfig(supported_protocol_bindings=[binding], **options)

    async def __aenter__(self) -> "Talk":
        self.client = await create_client(self._url, self._config)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def send(self, content: Any, **fields: Any) -> Json:
        """Send a message; return the task as the events add up to it."""
        return added_up([event async for event in self.events(content, **fields)])

    async def events(self, content: Any, **fields: Any) -> Any:
        """Send a message, and yield the events."""
        make = new_text_message if isinstance(content, str) else new_data_message
        message = make(content, role=Role.ROLE_USER, **fields)
        async for event in self.client.send_message(SendMessageRequest(message=message)):
            yield event


def added_up(events: list[Any]) -> Json:
    """Return a task as a client puts it together from its events."""
    task = events[0].task
    artifacts = {artifact.artifact_id: artifact for artifact in task.artifacts}
    states = [task.status.state]
    for event in events[1:]:
        if event.HasField("status_update"):
            states.append(event.status_update.status.state)
            continue
        update = event.artifact_update
        if update.append:
            artifacts[update.artifact.artifact_id].parts.extend(update.artifact.parts)
        else:
            artifacts[update.artifact.artifact_id] = update.artifact
    return {
        "id": task.id,
        "contextId": task.context_id,
        "states": [TaskState.Name(state).removeprefix("TASK_STATE_") for state in states],
        "text": "".join(map(get_artifact_text, artifacts.values())),
    }


def plain(task: Any) -> Json:
    """Return a task that was fetched."""
    state = TaskState.Name(task.status.state).removeprefix("TASK_STATE_")
    return {"id": task.id, "state": state, "text": "".join(map(get_artifact_text, task.artifacts))}


async def failure(awaitable: Any) -> str:
    """Return the name of the error that a call raises."""
    try:
        await awaitable
    except Exception as error:
        return type(error).__name__
    return "none"


async def consumed(events: Any) -> list[Any]:
    return [event async for event in events]


async def texts(url: str, binding: str) -> Json:
    """Talk with streams and without; get, list."""
    async with (
        Talk(url, binding, "echo") as talk,
        Talk(url, binding, "echo", streaming=False) as quiet,
    ):
        first = await talk.send("one")
        second = await quiet.send("two", context_id=first["contextId"])
        fetched = await talk.client.get_task(GetTaskRequest(id=first["id"]))
        listed = await talk.client.list_tasks(ListTasksRequest(context_id=first["contextId"]))
        return {
            "first": first,
            "second": second,
            "fetched": plain(fetched),
            "listed": [task.id for task in listed.tasks],
            "total": listed.total_size,
        }


async def long_run(url: str, binding: str) -> Json:
    """Leave a stream, subscribe to its task, cancel it."""
    async with Talk(url, binding, "slow") as talk:
        events = talk.events("600")
        task = (await anext(events)).task
        await events.aclose()
        seen = []
        async for event in talk.client.subscribe(SubscribeToTaskRequest(id=task.id)):
            seen.append(event)
            if len(seen) == 5:
                await talk.client.cancel_task(CancelTaskRequest(id=task.id))
        again = talk.client.cancel_task(CancelTaskRequest(id=task.id))
        ended = talk.client.subscribe(SubscribeToTaskRequest(id=task.id))
        return {
            "same": seen[0].task.id == task.id,
            "last": added_up(seen)["states"][-1],
            "again": await failure(again),
            "ended": await failure(consumed(ended)),
        }


async def polled(url: str, binding: str) -> Json:
    """Return at once, then poll."""
    async with Talk(url, binding, "slow", streaming=False, polling=True) as talk:
        task = await talk.send("3")
        found = task
        for _ in range(100):
            found = plain(await talk.client.get_task(GetTaskRequest(id=task["id"])))
            if found["state"] == "COMPLETED":
                break
            await asyncio.sleep(0.1)
        return {"first": task["states"], "text": found["text"]}


async def approved(url: str, binding: str) -> Json:
    """Answer an approval request."""
    async with Talk(url, binding, "asker") as talk:
        asked = await talk.send("write")
        done = await talk.send({"approve": True}, task_id=asked["id"])
        return {
            "asked": asked["states"][-1],
            "same": asked["id"] == done["id"],
            "done": done["text"],
        }


async def errors(url: str, binding: str) -> Json:
    """Meet the errors."""
    nobody = "resp_" + "0" * 32
    async with Talk(url, binding, "echo") as talk, Talk(url, binding, "failing") as failing:
        client = talk.client
        push = TaskPushNotificationConfig(task_id=nobody, url="https://example.com")
        done = await talk.send("x")
        card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
        return {
            "get": await failure(client.get_task(GetTaskRequest(id=nobody))),
            "push": await failure(client.create_task_push_notification_config(push)),
            "context": await failure(talk.send("x", context_id="a/b")),
            "ended": await failure(talk.send("x", task_id=done["id"])),
            "failed": (await failing.send("yes"))["states"][-1],
            "card": card.name,
        }


async def pushed(url: str, binding: str) -> Json:
    """Manage who is notified of a task."""
    async with Talk(url, binding, "echo") as talk:
        client, id_ = talk.client, (await talk.send("x"))["id"]
        push = TaskPushNotificationConfig(
            task_id=id_, id="a", url="https://hooks.example.com/", token="secret"
        )
        made = await client.create_task_push_notification_config(push)
        named = GetTaskPushNotificationConfigRequest(task_id=id_, id="a")
        got = await client.get_task_push_notification_config(named)
        every = ListTaskPushNotificationConfigsRequest(task_id=id_)
        listed = (await client.list_task_push_notification_configs(every)).configs
        gone = DeleteTaskPushNotificationConfigRequest(task_id=id_, id="a")
        await client.delete_task_push_notification_config(gone)
        return {
            "same": made == got == listed[0],
            "made": [made.task_id == id_, made.id, made.url, made.token],
            "gone": await failure(client.get_task_push_notification_config(named)),
        }


async def main(url: str, binding: str, only: str = "") -> None:
    scenarios = (pushed,) if only else (texts, long_run, polled, approved, errors)
    seen = {each.__name__: await each(url, binding) for each in scenarios}
    print(json.dumps(seen))  # noqa: T201


asyncio.run(main(*sys.argv[1:]))
