"""The OpenAPI operations of the Responses API."""

from ...schema.openapi import (
    ALONE,
    BOOLEAN,
    DONE,
    JSON,
    KEY,
    NUMBER,
    RETURN_TRACE,
    RUN,
    SESSION,
    STREAM,
    STREAMS,
    TEXT,
    Operation,
    frames,
    list_of,
    object_of,
    one_of,
    page_of,
    page_parameters,
    parameter,
    ref,
)

_ANSWERS = {JSON: ref("Response"), STREAM: frames(ref("Event"))}
RESPONSES = Operation(
    "Run the agent with the OpenAI Responses API",
    _ANSWERS,
    RUN,
    "ResponsesRequest",
    (KEY, SESSION, RETURN_TRACE),
    runs=True,
    linked=True,
    description=f"{STREAMS}{DONE} A GET of this path that upgrades to a WebSocket takes one turn "
    "after another: messages like this body with `type: response.create`.",
)
STORED = {
    "Compact": Operation(
        "Shorten a conversation",
        {
            JSON: object_of(
                id=TEXT,
                object=one_of("response.compaction"),
                created_at=NUMBER,
                output=list_of("OutputItem"),
                usage=ref("Usage"),
            )
        },
        (*ALONE, 404),
        "ResponsesRequest",
        (SESSION, RETURN_TRACE),
        runs=True,
        modes=("compact",),
        named=True,
    ),
    "not_offered": Operation("Count tokens: not supported", {}, (403, 404)),
    "Retrieve": Operation(
        "Get a stored response, or its events",
        _ANSWERS,
        (400, 404, 429, 503),
        parameters=(
            parameter("stream", "query", "Whether to return the events.", **BOOLEAN),
            parameter(
                "starting_after",
                "query",
                "Return the events after this `sequence_number`.",
                type="integer",
                minimum=0,
                maximum=(1 << 31) - 1,
            ),
        ),
    ),
    "Delete": Operation(
        "Delete a stored response; cancel its run if it is still in flight",
        {JSON: object_of(id=TEXT, object=one_of("response.deleted"), deleted=BOOLEAN)},
        (403, 404, 503),
    ),
    "Cancel": Operation(
        "Cancel a run; one that has ended does not change",
        {JSON: ref("Response")},
        (403, 404, 503),
    ),
    "InputItems": Operation(
        "List the input items of a stored response",
        {
            JSON: page_of("OutputItem"),
        },
        (400, 404, 503),
        parameters=(
            *page_parameters("item"),
            parameter(
                "order", "query", "`desc`: newest first; `asc`: oldest.", enum=["desc", "asc"]
            ),
        ),
    ),
    "ListResponses": Operation(
        "List the user's stored responses, newest first",
        {JSON: page_of("Response")},
        (400, 403, 503),
        parameters=page_parameters("response"),
    ),
}
"""Operations on stored responses, by the names of their routes."""
