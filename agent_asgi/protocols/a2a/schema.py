"""The objects of A2A 1.0 in ProtoJSON: names in camel case, fields with their defaults left out."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ...schema.ids import MAX_ID
from ...schema.items import Id

Json = dict[str, Any]
HistoryLength = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
TaskState = Literal[
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
]
INPUT_REQUIRED: TaskState = "TASK_STATE_INPUT_REQUIRED"
WORKING: TaskState = "TASK_STATE_WORKING"
Secret = Annotated[str, Meta(min_length=1, max_length=4000)]
Role = Literal["ROLE_USER", "ROLE_AGENT"]


class Wire(Struct, rename="camel", omit_defaults=True):
    """Base of the objects."""


class Part(Wire):
    """A part of a message or of an artifact: a text, a file, or data."""

    text: str | None = None
    """A text."""
    raw: str | None = None
    """A file, base64-encoded."""
    url: str | None = None
    """The URL of a file."""
    data: Any = UNSET
    """Any JSON value."""
    media_type: str | None = None
    """The media type."""
    filename: str | None = None
    """The name of the file."""
    metadata: Json | None = None
    """Further information, for example the citations in a text."""


class Message(Wire):
    """A message of the user or of the agent."""

    message_id: Id
    """The id that its author gave it."""
    role: Role
    """The author's role."""
    parts: Annotated[list[Part], Meta(min_length=1)]
    """The content."""
    context_id: str | None = None
    """The conversation. Default: a new one, or the task's."""
    task_id: str | None = None
    """The task that it belongs to. Default: a new one."""
    reference_task_ids: list[str] | None = None
    """Other tasks that it refers to."""
    extensions: list[str] | None = None
    """The URIs of the extensions in it."""
    metadata: Json | None = None
    """Further information, for the agent."""


class TaskStatus(Wire):
    """The status of a task."""

    state: TaskState
    """The state."""
    message: Message | None = None
    """What the agent asks, or why it failed."""
    timestamp: str | None = None
    """Since when, in UTC."""


class Artifact(Wire):
    """A result of a task."""

    artifact_id: str
    """Its id, unique in the task."""
    parts: list[Part]
    """The content."""


class Task(Wire):
    """A task."""

    id: str
    """The id of the task's first response."""
    context_id: str
    """The conversation."""
    status: TaskStatus
    """The status."""
    artifacts: list[Artifact] | UnsetType = UNSET
    """The results."""
    history: list[Message] | UnsetType = UNSET
    """The messages, oldest first."""
    metadata: Json | None = None
    """`usage`, and `incomplete_details` if the agent ended early."""


class StatusUpdate(Wire):
    """A change of a task's status."""

    task_id: str
    """The task."""
    context_id: str
    """The conversation."""
    status: TaskStatus
    """The new status."""
    metadata: Json | None = None
    """As in the task."""


class ArtifactUpdate(Wire):
    """A new part of a task's result."""

    task_id: str
    """The task."""
    context_id: str
    """The conversation."""
    artifact: Artifact
    """The artifact, or what is added to it."""
    append: bool = False
    """Whether the parts are added; otherwise they replace the artifact."""
    last_chunk: bool = False
    """Whether the artifact is complete."""


class StreamResponse(Wire):
    """A frame of a stream; exactly one field is set."""

    task: Task | None = None
    """The task, in the first frame."""
    status_update: StatusUpdate | None = None
    """A change of its status."""
    artifact_update: ArtifactUpdate | None = None
    """More of its results."""


class SendMessageResponse(Wire):
    """The answer to a message."""

    task: Task
    """The task."""


class SendMessageConfiguration(Wire):
    """How a message is answered."""

    accepted_output_modes: list[str] | None = None
    """The media types that the client accepts, for the agent."""
    return_immediately: bool | None = None
    """Whether the answer does not wait for the end of the task. Default false."""
    history_length: HistoryLength | None = None
    """How many messages of the task's history are returned. Default: all."""
    task_push_notification_config: Json | None = None
    """Who is notified when the task ends or waits. Refused if the card has no push
    notifications."""


class SendMessageRequest(Wire):
    """A message to the agent."""

    message: Message
    """The message."""
    configuration: SendMessageConfiguration | None = None
    """How it is answered."""
    metadata: Json | None = None
    """Further information, for the agent."""


class TaskRequest(Wire):
    """The name of a task."""

    id: str
    """The task."""


class GetTaskRequest(Wire):
    """What is returned of a task."""

    id: str
    """The task."""
    history_length: HistoryLength | None = None
    """How many messages of its history. Default: all."""


class ListTasksRequest(Wire):
    """Which tasks are listed."""

    context_id: str | None = None
    """The conversation. Default: all."""
    status: TaskState | Literal["TASK_STATE_UNSPECIFIED"] | None = None
    """The state. Default, and if unspecified: all."""
    page_size: Annotated[int, Meta(ge=1, le=100)] = 50
    """How many tasks are returned at most."""
    page_token: str | None = None
    """The `nextPageToken` of the page before."""
    history_length: HistoryLength = 0
    """How many messages of each task's history."""
    status_timestamp_after: Annotated[datetime, Meta(tz=True)] | None = None
    """The time since when the status changed."""
    include_artifacts: bool = False
    """Whether the tasks have their artifacts."""


class ListTasksResponse(Struct, rename="camel"):
    """A page of tasks, newest first."""

    tasks: list[Task]
    """The tasks."""
    next_page_token: str
    """Names the next page; empty if there is none."""
    page_size: int
    """The `pageSize` that was asked for."""
    total_size: int
    """The number of tasks up to this page, and one more if others follow."""


class AuthenticationInfo(Wire):
    """How a notification is authenticated: `Authorization: {scheme} {credentials}`."""

    scheme: Annotated[str, Meta(max_length=100)]
    """The scheme, for example `Bearer`."""
    credentials: Secret | None = None
    """The credentials. They are never returned."""


class TaskPushNotificationConfig(Wire):
    """Who is notified of a task."""

    url: Annotated[str, Meta(max_length=2000)]
    """An https URL of one of the hosts that the server allows."""
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    """Its id, unique in the task. Default: a new one."""
    task_id: str = ""
    """The task."""
    token: Secret | None = None
    """Sent as `X-A2A-Notification-Token`. It is never returned."""
    authentication: AuthenticationInfo | None = None
    """How the notification is authenticated. It is never returned."""


class PushConfigRequest(Wire):
    """The name of a configuration."""

    task_id: str
    """The task."""
    id: str
    """The configuration."""


class ListPushConfigsRequest(Wire):
    """Whose configurations are listed; they are one page."""

    task_id: str
    """The task."""


class ListTaskPushNotificationConfigsResponse(Struct, rename="camel"):
    """The configurations of a task."""

    configs: list[TaskPushNotificationConfig]
    """The configurations, by their ids."""
    next_page_token: str = ""
    """Empty: there is no other page."""
