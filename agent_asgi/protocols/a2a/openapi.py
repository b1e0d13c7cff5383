"""The OpenAPI operations of A2A, and its schemas."""

from collections.abc import Mapping
from functools import cache
from typing import get_args

from msgspec import Struct

from ...schema.openapi import (
    JSON,
    NUMBER,
    QUESTION,
    STREAM,
    TEXT,
    Operation,
    Schema,
    components,
    frames,
    object_of,
    one_of,
    parameter,
    ref,
)
from . import schema
from .endpoints import SUPPORTED, VERSION_HEADER
from .listing import UNSPECIFIED
from .operations import OPERATIONS as METHODS

A2A_JSON = "application/a2a+json"
_VERSION = parameter(
    VERSION_HEADER, "header", "The version of the protocol.", pattern=f"^{SUPPORTED}$"
) | {"required": True, "example": "1.0"}
_LENGTH = {"type": "integer", "minimum": 0, "maximum": (1 << 31) - 1}
_HISTORY = parameter("historyLength", "query", "How many messages of the history.") | {
    "schema": _LENGTH
}
_MESSAGE = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": QUESTION}]}
_RUN = (400, 404, 408, 409, 413, 415, 429, 500, 503)
_FOUND = (400, 404, 408, 413, 415, 429, 503)
_REFUSED = (400, 408, 413, 415, 503)
_UPDATES = frames(ref("A2A.StreamResponse"))


def _operation(
    summary: str,
    answers: dict[str, Schema],
    errors: tuple[int, ...],
    body: str | None = None,
    parameters: tuple[Schema, ...] = (),
) -> Operation:
    return Operation(
        summary,
        answers,
        errors,
        body,
        (_VERSION, *parameters),
        modes=(),
        example={"message": _MESSAGE},
        error="A2A.Error",
    )


def _send(summary: str, answers: dict[str, Schema]) -> Operation:
    return _operation(summary, answers, _RUN, "A2A.SendMessageRequest")


def _refused(summary: str) -> Operation:
    return _operation(summary, {}, _REFUSED)


def _push(summary: str, answer: Schema, body: str | None = None) -> Operation:
    operation = _operation(summary, {A2A_JSON: answer}, _FOUND, body)
    return operation._replace(example={"url": "https://hooks.example.com/"})


