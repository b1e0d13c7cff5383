"""`Conversations`: OpenAI's Conversations API, and a list of conversations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from ...agents.router import AgentRouter
from ...schema.openapi import Operation, Schema
from ..base import Protocol
from . import endpoints
from .openapi import OPERATIONS, SCHEMAS

if TYPE_CHECKING:
    from ...runtime import AppConfig

_ONE = "/{id}"
_ITEMS = "/{id}/items"
_ITEM = "/{id}/items/{item_id}"
_ROUTES = (
    ("POST", "", endpoints.create),
    ("GET", "", endpoints.list_conversations),
    ("GET", _ONE, endpoints.retrieve),
    ("POST", _ONE, endpoints.update),
    ("DELETE", _ONE, endpoints.delete),
    ("POST", _ITEMS, endpoints.add_items),
    ("GET", _ITEMS, endpoints.list_items),
    ("GET", _ITEM, endpoints.retrieve_item),
    ("DELETE", _ITEM, endpoints.delete_item),
)


class Conversations(Protocol):
    """OpenAI's Conversations API. It runs no agent: runs name conversations in `conversation`."""

    name = "Conversations"
    paths = ()

    def routes(
        self, config: "AppConfig", router: AgentRouter | None, prefix: str
    ) -> Sequence[BaseRoute]:
        return [
            Route(
                f"{prefix}{version}/conversations{path}",
                endpoints.ConversationEndpoint(config, router, answer),
                methods=[method],
                name=f"conversations.{answer.__name__}",
            )
            for version in ("", "/v1")
            for method, path, answer in _ROUTES
        ]

    def operations(self) -> Mapping[str, Operation]:
        return OPERATIONS

    def schemas(self) -> Mapping[str, Schema]:
        return SCHEMAS
