"""Lists in pages, as OpenAI's APIs return them."""

from collections.abc import Sequence
from typing import Any

from starlette.types import Scope

from ..errors import AgentError, InvalidRequest
from ..http.query import Query
from ..runs.engine import Engine

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100


class Page:
    """A page of a list, by the query parameters `limit` and `after`.

    Args:
        scope: The request's scope.

    Attributes:
        query: The query parameters.
        limit: The number of entries.
        after: The id of the last entry of the page before; None for the first page.

    Raises:
        InvalidRequest: `limit` is out of range.
    """

    def __init__(self, scope: Scope) -> None:
        self.query = Query(scope)
        self.limit = self.query.number("limit", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE)
        self.after = self.query.get("after")

    def no_such(self, kind: str) -> InvalidRequest:
        """Return the error of a page after an entry that does not exist."""
        return InvalidRequest(f"after: there is no {kind} {self.after!r}.", "after")

    def body(self, entries: Sequence[tuple[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
        """Return the body of the answer.

        Args:
            entries: The entries by id. If there are more than `limit`, the rest is another page.
            has_more: Whether entries follow in any case. Default False.
        """
        return listed(entries[: self.limit], has_more=has_more or len(entries) > self.limit)


def listed(entries: Sequence[tuple[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    """Return a list in the form of OpenAI's APIs.

    Args:
        entries: The entries by id.
        has_more: Whether entries follow. Default False.
    """
    return {
        "object": "list",
        "data": [entry for _, entry in entries],
        "first_id": entries[0][0] if entries else None,
        "last_id": entries[-1][0] if entries else None,
        "has_more": has_more,
    }


def check_listed(engine: Engine, owner: str) -> None:
    """Check that a list has entries of one user only.

    Raises:
        AgentError: The client is not authenticated, and the app has several users.
    """
    if not engine.knows_user(owner):
        raise AgentError(
            "Lists are available to authenticated users only.",
            403,
            "authentication_required",
        )
