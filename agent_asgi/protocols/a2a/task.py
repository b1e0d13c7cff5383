"""Stored responses as tasks: their status, results and history. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import UNSET

from ...events.coerce import text_name
from ...schema.own_calls import Item
from ...schema.requests import ConversationRef, ResponsesRequest
from ...schema.responses import Response
from .answers import open_items, question_parts
from .request import file_part, message_id, parts_of
from .schema import (
    INPUT_REQUIRED,
    Artifact,
    Json,
    Message,
    Part,
    Task,
    TaskState,
    TaskStatus,
)

_STATES: dict[str, TaskState] = {
    "queued": "TASK_STATE_SUBMITTED",
    "in_progress": "TASK_STATE_WORKING",
    "completed": "TASK_STATE_COMPLETED",
    "incomplete": "TASK_STATE_COMPLETED",
    "failed": "TASK_STATE_FAILED",
    "cancelled": "TASK_STATE_CANCELED",
}


class Turn(NamedTuple):
    """One of the runs of a task. All but the first answer what the one before asks."""

    request: ResponsesRequest
    """The run's request."""
    response: Response
    """Its response, without calls of the agent's own tools."""

    @property
    def waiting(self) -> list[Item]:
        """What the client has to answer before the task continues."""
        return open_items(self.response.output) if self.response.status == "completed" else []


class TaskView:
    """A task, as its turns make it up.

    Args:
        turns: Its turns, oldest first.
        id: Its id. Default None: the id of the first turn.
    """

    __slots__ = ("context_id", "id", "turns")

    def __init__(self, turns: Sequence[Turn], id: str | None = None) -> None:
        self.turns = turns
        self.id = id or turns[0].response.id
        self.context_id = _context_of(turns[0]) or self.id

    @property
    def last(self) -> Turn:
        """The last turn."""
        return self.turns[-1]

    @property
    def changed_at(self) -> int:
        """When its status changed, as far as the store knows, in seconds since 1970."""
        return self.last.response.completed_at or self.last.response.created_at

    def status(self, *, now: bool = False) -> TaskStatus:
        """Return the status.

        Args:
            now: Whether it has just changed. Default False.
        """
        response = self.last.response
        timestamp = as_timestamp(None if now else self.changed_at)
        if waiting := self.last.waiting:
            return TaskStatus(INPUT_REQUIRED, self._question(self.last, waiting), timestamp)
        message = None
        if response.error is not None:
            message = self._said(self.last, [Part(response.error.message)])
        return TaskStatus(_STATES[response.status], message, timestamp)

    def task(self, history_length: int | None = None, *, artifacts: bool = True) -> Task:
        """Return the task.

        Args:
            history_length: How many messages of the history it has. Default None: all.
            artifacts: Whether it has the results. Default True.
        """
        history = [] if history_length == 0 else self._history()[-(history_length or 0) :]
        return Task(
            self.id,
            self.context_id,
            self.status(),
            self._artifacts() if artifacts else UNSET,
            history or UNSET,
            self.metadata(),
        )

    def metadata(self) -> Json | None:
        """Return what else is known of the last run: its usage, and why it ended early."""
        response = self.last.response
        known: Json = {"usage": response.usage} if response.usage else {}
        if response.incomplete_details is not None:
            known["incomplete_details"] = response.incomplete_details
        return known or None

    def _artifacts(self) -> list[Artifact]:
        items = [item for turn in self.turns for item in turn.response.output]
        return [artifact for item in items if (artifact := artifact_of(item)) is not None]

    def _history(self) -> list[Message]:
        history: list[Message] = []
        for number, turn in enumerate(self.turns):
            if number:
                earlier = self.turns[number - 1]
                history.append(self._question(earlier, earlier.waiting))
            if parts := parts_of(turn.request.new_input):
                id_ = message_id(turn.request, turn.response.id)
                history.append(Message(id_, "ROLE_USER", parts, self.context_id, self.id))
        return history

    def _question(self, turn: Turn, waiting: Sequence[Item]) -> Message:
        return self._said(turn, question_parts(waiting))

    def _said(self, turn: Turn, parts: list[Part]) -> Message:
        id_ = f"msg_{turn.response.id.removeprefix('resp_')}_status"
        return Message(id_, "ROLE_AGENT", parts, self.context_id, self.id)


def _context_of(turn: Turn) -> str | None:
    """Return the conversation of a turn; the response has its id only if it remembers."""
    conversation = turn.response.conversation or turn.request.conversation
    return conversation.id if isinstance(conversation, ConversationRef) else conversation


def as_timestamp(seconds: float | None = None) -> str:
    """Return a time in the form of ProtoJSON, in UTC.

    Args:
        seconds: Seconds since 1970. Default None: now.
    """
    time = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    text = time.isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def artifact_of(item: Item) -> Artifact | None:
    """Return an item as a result; None for other items, such as reasoning and tool calls."""
    type_ = item["type"]
    if type_ == "message":
        parts = [_part(part) for part in item["content"]]
    elif type_ == "image_generation_call" and item.get("result"):
        format_ = item.get("output_format") or "png"
        parts = [file_part(f"data:image/{format_};base64,{item['result']}")]
    elif ":" in type_:  # a vendor's
        parts = [Part(data=item, media_type="application/json")]
    else:
        parts = []
    return Artifact(item["id"], parts) if parts and item.get("id") else None


def _part(part: dict[str, Any]) -> Part:
    name, image = text_name(part["type"]), part.get("image_url")
    if isinstance(image, str):
        return file_part(image)
    if name not in part:
        return Part(data=part)
    if part["type"] == "refusal":
        return Part(part[name], metadata={"refusal": True})
    annotations = part.get("annotations")
    return Part(part[name], metadata={"annotations": annotations} if annotations else None)
