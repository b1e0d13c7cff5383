"""The interface of a wire protocol: how it decodes requests and encodes a run's events.

It is provisional and may change until more protocols use it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.routing import BaseRoute

from ..agents.router import AgentRouter
from ..config import require
from ..context import Headers
from ..errors import AgentError
from ..events.accumulator import OutputItem
from ..schema import codec
from ..schema.events import AnyEvent
from ..schema.openapi import Operation, Schema
from ..schema.own_calls import View
from ..schema.requests import ResponsesRequest
from ..schema.responses import Response
from ..store.base import Ending, Record
from ..store.delivery_store import Notice

if TYPE_CHECKING:
    from ..background.deliverer import Receiver
    from ..runtime import AppConfig


def check_path(owner: str, path: str) -> None:
    """Check the `path=` of a protocol.

    Args:
        owner: The protocol's class, for the message.
        path: The path.

    Raises:
        TypeError: It is not a str.
        ValueError: It does not begin with a slash, or it ends with one or has parameters.
    """
    require(owner, {"path": (path, str)})
    if not path.startswith("/") or path.endswith("/") or not set("{}?# ").isdisjoint(path):
        raise ValueError(f"{owner}: path must be like '/agents/chat', not {path!r}.")


class Encoder:
    """Encodes one run, or the log of one, for its client.

    For a stream, `write` is called for each event and `end` once; otherwise `body` is called when
    the run has ended.
    """

    __slots__ = ()

    def write(self, event: AnyEvent, buffer: bytearray) -> None:
        """Append an event to a stream. An event that the protocol does not have appends nothing.

        Args:
            event: The event, numbered and ordered as on `/responses`.
            buffer: The frames that have not been sent yet.
        """
        raise NotImplementedError

    def text_frame(self, item: OutputItem) -> bytes | None:
        """Return the format of an open message's text deltas, which is faster than `write`.

        Args:
            item: The message; the deltas have its `id`, `index` and `part_index`.

        Returns:
            A bytes format with `%d` in the place of the `sequence_number` (`%.0a` if it is not
            written) and `%b` in the place of the text as JSON. None, the default: `write` is
            called for each delta.
        """
        return None

    def replay(self, line: bytes, buffer: bytearray) -> None:
        """Append an event from a log. Default: decode it and call `write`.

        Args:
            line: The event as JSON.
            buffer: The frames that have not been sent yet.
        """
        self.write(codec.decode_event(line), buffer)

    def end(self) -> bytes:
        """Return what follows the last event, for example `data: [DONE]`. Default: nothing."""
        return b""

    def body(self, encoded: bytes | None) -> bytes:
        """Return the body of an answer that is not streamed.

        Args:
            encoded: The response as JSON, if it has already been encoded.

        Raises:
            AgentError: The response says that the agent failed.
        """
        raise NotImplementedError


class Protocol:
    """A wire protocol.

    Attributes:
        name: A short name for the OpenAPI document and the log.
        paths: The paths of its POST requests, relative to the agent's.
        headers: Further headers of a stream. Default none.
        accepted_status: The HTTP status of the answer that a background run was accepted. Default
            200.
        stored_path: A path with `{id}`. GET requests to it return a stored response or, with
            `stream=true`, its events after `starting_after`. Default None: there is none.
        has_history: Whether a request has the whole conversation, so that it replaces what its
            `conversation` has, from the first difference on. Default False: its input is added.
        own_tools: How calls of the agent's own tools appear in events and responses: "mcp_call", as
            `AgentRouter(own_tools=...)` says; "function_call", always as pairs of `function_call`
            and `function_call_output`; "hidden", never. Default "mcp_call".
        operation: Documents the POST requests in the OpenAPI document. Default None: they are not
            documented.
        conversation_queue: How many runs wait for one another in a conversation, unless
            `Limits.conversation_queue` says it. Default 0: a second run is a 409.
        public: The paths, relative to the agent's, that need no authentication. Default none.
        app_paths: Paths at the app's root, for all agents. Default none.
        challenges: What the `www-authenticate` header of a 401 says besides, by path. Default
            nothing.
        answers_calls: Whether a function's output in a request has to answer a call in the same
            conversation, unless the request names a session, whose calls the agent may know.
            Default False.
        receivers: Where its subscribers may have notices sent. Default none.
    """

    name: ClassVar[str]
    paths: Sequence[str]
    headers: Sequence[tuple[bytes, bytes]] = ()
    accepted_status: int = 200
    stored_path: str | None = None
    has_history: ClassVar[bool] = False
    own_tools: ClassVar[View] = "mcp_call"
    operation: ClassVar[Operation | None] = None
    conversation_queue: ClassVar[int] = 0
    public: Sequence[str] = ()
    app_paths: Sequence[str] = ()
    challenges: Mapping[str, str] = MappingProxyType({})
    answers_calls: ClassVar[bool] = False
    receivers: "Sequence[Receiver]" = ()

    def decode(self, body: bytes, headers: Headers, query: bytes) -> ResponsesRequest:
        """Decode a request.

        Args:
            body: The body; its size and depth are within the limits.
            headers: The request's headers.
            query: The query string.

        Raises:
            InvalidRequest: A field is invalid; `param` names it.
        """
        raise NotImplementedError

    def sends_history(self, request: ResponsesRequest) -> bool:
        """Return whether a request has the whole conversation. Default: `has_history`.

        Args:
            request: The request as `decode` returned it.
        """
        return self.has_history

    def encoder(self, request: ResponsesRequest, response: Response) -> Encoder:
        """Return the encoder of a run.

        Args:
            request: The request as `decode` returned it, or, if a stored response is requested by
                its id, as it is stored.
            response: The response; the run fills it in as it proceeds.
        """
        raise NotImplementedError

    def error(self, error: AgentError, body: bytes) -> bytes:
        """Return the body of an error response.

        Args:
            error: The error.
            body: The request's body; empty if it was not received.
        """
        return codec.encode({"error": error.payload()})

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        """Return further routes of an agent. Default: none.

        Args:
            config: The app's settings.
            router: The agent; None for routes that serve all agents, by a request's `model`.
            prefix: The prefix of the agent's paths.
        """
        return ()

    def app_routes(self, config: "AppConfig") -> Sequence[BaseRoute]:
        """Return the routes of `app_paths`, which serve all agents. Default: none.

        Args:
            config: The app's settings.
        """
        return ()

    def lifespan(self, app: Any) -> AbstractAsyncContextManager[Mapping[str, Any] | None]:
        """Return what is entered when the app starts and left when it ends. Default: nothing.

        Args:
            app: The app.
        """
        return nullcontext()

    def notice(self, record: Record, ending: Ending) -> Notice:
        """Return what subscribers are sent when a run has ended, if there are `receivers`.

        Args:
            record: The run, which any protocol may have begun.
            ending: How it ended.
        """
        raise NotImplementedError

    def operations(self) -> Mapping[str, Operation]:
        """Return the OpenAPI operations of the protocol's routes, by route name."""
        return {} if self.operation is None else {self.name: self.operation}

    def schemas(self) -> Mapping[str, Schema]:
        """Return the OpenAPI schemas that the operations refer to, by name."""
        return {}
