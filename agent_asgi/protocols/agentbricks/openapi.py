"""The OpenAPI operations of Agent Bricks' invocations."""

from ...schema.openapi import (
    ALONE,
    BOOLEAN,
    JSON,
    QUESTION,
    STREAM,
    TEXT,
    Operation,
    Schema,
    one_of,
    parameter,
    ref,
)

_ID = {"type": "string", "format": "uuid"}
_FRAME = {"type": "object", "properties": {"id": TEXT, "event": TEXT, "data": TEXT}}
INVOCATION = Operation(
    "Run the agent with the invocation API of Databricks Agent Bricks",
    {JSON: ref("InvocationState"), STREAM: _FRAME},
    (*ALONE, 404, 409, 422),
    "Invocation",
    runs=True,
    modes=(),
    statuses=(200, 202),
    description="Requests with the same `id` share one run. A background run is answered with 202.",
    example={
        "id": "0b6f9a4e-6c0f-4a3e-9d57-3a1f0c5a7c11",
        "input": [{"role": "user", "content": QUESTION}],
    },
)
OPERATIONS = {
    "InvocationState": Operation(
        "Get the state of an invocation",
        {JSON: ref("InvocationState")},
        (404, 429, 503),
    ),
    "InvocationEvents": Operation(
        "Follow the events of an invocation",
        {STREAM: _FRAME},
        (400, 404, 429, 503),
        parameters=(
            parameter(
                "after",
                "query",
                "Return the events after this number.",
                type="integer",
                minimum=0,
                maximum=(1 << 31) - 1,
            ),
        ),
    ),
}
"""Operations on stored invocations, by the names of their routes."""
SCHEMAS: dict[str, Schema] = {
    "Invocation": {
        "type": "object",
        "properties": {
            "id": _ID,
            "session_id": {"type": ["string", "null"], "minLength": 1},
            "input": {
                "description": "Chat messages, an object with `messages` or `resume`, or text."
            },
            "background": BOOLEAN,
            "stream": BOOLEAN,
        },
        "required": ["id"],
        "additionalProperties": False,
    },
    "InvocationState": {
        "type": "object",
        "properties": {
            "id": _ID,
            "status": one_of("queued", "active", "completed", "failed"),
            "output": {
                "type": "object",
                "properties": {"output": {"type": "array"}, "status": TEXT},
            },
            "error": TEXT,
            "status_url": TEXT,
            "events_url": TEXT,
        },
        "required": ["id", "status"],
    },
}
