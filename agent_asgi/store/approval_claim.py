"""Approval requests in a store, and the claim of the run that answers them."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from ..errors import InvalidRequest


class AlreadyAnswered(InvalidRequest):
    """An approval request cannot be answered any more."""

    def __init__(self, id: str, path: str) -> None:
        message = f"{path}: the response that asked with {id!r} has already been answered."
        super().__init__(message, path, "approval_already_answered")


class Asked(NamedTuple):
    """An approval request in a store."""

    response_id: str
    """The response that asked."""
    agent: str
    """Its agent."""
    claimed_by: str | None
    """The run that answers; None if the request is open."""


class ApprovalClaim(Struct, frozen=True):
    """The approval requests of one response that a run answers.

    Its other requests are closed with them: the response's state is used once.
    """

    asked_by: str
    """The response that asked."""
    paths: Mapping[str, str]
    """The ids of the requests, each with the field that names it in the answer."""

    def refused(self, id: str) -> AlreadyAnswered:
        """Return the error of a request that cannot be answered any more."""
        return AlreadyAnswered(id, self.paths[id])
