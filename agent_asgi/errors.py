"""The errors that a client may see.

    AgentError                     any status; what a handler raises on purpose
    ├── InvalidRequest             400 invalid_request
    │   ├── InvalidJson            400 invalid_json
    │   └── NotSupported           400 not_supported
    ├── NotFound                   404
    ├── Conflict                   409
    ├── TooLarge                   413 request_too_large
    ├── EncodedBody                415 unsupported_content_encoding
    ├── TooMany                    429, with `retry-after`
    ├── Unavailable                503 unavailable, with `retry-after`
    ├── AgentFailed                500 agent_error, type `model_error`
    │   └── TooMuchOutput          500 output_too_large
    └── RunTimeout                 504 timeout, silence_timeout, background_timeout

Any other exception of a handler becomes `AgentFailed`, whose message does not show the exception.

`MissingExtra`, an `ImportError`, is for the one who starts the server.
"""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from typing import TypedDict
from urllib.parse import urlsplit
from urllib.request import url2pathname

from starlette.exceptions import HTTPException

_DISTRIBUTION = "agent-asgi"
_TYPES = {
    400: "invalid_request",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found",
    409: "invalid_request",
    413: "invalid_request",
    429: "too_many_requests",
    500: "server_error",
}


class ErrorPayload(TypedDict):
    """The value of `error` in an error response and in an `error` event (Open Responses)."""

    message: str
    type: str
    param: str | None
    code: str | None


def error_type(status: int) -> str:
    """Return the Open Responses error type of an HTTP status."""
    return _TYPES.get(status, "invalid_request" if status < 500 else "server_error")


class AgentError(Exception):
    """An error that is sent to the client; raise it in a handler to say what went wrong.

    Args:
        message: The message for the client.
        status: The HTTP status, 400 to 599. Default 500.
        code: A short machine-readable name. Default: the error type.
        type: The error type. Default: the type of the status.
        param: JSON path of the invalid field, for example `input[0].role`. Default None.
        headers: Headers of the response, for example `retry-after`. Default none.

    Raises:
        ValueError: The status is not an error status.
    """

    message: str
    """The message for the client."""
    status: int
    """The HTTP status, 400 to 599."""
    type: str
    """The error type."""
    code: str
    """A short machine-readable name."""
    param: str | None
    """JSON path of the invalid field; None if no field is invalid."""
    headers: dict[str, str]
    """Headers of the response."""

    def __init__(
        self,
        message: str,
        status: int = 500,
        code: str | None = None,
        *,
        type: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"AgentError: status must be from 400 to 599, not {status}.")
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type or error_type(status)
        self.code = code or self.type
        self.param = param
        self.headers = dict(headers or {})

    def payload(self) -> ErrorPayload:
        """Return the value of `error` on the wire."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


def from_http(error: HTTPException) -> AgentError:
    """Return Starlette's error as an `AgentError`; a status below 400 becomes a 500."""
    status = error.status_code if 400 <= error.status_code <= 599 else 500
    return AgentError(str(error.detail), status, error_type(status), headers=error.headers)


class InvalidRequest(AgentError):
    """The request is invalid; `param` names the field."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, 400, code, param=param)


class InvalidJson(InvalidRequest):
    """The body is not JSON."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_json")


class NotSupported(InvalidRequest):
    """The request asks for something that this server does not support."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message, param, "not_supported")


class NotFound(AgentError):
    """What the request names does not exist."""

    def __init__(self, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message, 404, code, param=param)


class Conflict(AgentError):
    """The conversation is in use, or the idempotency key belongs to another body."""

    def __init__(self, message: str, code: str, *, retry: bool) -> None:
        headers = {"retry-after": "1"} if retry else {"x-should-retry": "false"}
        super().__init__(message, 409, code, headers=headers)


class TooLarge(AgentError):
    """The body is larger than `Limits.max_body_bytes`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body exceeds {limit} bytes.", 413, "request_too_large")


class EncodedBody(AgentError):
    """The body is compressed or otherwise encoded."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Content-Encoding: {encoding!r} is not supported. Send the body unencoded.",
            415,
            "unsupported_content_encoding",
        )


class TooMany(AgentError):
    """A limit is reached; the client may retry after `retry_after` seconds."""

    def __init__(self, message: str, code: str, retry_after: int = 1) -> None:
        super().__init__(message, 429, code, headers={"retry-after": str(retry_after)})


class TooManyQueued(TooMany):
    """`Limits.max_queued` runs wait, or half as many of one user."""

    def __init__(self, limit: int, of: str = "") -> None:
        message = f"Too many queued runs{of} (limit {limit}). Retry later."
        super().__init__(message, "too_many_queued")


class Unavailable(AgentError):
    """The server cannot accept the request; the client may retry after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message, 503, "unavailable", headers={"retry-after": str(retry_after)})


class AgentFailed(AgentError):
    """The handler failed on a valid request. The server's log has the reason."""

    def __init__(
        self,
        message: str = "The agent failed. The server's log has the reason.",
        code: str = "agent_error",
    ) -> None:
        super().__init__(message, 500, code, type="model_error")


class TooMuchOutput(AgentFailed):
    """The handler's output exceeds `Limits.max_outputs` or `Limits.max_output_bytes`."""

    def __init__(self, bound: str) -> None:
        super().__init__(f"The agent's output exceeds {bound}.", "output_too_large")


class RunTimeout(AgentError):
    """The run took longer than `Timeouts.run`, `.background` or `.silence` allow."""

    def __init__(self, seconds: float, code: str = "timeout") -> None:
        problem = "was silent for" if code == "silence_timeout" else "did not finish within"
        super().__init__(f"The agent {problem} {seconds:g} s.", 504, code)


class MissingExtra(ImportError):
    """A feature needs packages that are not installed.

    Args:
        feature: What needs them.
        extra: The extra of this package that has them.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed: {_install_command(extra)}"
        )


def _install_command(extra: str) -> str:
    """Return the command that adds an extra to this package, from where it was installed."""
    try:
        origin = json.loads(distribution(_DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # a folder on the import path
        origin = {}
    url = origin.get("url")
    if url is None:
        return f"pip install '{_DISTRIBUTION}[{extra}]'"
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{url2pathname(urlsplit(url).path)}[{extra}]'"
    version_control = origin.get("vcs_info", {}).get("vcs")
    prefix = f"{version_control}+" if version_control else ""
    return f"pip install '{_DISTRIBUTION}[{extra}] @ {prefix}{url}'"