_TASK = {A2A_JSON: ref("A2A.Task")}
_LIST = (
    parameter("contextId", "query", "The conversation. Default: all."),
    parameter(
        "status",
        "query",
        "The state. Default: all.",
        enum=[*get_args(schema.TaskState), UNSPECIFIED],
    ),
    parameter("pageSize", "query", "Size of a page.", type="integer", minimum=1, maximum=100),
    parameter("pageToken", "query", "The `nextPageToken` of the page before."),
    _HISTORY,
    parameter("statusTimestampAfter", "query", "Since when.", format="date-time"),
    parameter("includeArtifacts", "query", "Whether results are included.", type="boolean"),
)
OPERATIONS = {
    "A2A": Operation(
        "Talk to the agent with A2A over JSON-RPC",
        {
            JSON: {"anyOf": [ref("A2A.RpcResult"), ref("A2A.RpcError")]},
            STREAM: frames(ref("A2A.RpcResult")),
        },
        (400, 408, 413, 415, 429, 503),
        "A2A.RpcRequest",
        (_VERSION,),
        modes=(),
        description="The methods `SendStreamingMessage` and `SubscribeToTask` answer with "
        "server-sent events. The status of most errors is 200.",
        example={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendMessage",
            "params": {"message": _MESSAGE},
        },
        error="A2A.RpcError",
    ),
    "A2A.card": Operation("Get the agent's A2A card", {JSON: ref("A2A.AgentCard")}, open=True),
    "A2A.SendMessage": _send(
        "Send the agent a message (A2A)", {A2A_JSON: ref("A2A.SendMessageResponse")}
    ),
    "A2A.SendStreamingMessage": _send(
        "Send the agent a message, and follow its task (A2A)", {STREAM: _UPDATES}
    ),
    "A2A.GetTask": _operation("Get a task (A2A)", _TASK, _FOUND, None, (_HISTORY,)),
    "A2A.ListTasks": _operation(
        "List the user's tasks (A2A)",
        {A2A_JSON: ref("A2A.ListTasksResponse")},
        (403, *_REFUSED, 429),
        None,
        _LIST,
    ),
    "A2A.CancelTask": _operation("Cancel a task (A2A)", _TASK, _FOUND),
    "A2A.SubscribeToTask": _operation("Follow a task (A2A)", {STREAM: _UPDATES}, _FOUND),
    "A2A.CreateTaskPushNotificationConfig": _refused(
        "Not supported: configure notifications (A2A)"
    ),
    "A2A.ListTaskPushNotificationConfigs": _refused("Not supported: list notifications (A2A)"),
    "A2A.GetTaskPushNotificationConfig": _refused("Not supported: get a notification (A2A)"),
    "A2A.DeleteTaskPushNotificationConfig": _refused("Not supported: delete a notification (A2A)"),
    "A2A.GetExtendedAgentCard": _refused("Not supported: get an extended card (A2A)"),
}
"""The operations, by the names of their routes."""
_CONFIG = ref("A2A.TaskPushNotificationConfig")
PUSH = {
    "A2A.CreateTaskPushNotificationConfig": _push(
        "Add a push notification for a task (A2A)", _CONFIG, "A2A.TaskPushNotificationConfig"
    ),
    "A2A.ListTaskPushNotificationConfigs": _push(
        "List the push notifications of a task (A2A)",
        ref("A2A.ListTaskPushNotificationConfigsResponse"),
    ),
    "A2A.GetTaskPushNotificationConfig": _push("Get a push notification of a task (A2A)", _CONFIG),
    "A2A.DeleteTaskPushNotificationConfig": _push(
        "Delete a push notification of a task (A2A)", {"type": "object"}
    ),
}
"""The operations on push notifications, where the server sends them."""
_ANY_ID: Schema = {"type": ["string", "number", "null"]}
_CONTENTS: dict[str, Schema] = {"text": TEXT, "raw": TEXT, "url": TEXT, "data": {}}


@cache
def schemas(*, push: bool) -> Mapping[str, Schema]:
    """Return the components of A2A, by name.

    Args:
        push: Whether there are push notifications.
    """
    structs: list[type[Struct]] = [schema.SendMessageRequest, schema.SendMessageResponse]
    structs += [schema.StreamResponse, schema.ListTasksResponse]
    if push:
        structs.append(schema.ListTaskPushNotificationConfigsResponse)
    made = components(structs, {"task_push_notification_config": {}}, (schema,), "A2A.")
    made["A2A.Part"]["oneOf"] = [
        {"required": [name], "properties": {name: shape}} for name, shape in _CONTENTS.items()
    ]
    by_user = {"properties": {"role": one_of("ROLE_USER")}}
    sent = made["A2A.SendMessageRequest"]["properties"]
    sent["message"] = {"allOf": [ref("A2A.Message"), by_user]}
    options = made["A2A.SendMessageConfiguration"]["properties"]
    options["taskPushNotificationConfig"] = _CONFIG if push else {"type": "null"}
    detail = object_of(**{"@type": TEXT})
    error = object_of(code=NUMBER, message=TEXT, data={"type": "array", "items": detail})
    named = object_of(jsonrpc=one_of("2.0"), method=one_of(*METHODS))
    named["properties"] |= {"id": _ANY_ID, "params": {"type": "object"}}
    return made | {
        "A2A.RpcRequest": named,
        "A2A.RpcResult": object_of(jsonrpc=one_of("2.0"), id=_ANY_ID, result={"type": "object"}),
        "A2A.RpcError": object_of(jsonrpc=one_of("2.0"), id=_ANY_ID, error=error),
        "A2A.Error": object_of(
            error=object_of(
                code=NUMBER, status=TEXT, message=TEXT, details={"type": "array", "items": detail}
            )
        ),
        "A2A.AgentCard": object_of(
            name=TEXT,
            description=TEXT,
            version=TEXT,
            supportedInterfaces={"type": "array", "items": {"type": "object"}},
            capabilities={"type": "object"},
            skills={"type": "array", "items": {"type": "object"}},
        ),
    }
