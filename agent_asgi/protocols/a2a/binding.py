"""The two bindings: HTTP+JSON, and JSON-RPC, which wraps every result."""

from ...errors import AgentError
from ...schema import codec
from .errors import http_error, rpc_error


class Binding:
    """HTTP+JSON: results are written as they are.

    Attributes:
        media_type: The media type of results.
        head: What precedes a result.
        tail: What follows a result.
    """

    media_type = "application/a2a+json"
    head = b""
    tail = b""

    def error(self, error: AgentError) -> bytes:
        """Return the body of an error."""
        return codec.encode(http_error(error))


class RpcBinding(Binding):
    """JSON-RPC: results name their request.

    Args:
        id: The request's id. Default None: it is unknown.
    """

    media_type = "application/json"
    tail = b"}"

    def __init__(self, id: str | int | float | None = None) -> None:
        self._id = id
        self.head = b'{"jsonrpc":"2.0","id":%b,"result":' % codec.encode(id)

    def error(self, error: AgentError) -> bytes:
        return codec.encode(rpc_error(error, self._id))
