"""The OpenAPI operations of `/invocations`."""

from ...schema.openapi import (
    ALONE,
    DONE,
    JSON,
    KEY,
    RETURN_TRACE,
    RUN,
    SESSION,
    STREAM,
    STREAMS,
    TEXT,
    Operation,
    frames,
    object_of,
    ref,
)

INVOCATIONS = Operation(
    "Run the agent with MLflow's variant of the Responses API",
    {
        JSON: ref("ShortResponse"),
        STREAM: frames({"anyOf": [ref("Event"), object_of(trace_id=TEXT)]}),
    },
    RUN,
    "ResponsesRequest",
    (KEY, SESSION, RETURN_TRACE),
    runs=True,
    linked=True,
    description=f"{STREAMS}{DONE}",
)
JSON_INVOCATIONS = Operation(
    "Run the agent: any JSON object in, any JSON out",
    {JSON: {}, STREAM: frames({})},
    ALONE,
    "",
    (SESSION, RETURN_TRACE),
    runs=True,
    description=f"{STREAMS}an output of the agent. `data: [DONE]` ends the stream.",
)
