"""The server's own operations, by the names of their routes, and its errors."""

from functools import partial

from ...schema.openapi import (
    BOOLEAN,
    JSON,
    MAYBE,
    NUMBER,
    TEXT,
    Operation,
    Schema,
    object_of,
    one_of,
)

ERRORS = {
    400: "The request is invalid; `param` names the field. Codes `invalid_json`, "
    "`invalid_request`, `not_supported`, `item_not_found`, `nested_too_deeply`, `too_many_nodes`, "
    "`previous_response_not_found`.",
    401: "Authentication required. Codes `unauthenticated`, `invalid_token`.",
    403: "The request comes from a web page of another origin, or the token lacks a scope. Codes "
    "`origin_not_allowed`, `insufficient_scope`.",
    404: "The requested object does not exist. Codes `model_not_found`, `response_not_found`, "
    "`trace_not_found`, `not_found`.",
    408: "The body did not arrive in time. Code `body_timeout`.",
    409: "Another run holds the conversation, or the idempotency key was used with another body. "
    "Codes `conversation_locked`, `idempotency_key_reused`.",
    413: "The body is too large. Code `request_too_large`.",
    415: "The body is compressed or otherwise encoded. Code `unsupported_content_encoding`.",
    422: "The body does not have the form of an invocation. Codes `invalid_json`, "
    "`invalid_request`.",
    429: "Too many concurrent or queued runs, or streams, or the user's quota is used up. Codes "
    "`too_many_runs`, `too_many_queued`, `too_many_streams`, `rate_limit_exceeded`, "
    "`storage_limit_exceeded`.",
    500: "The agent failed; the server's log has the reason. Codes `agent_error`, "
    "`tool_choice_violated`, `output_too_large`, `no_handler`.",
    503: "The server takes no requests at the moment. Codes `unavailable`, `cancelled`.",
    504: "The run took too long. Codes `timeout`, `silence_timeout`.",
}
"""The statuses of errors, with their codes (docs/errors.md)."""


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _header(name: str, description: str) -> dict[str, Schema]:
    return {name: {"description": description, "schema": TEXT}}


REQUEST_ID = _header(
    "x-request-id",
    "The request's own id if it sent 1 to 200 printable ASCII characters without spaces, "
    "else a new one.",
)
RETRY_AFTER = _header("retry-after", "Seconds to wait before a retry.")
SHOULD_RETRY = _header("x-should-retry", "`false` once a handler has started, or if a retry fails.")
TRACE_ID = _header("x-mlflow-trace-id", "Id of the run's trace, if it is traced.")

MODEL = object_of(id=TEXT, object=one_of("model"), created=NUMBER, owned_by=TEXT)
MODEL["properties"] |= {"description": TEXT}
_AGENT = object_of(name=TEXT, description=MAYBE, examples=_list(TEXT), traces=MAYBE)
_HTML = {"text/html": TEXT}
_FILE = {"text/css": TEXT, "text/javascript": TEXT}
_probe = partial(Operation, open=True)
OPERATIONS = {
    "Feedback": Operation(
        "Rate a response: an assessment on its MLflow trace",
        {
            JSON: object_of(
                object=one_of("feedback"), id=TEXT, response_id=TEXT, trace_id=TEXT, value=BOOLEAN
            )
        },
        (400, 403, 404, 408, 413, 415, 503),
        "FeedbackRequest",
        description="Further feedback of the same user replaces the first.",
        example={"response_id": "resp_1", "trace_id": "tr-1", "value": True},
    ),
    "models": Operation(
        "List the agents",
        {JSON: object_of(object=one_of("list"), data=_list(MODEL))},
    ),
    "model": Operation("Get one agent", {JSON: MODEL}, (404,)),
    "agent": Operation(
        "Describe the agents", {JSON: object_of(use_case=one_of("agent"), name=TEXT)}
    ),
    "health": _probe("Check that the process answers", {JSON: object_of(status=one_of("healthy"))}),
    "ready": _probe(
        "Check whether the server takes runs; 503 if not",
        {JSON: object_of(status=one_of("ready"))},
        unready={
            "type": "object",
            "properties": {"status": one_of("starting", "draining"), "reason": TEXT},
            "required": ["status"],
        },
    ),
    "ping": _probe(
        "Check whether runs are in flight",
        {JSON: object_of(status=one_of("Healthy", "HealthyBusy"), time_of_last_update=NUMBER)},
    ),
    "metrics": Operation(
        "Get the metrics for Prometheus; 404 without the extra `metrics`",
        {"text/plain": TEXT, "application/openmetrics-text": TEXT},
        (404,),
    ),
    "document": Operation("Get this document", {JSON: {"type": "object"}}),
    "viewer": _probe("Use this document in a browser; 404 without the extra `docs`", _HTML, (404,)),
    "viewer_file": _probe("Get a file of the viewer", _FILE, (404,)),
    "index": Operation(
        "Get what is served",
        {
            JSON: object_of(agents={"type": "array"}, docs=TEXT, openapi=TEXT, playground=TEXT),
            **_HTML,
        },
    ),
    "playground": _probe("Talk to the agents in a browser", _HTML),
    "playground_file": _probe("Get a file of the playground", _FILE, (404,)),
    "playground_settings": Operation(
        "Describe the agents for the playground",
        {JSON: object_of(agents=_list(_AGENT), lists=BOOLEAN, debug=BOOLEAN, viewer=MAYBE)},
        (503,),
    ),
    "playground_trace": Operation(
        "Get the trace of a response, with `debug=True`",
        {JSON: object_of(id=TEXT, spans=_list({"type": "object"}))},
        (404, 503),
    ),
}
