"""What is sent to those who are notified of a task, and the hosts that it is sent to."""

from functools import partial

import msgspec
from msgspec import structs

from ...schema import codec
from ...store.base import Ending, Record
from ...store.delivery_store import Delivery, Notice
from .schema import StatusUpdate, StreamResponse
from .stored import task_id_of, turn_of
from .task import TaskView

_headers = msgspec.json.Decoder(dict[str, str])


class PushHost:
    """A host that notifications are sent to.

    Args:
        host: The host, with a port other than 443.

    Attributes:
        name: The host.
        allow_private: Whether it may lead to a private address; it may not.
    """

    __slots__ = ("name",)
    allow_private = False

    def __init__(self, host: str) -> None:
        self.name = host

    def headers(self, delivery: Delivery, timestamp: int) -> dict[str, str]:
        """Return the headers of an attempt."""
        own = {"content-type": "application/a2a+json", "user-agent": "agent_asgi"}
        return own | _headers.decode(delivery.headers)


def notice_of(record: Record, ending: Ending) -> Notice:
    """Return what is sent when a run has ended: the task's status.

    Args:
        record: The run.
        ending: How it ended.
    """
    id_ = task_id_of(record) or record.id
    ended = structs.replace(record, status=ending.status, response=ending.response)
    return Notice(id_, partial(_body, id_, ended))


def _body(task_id: str, record: Record) -> bytes:
    task = TaskView([turn_of(record)], task_id)
    update = StatusUpdate(task_id, task.context_id, task.status(now=True), task.metadata())
    return codec.encode(StreamResponse(status_update=update))
