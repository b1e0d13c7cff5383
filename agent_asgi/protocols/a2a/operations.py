"""The operations on tasks, by their names in JSON-RPC."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from ..cancel import cancelled
from .call import Call
from .errors import A2AError, PushNotSupported
from .exchange import Exchange, TaskRun
from .listing import list_tasks
from .push import create_config, delete_config, get_config, list_configs
from .schema import (
    GetTaskRequest,
    ListPushConfigsRequest,
    ListTasksRequest,
    PushConfigRequest,
    SendMessageRequest,
    TaskPushNotificationConfig,
    TaskRequest,
)
from .send import send_message, send_streaming_message
from .stored import turn_of
from .task import TaskView


class Operation(NamedTuple):
    """An operation."""

    run: Callable[[Call], Awaitable[None]]
    """Sends the answer."""
    params: type[Any]
    """The type of the parameters."""
    counted: bool = True
    """Whether it counts as a stream until the client has read the answer. One that may begin a
    stream does so by itself."""


async def get_task(call: Call) -> None:
    """Answer with a task."""
    params: GetTaskRequest = call.params
    task = await call.task(params.id)
    await call.respond(task.view.task(params.history_length))


async def cancel_task(call: Call) -> None:
    """Cancel a task's run, and answer with the task."""
    task = await call.task(call.params.id)
    if not task.record.active:
        state = task.view.status().state
        message = f"Task {task.view.id!r} cannot be canceled; its state is {state}."
        raise A2AError("TASK_NOT_CANCELABLE", message)
    record = await cancelled(call.runtime, task.record)
    view = TaskView([*task.view.turns[:-1], turn_of(record)])
    await call.respond(view.task())


async def subscribe_to_task(call: Call) -> None:
    """Answer with a stream of a task and its updates; of one that waits, with the task alone."""
    record, view = await call.task(call.params.id)
    if not record.active and not view.last.waiting:
        message = f"Task {view.id!r} has ended. Get it instead."
        raise A2AError("UNSUPPORTED_OPERATION", message)
    exchange = Exchange(call.binding, view.turns[:-1])
    await TaskRun(call, exchange).follow(record, view)


async def refuse_push(_: Call) -> None:
    """Refuse the management of push notifications."""
    raise PushNotSupported


async def refuse_card(_: Call) -> None:
    """Refuse an extended card."""
    raise A2AError("UNSUPPORTED_OPERATION", "The agent has no extended card.")


PUSH = {
    "CreateTaskPushNotificationConfig": Operation(create_config, TaskPushNotificationConfig),
    "GetTaskPushNotificationConfig": Operation(get_config, PushConfigRequest),
    "ListTaskPushNotificationConfigs": Operation(list_configs, ListPushConfigsRequest),
    "DeleteTaskPushNotificationConfig": Operation(delete_config, PushConfigRequest),
}
"""The operations on push notifications, where the server sends them."""
OPERATIONS = {
    "SendMessage": Operation(send_message, SendMessageRequest, counted=False),
    "SendStreamingMessage": Operation(send_streaming_message, SendMessageRequest, counted=False),
    "GetTask": Operation(get_task, GetTaskRequest),
    "ListTasks": Operation(list_tasks, ListTasksRequest),
    "CancelTask": Operation(cancel_task, TaskRequest, counted=False),
    "SubscribeToTask": Operation(subscribe_to_task, TaskRequest, counted=False),
    **dict.fromkeys(PUSH, Operation(refuse_push, msgspec.Raw)),
    "GetExtendedAgentCard": Operation(refuse_card, msgspec.Raw),
}
