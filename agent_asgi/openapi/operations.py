"""What each operation of the document takes and answers, by the name of its route."""

from typing import Any, NamedTuple

from .components import Schema, list_of, ref

ERRORS = {
    400: "The request is at fault; `param` names the field. Codes `invalid_json`, "
    "`invalid_request`, `not_supported`, `item_not_found`, `nested_too_deeply`, `too_many_nodes`.",
    401: "Nobody who is known asks. Codes `unauthenticated`, `invalid_token`.",
    403: "A web page of another origin asks. Code `origin_not_allowed`.",
    404: "What the request names does not exist. Codes `model_not_found`, `response_not_found`, "
    "`previous_response_not_found`, `trace_not_found`, `not_found`.",
    408: "The body did not arrive in time. Code `body_timeout`.",
    409: "Another run has the conversation, or the key came with another body. Codes "
    "`conversation_locked`, `idempotency_key_reused`.",
    413: "The body is too large. Code `request_too_large`.",
    429: "As many are at work as may be. Codes `too_many_runs`, `too_many_queued`, "
    "`too_many_streams`.",
    500: "The agent failed; the reason is in the server's log. Codes `agent_error`, "
    "`tool_choice_violated`, `output_too_large`, `no_handler`.",
    503: "The server takes no requests just now. Codes `unavailable`, `cancelled`.",
    504: "The run took too long. Codes `timeout`, `silence_timeout`.",
}
"""The statuses of errors, with their codes (docs/errors.md)."""


