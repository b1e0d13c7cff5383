"""The endpoints of both bindings."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct
from starlette.datastructures import QueryParams
from starlette.responses import Response

from ...agents.router import AgentRouter
from ...errors import AgentError, InvalidJson
from ...http.endpoint import Endpoint, HttpRequest
from ...http.responses import error_response, json_response
from ...http.sse import STREAM_HEADERS
from ...runtime import AppConfig
from ...schema import codec
from .binding import Binding, RpcBinding
from .call import Call
from .errors import A2AError
from .operations import OPERATIONS, PUSH, Operation
from .schema import SendMessageRequest, TaskPushNotificationConfig

VERSION = "1.0"
"""The version of the protocol."""
SUPPORTED = r"1\.0(\.[0-9]+)?"
"""The versions that requests may ask for; the number of a patch does not matter."""
VERSION_HEADER = "A2A-Version"
RETRIED = (429, 503)
"""The statuses that JSON-RPC's answers have too, since proxies and clients retry by them."""
EVENTS = "text/event-stream"
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    operation.params: msgspec.json.Decoder(operation.params)
    for operation in (*OPERATIONS.values(), *PUSH.values())
}


class A2AEndpoint(Endpoint):
    """Serves operations on the tasks of an agent.

    Args:
        config: The app's settings.
        router: The agent.
        push_hosts: The hosts that may be notified; if there are none, nobody is.
    """

    def __init__(self, config: AppConfig, router: AgentRouter, push_hosts: frozenset[str]) -> None:
        super().__init__(config.limits, config.timeouts)
        self.router = router
        self._config = config
        self._push_hosts = push_hosts
        self._operations = OPERATIONS | (PUSH if push_hosts else {})

    async def call(
        self, operation: Operation, params: Any, request: HttpRequest, binding: Binding
    ) -> None:
        """Run an operation, which answers the request.

        Raises:
            AgentError: The request is refused.
        """
        runtime = self._config.started() or await self._config.running()
        with runtime.engine.streams if operation.counted else nullcontext():
            call = Call(runtime, self.router, request, binding, params, self._push_hosts)
            await operation.run(call)


class RpcEndpoint(A2AEndpoint):
    """`POST /a2a`: all operations, in JSON-RPC."""

    async def answer(self, request: HttpRequest) -> None:
        binding: RpcBinding = RpcBinding()
        try:
            envelope = _envelope(request.body)
            binding = RpcBinding(envelope.id)
            check_version(request)
            operation = self._operations.get(envelope.method)
            if operation is None:
                message = f"There is no method {envelope.method!r}."
                raise A2AError("METHOD_NOT_FOUND", message)
            params = codec.strict(_decoders[operation.params], envelope.params)
            await self.call(operation, params, request, binding)
        except AgentError as error:
            response = self._refusal(error, binding.error(error), request)
            await response(request.scope, request.receive, request.send)

    def _refusal(self, error: AgentError, body: bytes, request: HttpRequest) -> Response:
        if error.status in RETRIED:
            return error_response(error, body=body)
        self._config.refused(error.code)
        if request.headers.get("accept") == EVENTS:  # such a client reads nothing else
            frame = codec.on_one_line(b"data: %b\n\n" % body)
            return Response(frame, media_type=EVENTS, headers=STREAM_HEADERS)
        return json_response(body)

    def error_body(self, error: AgentError, body: bytes) -> bytes:
        return RpcBinding().error(error)


class HttpEndpoint(A2AEndpoint):
    """Serves one operation in HTTP+JSON.

    Args:
        config: The app's settings.
        router: The agent.
        push_hosts: The hosts that may be notified; if there are none, nobody is.
        name: The operation.
    """

    def __init__(
        self, config: AppConfig, router: AgentRouter, push_hosts: frozenset[str], name: str
    ) -> None:
        super().__init__(config, router, push_hosts)
        self._operation = self._operations[name]
        self._binding = Binding()

    async def answer(self, request: HttpRequest) -> None:
        check_version(request)
        shape, scope = self._operation.params, request.scope
        if shape in (SendMessageRequest, TaskPushNotificationConfig):
            params = codec.strict(_decoders[shape], request.body)
            if isinstance(params, TaskPushNotificationConfig):
                params.task_id = scope["path_params"]["taskId"]
        else:
            params = _from_url(shape, QueryParams(scope["query_string"]), scope["path_params"])
        await self.call(self._operation, params, request, self._binding)

    def error_body(self, error: AgentError, body: bytes) -> bytes:
        return self._binding.error(error)


def _from_url(shape: Any, query: Mapping[str, str], path: Mapping[str, str]) -> Any:
    """Return the parameters in a URL."""
    if shape is Raw:
        return None
    try:
        return msgspec.convert({**query, **path}, shape, strict=False)
    except msgspec.ValidationError as error:
        raise codec.invalid(error) from error


class _Envelope(Struct):
    """A request in JSON-RPC."""

    jsonrpc: Literal["2.0"]
    method: str
    id: str | int | float | None = None
    params: Raw = Raw(b"{}")


_envelopes = msgspec.json.Decoder(_Envelope)


def _envelope(body: bytes) -> _Envelope:
    """Decode a request in JSON-RPC.

    Raises:
        InvalidJson: The body is not JSON.
        A2AError: It is not a request; batches are none.
    """
    try:
        return codec.strict(_envelopes, body)
    except InvalidJson:
        raise
    except AgentError as error:
        raise A2AError("INVALID_REQUEST", f"Not a JSON-RPC request: {error.message}") from error


def check_version(request: HttpRequest) -> None:
    """Check the version that a request asks for; without any it asks for 0.3.

    Raises:
        A2AError: The version is not supported.
    """
    query = QueryParams(request.scope["query_string"])
    version = request.headers.get(VERSION_HEADER) or query.get(VERSION_HEADER) or "0.3"
    if not re.fullmatch(SUPPORTED, version):
        message = f"{VERSION_HEADER}: {version[:20]!r} is not supported. Send {VERSION!r}."
        raise A2AError("VERSION_NOT_SUPPORTED", message)
