"""The OpenAPI operation of AG-UI, and its schemas."""

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from ...schema.openapi import (
    JSON,
    KEY,
    QUESTION,
    RUN,
    STREAM,
    TEXT,
    Operation,
    Schema,
    components,
    object_of,
    ref,
)
from . import event_schema, request_schema

PREFIX = "AGUI."
_EVENTS = event_schema.AGUIEvent.__subclasses__()
RUN_AGENT = Operation(
    "Run the agent with AG-UI",
    {
        STREAM: object_of(
            data=TEXT | {"contentMediaType": JSON, "contentSchema": ref(PREFIX + "Event")}
        )
    },
    RUN,
    f"{PREFIX}RunAgentInput",
    (KEY,),
    runs=True,
    modes=(),
    description="The data of each frame is an event described by the schema.",
    example={
        "threadId": "thread-1",
        "runId": "run-1",
        "messages": [{"id": "1", "role": "user", "content": QUESTION}],
    },
)


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components of AG-UI, by name."""
    structs: list[type[Struct]] = [
        request_schema.RunAgentInput,
        request_schema.ApprovalPayload,
        *_EVENTS,
    ]
    made = components(structs, {}, (request_schema, event_schema), prefix=PREFIX)
    given = [{"properties": {name: TEXT}, "required": [name]} for name in ("data", "url", "id")]
    made[f"{PREFIX}BinaryPart"]["anyOf"] = given
    events = [ref(PREFIX + event.__name__) for event in _EVENTS]
    return made | {f"{PREFIX}Event": {"anyOf": events}}
