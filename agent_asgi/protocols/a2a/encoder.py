"""Encoding a run as updates of its task. Pure."""

import re
from collections.abc import Callable
from typing import Any

from ...schema import codec
from ...schema import events as e
from ..base import Encoder
from .binding import Binding
from .schema import (
    WORKING,
    Artifact,
    ArtifactUpdate,
    SendMessageResponse,
    StatusUpdate,
    StreamResponse,
    TaskStatus,
)
from .task import TaskView, artifact_of, as_timestamp

_DELTA = re.compile(
    rb'\{"type":"response\.output_text\.delta","sequence_number":\d+,"item_id":("[^"\\]*"),'
    rb'"output_index":\d+,"content_index":\d+,"delta":(".*"),"logprobs":\[\]\}'
)
"""The line of a text delta in a log. It is not decoded."""


class TaskEncoder(Encoder):
    """Writes a run as updates of its task: texts as they come, other results when they are whole.

    A whole text replaces its pieces, so that the artifact is the same as in a task that is fetched.

    Args:
        binding: The client's binding.
        task: The task; its last turn is the run.
        history_length: How many messages of the history the task has. Default None: all.
    """

    __slots__ = ("_begun", "_binding", "_head", "_history_length", "_tail", "_task")

    def __init__(self, binding: Binding, task: TaskView, history_length: int | None = None) -> None:
        self._binding = binding
        self._task = task
        self._history_length = history_length
        self._begun = b""  # the id of the text that has been begun, as JSON
        self._head = self._tail = b""  # what surrounds its further pieces

    def body(self, encoded: bytes | None) -> bytes:
        task = SendMessageResponse(self._task.task(self._history_length))
        return self._binding.head + codec.encode(task) + self._binding.tail

    def write(self, event: e.AnyEvent, buffer: bytearray) -> None:
        """Append the frame of an event; most events have none."""
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, buffer)

    def replay(self, line: bytes, buffer: bytearray) -> None:
        delta = _DELTA.fullmatch(line)
        if delta is not None:
            self._add_text(delta[1], delta[2], buffer)
            return
        event = _TYPES.get(codec.event_type(line))
        if event is not None and issubclass(event, e.ResponseEvent):  # the task has what it says
            _RULES[event](self, None, buffer)
        elif event is not None:
            self.write(codec.decode_event(line), buffer)

    def _created(self, _: e.ResponseCreated | None, buffer: bytearray) -> None:
        self._add(StreamResponse(self._task.task(self._history_length)), buffer)

    def _in_progress(self, _: e.ResponseInProgress | None, buffer: bytearray) -> None:
        self._add_status(TaskStatus(WORKING, None, as_timestamp()), buffer)

    def _delta(self, event: e.OutputTextDelta | e.RefusalDelta, buffer: bytearray) -> None:
        self._add_text(codec.encode(event.item_id), codec.encode(event.delta), buffer)

    def _add_text(self, id: bytes, text: bytes, buffer: bytearray) -> None:
        """Append a piece of an artifact's text; both are JSON."""
        if id != self._begun:
            self._begun = id
            self._begin(id)
            buffer += self._head + text + self._tail.replace(b',"append":true', b"", 1)
        else:
            buffer += self._head + text + self._tail

    def _begin(self, id: bytes) -> None:
        task, binding = self._task, self._binding
        ids = codec.encode(task.id), codec.encode(task.context_id), id
        update = (
            b'{"artifactUpdate":{"taskId":%b,"contextId":%b,'
            b'"artifact":{"artifactId":%b,"parts":[{"text":' % ids
        )
        self._head = b"data: " + binding.head + update
        self._tail = b'}]},"append":true}}' + binding.tail + b"\n\n"

    def _done(self, event: e.OutputItemDone, buffer: bytearray) -> None:
        artifact = artifact_of(event.item)
        if artifact is not None:
            self._add_artifact(artifact, buffer)

    def _add_artifact(self, artifact: Artifact, buffer: bytearray) -> None:
        task = self._task
        update = ArtifactUpdate(task.id, task.context_id, artifact, last_chunk=True)
        self._add(StreamResponse(artifact_update=update), buffer)

    def _end(self, _: e.ResponseEvent | None, buffer: bytearray) -> None:
        self._add_status(self._task.status(now=True), buffer)

    def _add_status(self, status: TaskStatus, buffer: bytearray) -> None:
        task = self._task
        metadata = None if status.state == WORKING else task.metadata()
        update = StatusUpdate(task.id, task.context_id, status, metadata)
        self._add(StreamResponse(status_update=update), buffer)

    def _add(self, frame: StreamResponse, buffer: bytearray) -> None:
        buffer += encode_frame(self._binding, frame)


def encode_frame(binding: Binding, frame: StreamResponse) -> bytes:
    """Return a frame of a stream."""
    return b"data: " + binding.head + codec.encode(frame) + binding.tail + b"\n\n"


_RULES: dict[type[Any], Callable[[TaskEncoder, Any, bytearray], None]] = {
    e.ResponseCreated: TaskEncoder._created,
    e.ResponseInProgress: TaskEncoder._in_progress,
    e.OutputTextDelta: TaskEncoder._delta,
    e.RefusalDelta: TaskEncoder._delta,
    e.OutputItemDone: TaskEncoder._done,
    e.ResponseCompleted: TaskEncoder._end,
    e.ResponseFailed: TaskEncoder._end,
    e.ResponseIncomplete: TaskEncoder._end,
}
_TYPES = {str(event.__struct_config__.tag).encode(): event for event in _RULES}
"""The events that have frames, by their types."""
