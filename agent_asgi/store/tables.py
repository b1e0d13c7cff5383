"""The tables of the SQL store. A change needs a migration."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    literal_column,
)
from sqlalchemy.dialects.postgresql import JSONB

from .base import ACTIVE


class Text(TypeDecorator[str]):
    """A text. A null character, which PostgreSQL cannot store, becomes U+FFFD in all databases."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as it is stored."""
        return None if value is None else value.replace("\0", "\ufffd")


metadata = MetaData()

responses = Table(
    "agent_asgi_responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("previous_id", Text),
    Column("root_id", Text),
    Column("background", Boolean, nullable=False),
    Column("visible", Boolean, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("caller", LargeBinary, nullable=False),
    Column("key", Text),
    Column("digest", Text),
    Column("failure", LargeBinary),
    Column("attempt", Integer, nullable=False),
    Column("logged", Boolean, nullable=False),
    Column("cancel_wanted", Boolean, nullable=False),
    Column("holder", Text, nullable=False),
    Column("lease_until", Float(53), nullable=False),
    Column("deaths", Integer, nullable=False, server_default="0"),
)
active = responses.c.status.in_([literal_column(f"'{status}'") for status in ACTIVE])
"""True for a run that has not ended; without parameters, so that its index is used."""
Index("agent_asgi_responses_key", responses.c.owner, responses.c.key, unique=True)
Index("agent_asgi_responses_expiry", responses.c.expires_at)
Index("agent_asgi_responses_created", responses.c.owner, responses.c.created_at)
Index("agent_asgi_responses_root", responses.c.root_id)
_lease = responses.c.lease_until
Index("agent_asgi_responses_active", _lease, sqlite_where=active, postgresql_where=active)

items = Table(
    "agent_asgi_items",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
)
Index("agent_asgi_items_id", items.c.id)


def _response() -> ForeignKey:
    """Return a key that deletes a row with its response, even if an older process deletes that.

    SQLite ignores it, but its files are not shared with older processes.
    """
    return ForeignKey(responses.c.id, ondelete="CASCADE")


approvals = Table(
    "agent_asgi_approvals",
    metadata,
    Column("response_id", Text, _response(), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("claimed_by", Text),
)
"""The approval requests of responses, and the runs that answer them."""
Index("agent_asgi_approvals_id", approvals.c.id)
Index("agent_asgi_approvals_claim", approvals.c.claimed_by)

states = Table(
    "agent_asgi_states",
    metadata,
    Column("response_id", Text, _response(), primary_key=True),
    Column("state", LargeBinary, nullable=False),
)
"""What handlers saved with `context.save_state`."""

events = Table(
    "agent_asgi_events",
    metadata,
    Column("response_id", Text, primary_key=True),
    Column("last", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("frames", LargeBinary, key="lines", nullable=False),  # version 1 kept frames in it
)
"""The events of the logs, one row per write. A reader that resumes reads only the last rows."""

locks = Table(
    "agent_asgi_locks",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("conversation", Text, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("until", Float(53), nullable=False),
)
Index("agent_asgi_locks_response", locks.c.response_id)

waiting = Table(
    "agent_asgi_waiting",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("until", Float(53), nullable=False),
)
"""The runs that wait for a conversation, in their order."""
Index("agent_asgi_waiting_conversation", waiting.c.owner, waiting.c.conversation)
Index("agent_asgi_waiting_response", waiting.c.response_id, unique=True)

memberships = Table(
    "agent_asgi_memberships",
    metadata,
    Column("response_id", Text, _response(), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("conversation", Text, nullable=False),
)
"""The conversations that responses belong to."""
Index("agent_asgi_memberships_conversation", memberships.c.owner, memberships.c.conversation)

subscriptions = Table(
    "agent_asgi_subscriptions",
    metadata,
    Column("response_id", Text, _response(), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("headers", LargeBinary, nullable=False),
)
"""Who is notified of the ends of tasks."""

deliveries = Table(
    "agent_asgi_outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("response_id", Text),
)
"""What webhooks and subscribers have not accepted yet."""
Index("agent_asgi_outbox_due", deliveries.c.due_at)
Index("agent_asgi_outbox_response", deliveries.c.response_id)

conversations = Table(
    "agent_asgi_conversations",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("metadata", LargeBinary, nullable=False),
)
Index("agent_asgi_conversations_expiry", conversations.c.expires_at)

conversation_items = Table(
    "agent_asgi_conversation_items",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("conversation", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""The items of conversations, as JSON."""
_id = conversation_items.c.id
_conversation = (conversation_items.c.owner, conversation_items.c.conversation)
Index("agent_asgi_conversation_items_id", *_conversation, _id, unique=True)

meters = Table(
    "agent_asgi_meters",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("runs", Float(53), nullable=False),
    Column("tokens", Float(53), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("running", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
)
"""What each user uses, with PostgreSQL."""
Index("agent_asgi_meters_at", meters.c.at)
