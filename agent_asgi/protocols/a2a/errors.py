"""A2A's errors, and how both bindings write errors."""

from typing import Any, NamedTuple

from ...errors import AgentError, InvalidJson, InvalidRequest

Json = dict[str, Any]
DOMAIN = "a2a-protocol.org"


class Form(NamedTuple):
    """How an error is written."""

    reason: str
    """The machine-readable name in both bindings."""
    rpc_code: int
    """The code in JSON-RPC."""
    status: str
    """The name of the status in HTTP+JSON, as in google.rpc.Code."""


class A2AError(AgentError):
    """An error of A2A's own.

    Args:
        reason: Its name.
        message: The message for the client.
    """

    def __init__(self, reason: str, message: str) -> None:
        status, self.form = _OWN[reason]
        super().__init__(message, status, reason.lower())


class TaskNotFound(A2AError):
    """The task does not exist."""

    def __init__(self, id: str) -> None:
        super().__init__("TASK_NOT_FOUND", f"There is no task {id!r}.")


class PushNotSupported(A2AError):
    """The server sends no push notifications."""

    def __init__(self) -> None:
        message = "Push notifications are not supported."
        super().__init__("PUSH_NOTIFICATION_NOT_SUPPORTED", message)


def _own(status: int, reason: str, code: int, name: str) -> dict[str, tuple[int, Form]]:
    return {reason: (status, Form(reason, code, name))}


_OWN: dict[str, tuple[int, Form]] = {
    **_own(404, "TASK_NOT_FOUND", -32001, "NOT_FOUND"),
    **_own(400, "TASK_NOT_CANCELABLE", -32002, "FAILED_PRECONDITION"),
    **_own(400, "PUSH_NOTIFICATION_NOT_SUPPORTED", -32003, "FAILED_PRECONDITION"),
    **_own(400, "UNSUPPORTED_OPERATION", -32004, "FAILED_PRECONDITION"),
    **_own(400, "VERSION_NOT_SUPPORTED", -32009, "FAILED_PRECONDITION"),
    **_own(400, "INVALID_REQUEST", -32600, "INVALID_ARGUMENT"),
    **_own(404, "METHOD_NOT_FOUND", -32601, "NOT_FOUND"),
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OTHER = -32000
"""The code of errors that neither A2A nor JSON-RPC names."""


def http_error(error: AgentError) -> Json:
    """Return the body of an error in HTTP+JSON."""
    form = _form(error)
    message, field = _named(error)
    body = {
        "code": error.status,
        "status": form.status,
        "message": message,
        "details": _details(form, error, message, field),
    }
    return {"error": body}


def rpc_error(error: AgentError, id: str | int | float | None) -> Json:
    """Return the response to a JSON-RPC request that has failed.

    Args:
        error: The error.
        id: The request's id; None if it is unknown.
    """
    form = _form(error)
    message, field = _named(error)
    data = _details(form, error, message, field)
    body = {"code": form.rpc_code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "id": id, "error": body}


def _form(error: AgentError) -> Form:
    if isinstance(error, A2AError):
        return error.form
    status = _STATUSES.get(error.status, "INTERNAL")
    if isinstance(error, InvalidJson):
        return Form("INVALID_REQUEST", -32700, status)
    if isinstance(error, InvalidRequest):
        return Form("INVALID_PARAMS", -32602, status)
    if error.status == 500:
        return Form("INTERNAL_ERROR", -32603, status)
    return Form(error.code.upper(), _OTHER, status)


def _named(error: AgentError) -> tuple[str, str | None]:
    """Return an error's message and field with A2A's name for a conversation."""
    field = error.param
    if field is None or not field.startswith("conversation"):
        return error.message, field
    return error.message.replace(field, "message.contextId", 1), "message.contextId"


def _details(form: Form, error: AgentError, message: str, field: str | None) -> list[Json]:
    details: list[Json] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": form.reason,
            "domain": DOMAIN,
            "metadata": {} if isinstance(error, A2AError) else {"code": error.code},
        }
    ]
    if field is not None:
        violation = {"field": field, "description": message}
        type_ = "type.googleapis.com/google.rpc.BadRequest"
        details.append({"@type": type_, "fieldViolations": [violation]})
    return details