def _header(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


REQUEST_ID = {
    "x-request-id": _header(
        "The request's own, where it had one of 1 to 200 printable ASCII characters without blanks."
    )
}
RETRY_AFTER = {"retry-after": _header("Seconds after which it is worth asking again.")}
SHOULD_RETRY = {
    "x-should-retry": _header("`false` once a handler has started, or where it is no use.")
}
TRACE_ID = {"x-mlflow-trace-id": _header("The run's trace, where it has one.")}


def _given(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": place, "description": description, "schema": schema}


def _object(**properties: Schema) -> Schema:
    """Describe an object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def frames(data: Schema) -> Schema:
    """Describe each frame of a stream, by what its data holds."""
    content = {"contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "data": {"anyOf": [{"const": "[DONE]"}, {"type": "string", **content}]},
        },
        "required": ["data"],
    }


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_MAYBE: Schema = {"type": ["string", "null"]}
_QUESTION = "What is 12 * (3 + 4)?"
_JSON, _STREAM = "application/json", "text/event-stream"
_OPEN_METRICS = "application/openmetrics-text"
_MODEL = _object(id=_TEXT, object=_one_of("model"), created=_NUMBER, owned_by=_TEXT)
_MODEL["properties"] |= {"description": _TEXT}

JSON_OBJECT: Schema = {
    "type": "object",
    "properties": {"stream": {"type": ["boolean", "null"], "description": "A stream is wanted."}},
}
SESSION = _given("x-session-id", "header", "The session of the trace, where the body names none.")
RETURN_TRACE = _given(
    "x-mlflow-return-trace-id", "header", "`true`: the answer names its trace in its metadata."
)
KEY = _given(
    "idempotency-key", "header", "Requests of one key are one run, which outlives its client."
)


class Operation(NamedTuple):
    """One operation, whatever its path."""

    summary: str
    answers: dict[str, Schema]
    """Schemas of the answer 200, by their media types; none where there is no such answer."""
    errors: tuple[int, ...] = ()
    body: str | None = None
    """The component of the request's body; empty for any object, None for no body."""
    parameters: tuple[dict[str, Any], ...] = ()
    runs: bool = False
    """Whether a handler runs, whose own errors may have any status."""
    modes: tuple[str, ...] = ("invoke", "stream")
    """The handlers whose annotations the body must fit."""
    named: bool = False
    """Whether the body must name a `model`, also where there is one agent."""
    linked: bool = False
    """Whether the answer is a response that may be stored."""
    asks: bool = True
    """Whether it is an agent's, not the server's own."""
    open: bool = False
    """Whether it answers anybody, whoever asks."""
    unready: Schema | None = None
    """Schema of a 503 that is no error."""
    description: str = ""
    example: dict[str, Any] = {"input": _QUESTION}  # noqa: RUF012  nobody changes it


_ALONE = (400, 403, 408, 413, 429, 500, 503, 504)
_RUN = (*_ALONE, 404, 409)
_STREAMS = "With `stream: true` the answer is a stream of server-sent events, each frame's data as "
_DONE = "the schema says; `data: [DONE]` ends it."
OPERATIONS = {
    "Responses": Operation(
        "Run the agent: the OpenAI Responses API",
        {_JSON: ref("Response"), _STREAM: frames(ref("Event"))},
        _RUN,
        "ResponsesRequest",
        (KEY, SESSION, RETURN_TRACE),
        runs=True,
        linked=True,
        description=f"{_STREAMS}{_DONE} A GET of this path that upgrades to a WebSocket takes turn "
        "after turn: messages like this body with `type: response.create`.",
    ),
    "Invocations": Operation(
        "Run the agent: the Responses API in MLflow's dialect",
        {
            _JSON: ref("ShortResponse"),
            _STREAM: frames({"anyOf": [ref("Event"), _object(trace_id=_TEXT)]}),
        },
        _RUN,
        "ResponsesRequest",
        (KEY, SESSION, RETURN_TRACE),
        runs=True,
        linked=True,
        description=f"{_STREAMS}{_DONE}",
    ),
    "ChatCompletions": Operation(
        "Run the agent: the OpenAI Chat Completions API",
        {
            _JSON: ref("ChatCompletion"),
            _STREAM: frames({"anyOf": [ref("ChatChunk"), ref("Error")]}),
        },
        _RUN,
        "ChatRequest",
        (SESSION,),
        runs=True,
        modes=(),
        description=f"{_STREAMS}{_DONE}",
        example={"messages": [{"role": "user", "content": _QUESTION}]},
    ),
    "JsonInvocations": Operation(
        "Run the agent: any JSON object in, anything JSON out",
        {_JSON: {}, _STREAM: frames({})},
        _ALONE,
        "",
        (SESSION, RETURN_TRACE),
        runs=True,
        description=f"{_STREAMS}the agent gives it; `data: [DONE]` ends it.",
    ),
    "Compact": Operation(
        "Make a conversation short",
        {
            _JSON: _object(
                id=_TEXT,
                object=_one_of("response.compaction"),
                created_at=_NUMBER,
                output=list_of("OutputItem"),
                usage=ref("Usage"),
            )
        },
        (*_ALONE, 404),
        "ResponsesRequest",
        (SESSION, RETURN_TRACE),
        runs=True,
        modes=("compact",),
        named=True,
    ),
    "_not_offered": Operation("Count tokens: not offered", {}, (403, 404), asks=False),
    "Retrieve": Operation(
        "Get a stored response, or its events",
        {_JSON: ref("Response"), _STREAM: frames(ref("Event"))},
        (400, 404, 429, 503),
        parameters=(
            _given("stream", "query", "Whether its events are wanted.", type="boolean"),
            _given(
                "starting_after",
                "query",
                "Of the events, those after this `sequence_number`.",
                type="integer",
                minimum=0,
                maximum=(1 << 31) - 1,
            ),
        ),
    ),
    "Delete": Operation(
        "Delete a stored response; a run that goes on is cancelled",
        {_JSON: _object(id=_TEXT, object=_one_of("response.deleted"), deleted={"type": "boolean"})},
        (403, 404, 503),
    ),
    "Cancel": Operation(
        "Cancel a run; one that has ended stays as it is", {_JSON: ref("Response")}, (403, 404, 503)
    ),
    "InputItems": Operation(
        "List the items of a stored response's input",
        {
            _JSON: _object(
                object=_one_of("list"),
                data=list_of("OutputItem"),
                first_id=_MAYBE,
                last_id=_MAYBE,
                has_more={"type": "boolean"},
            )
        },
        (400, 404, 503),
        parameters=(
            _given("limit", "query", "Size of a page.", type="integer", minimum=1, maximum=100)
            | {"example": 20},
            _given("order", "query", "Newest first, or oldest.", enum=["desc", "asc"]),
            _given("after", "query", "Id of the item after which the page begins."),
        ),
    ),
    "Feedback": Operation(
        "Say whether a response was good: an assessment on its MLflow trace",
        {
            _JSON: _object(
                object=_one_of("feedback"),
                id=_TEXT,
                response_id=_TEXT,
                trace_id=_TEXT,
                value={"type": "boolean"},
            )
        },
        (400, 403, 404, 408, 413, 503),
        "FeedbackRequest",
        modes=(),
        asks=False,
        description="A second opinion of the same person replaces the first.",
    ),
    "models": Operation(
        "List the agents",
        {_JSON: _object(object=_one_of("list"), data={"type": "array", "items": _MODEL})},
        asks=False,
    ),
    "model": Operation("Get one agent", {_JSON: _MODEL}, (404,), asks=False),
    "agent": Operation(
        "Tell what is served",
        {_JSON: _object(use_case=_one_of("agent"), name=_TEXT)},
        asks=False,
    ),
    "health": Operation(
        "Tell that the process answers",
        {_JSON: _object(status=_one_of("healthy"))},
        asks=False,
        open=True,
    ),
    "ready": Operation(
        "Tell whether runs are taken; 503 where they are not",
        {_JSON: _object(status=_one_of("ready"))},
        asks=False,
        open=True,
        unready=_object(status=_one_of("starting", "draining")),
    ),
    "ping": Operation(
        "Tell whether runs are in flight",
        {
            _JSON: _object(
                status=_one_of("Healthy", "HealthyBusy"), time_of_last_update={"type": "integer"}
            )
        },
        asks=False,
        open=True,
    ),
    "metrics": Operation(
        "Tell Prometheus what there has been; 404 where the extra `metrics` is missing",
        {"text/plain": {"type": "string"}, _OPEN_METRICS: {"type": "string"}},
        (404,),
        asks=False,
    ),
    "document": Operation("Get this document", {_JSON: {"type": "object"}}, asks=False),
    "page": Operation("Read this document", {"text/html": {"type": "string"}}, asks=False),
    "playground": Operation(
        "Talk to the agents, in a browser",
        {"text/html": {"type": "string"}},
        asks=False,
        open=True,
    ),
    "playground_file": Operation(
        "Get a part of the playground's page",
        {"text/css": {"type": "string"}, "text/javascript": {"type": "string"}},
        (404,),
        asks=False,
        open=True,
    ),
    "playground_settings": Operation(
        "Tell the playground where traces are to be seen",
        {_JSON: _object(traces={"type": "object", "additionalProperties": _MAYBE})},
        (503,),
        asks=False,
    ),
}
