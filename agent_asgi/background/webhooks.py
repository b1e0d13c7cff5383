"""`Webhook`: where the end of a background run is reported, signed as Standard Webhooks says."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from ..config import require
from ..errors import MissingExtra
from ..schema import codec
from ..schema.ids import random_text
from ..store.base import Record
from ..store.delivery_store import Delivery

EVENTS = ("response.completed", "response.failed", "response.incomplete", "response.cancelled")
"""How a run may end, by the names of OpenAI's webhooks."""
PREFIX = "whsec_"


class Webhook:
    """A URL to notify when a background run ends: `AgentApp(webhooks=[Webhook(...)])`.

    The body and the signature are those of OpenAI's webhooks, so that `client.webhooks.unwrap` of
    its SDK verifies them (https://www.standardwebhooks.com). The body has the response's id, with
    which the receiver can fetch the response. Each end is reported at least once, always with the
    same `webhook-id`.

    Args:
        url: The https URL. Redirects are not followed.
        secret: The shared secret: `whsec_` and at least 16 bytes in base64.
        events: The events to report. Default: `response.completed`, `response.failed`,
            `response.incomplete` and `response.cancelled`.
        allow_private: Whether the URL may be http and lead to a private, loopback or link-local
            address. Default False.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: The URL, the secret or an event is not valid.
        ImportError: A package is missing. The message has the command that installs it.
    """

    __slots__ = ("_key", "allow_private", "events", "url")
    url: str
    """The URL."""
    events: frozenset[str]
    """The events to report."""
    allow_private: bool
    """Whether the URL may be http and lead to a private, loopback or link-local address."""

    def __init__(
        self,
        url: str,
        secret: str,
        events: Sequence[str] = EVENTS,
        *,
        allow_private: bool = False,
    ) -> None:
        options = {"url": (url, str), "secret": (secret, str), "events": (events, Sequence)}
        require("Webhook", {**options, "allow_private": (allow_private, bool)})
        parts = urlsplit(url)
        try:
            parts.port, (parts.hostname or "").encode("idna")
        except ValueError as error:
            raise ValueError(f"Webhook: {url!r} is not an https URL: {error}.") from None
        if not parts.hostname or parts.scheme not in ("https", "http"):
            raise ValueError(f"Webhook: {url!r} is not an https URL.")
        if parts.scheme == "http" and not allow_private:
            raise ValueError(f"Webhook: {url!r} must be https, unless allow_private is True.")
        if isinstance(events, str):
            raise TypeError(f"Webhook: events must be a list, not {events!r}.")
        for event in events:
            if event not in EVENTS:
                raise ValueError(
                    f"Webhook: there is no event {event!r}. Known: {', '.join(EVENTS)}."
                )
        check_installed("Webhook")
        self.url = url
        self.events = frozenset(events)
        self.allow_private = allow_private
        self._key = _key(secret)

    @property
    def name(self) -> str:
        """The name of the receiver of its deliveries: the URL."""
        return self.url

    def headers(self, delivery: Delivery, timestamp: int) -> dict[str, str]:
        """Return the headers of an attempt.

        Args:
            delivery: The delivery.
            timestamp: The time, in seconds since 1970.
        """
        signed = b"%b.%d.%b" % (delivery.id.encode(), timestamp, delivery.body)
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "content-type": "application/json",
            "user-agent": "agent_asgi",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        }

    def __repr__(self) -> str:
        return f"Webhook({self.url!r})"  # the secret stays one


def check_installed(name: str) -> None:
    """Check that the package for deliveries is installed.

    Args:
        name: What needs it.

    Raises:
        ImportError: It is not. The message has the command that installs it.
    """
    try:
        import httpcore2  # noqa: F401  an extra; the delivery imports it
    except ImportError as error:
        raise MissingExtra(name, "webhooks") from error


def delivery_of(webhook: Webhook, record: Record, status: str, now: float) -> Delivery | None:
    """Return what reports the end of a run to a webhook; None if it does not subscribe to it.

    Args:
        webhook: The webhook.
        record: The response.
        status: How its run ended.
        now: The time, in seconds since 1970.
    """
    event, id_ = f"response.{status}", "evt_" + random_text()
    if event not in webhook.events:
        return None
    body = {
        "id": id_,
        "object": "event",
        "created_at": int(now),
        "type": event,
        "data": {"id": record.id},
    }
    return Delivery(id_, webhook.name, webhook.url, codec.encode(body), now)


def _key(secret: str) -> bytes:
    """Return the key of a secret.

    Raises:
        ValueError: It is not base64, or too short. The message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or len(key) < 16:
        raise ValueError(f"Webhook: the secret must be {PREFIX} and at least 16 bytes in base64.")
    return key
