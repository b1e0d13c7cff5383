"""The events of AG-UI 1.0. A struct's tag is its `type`; members that are not set are left out."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

Role = Literal["assistant", "user", "system", "developer"]
VERSION = "1.0"


class AGUIEvent(Struct, rename="camel", tag_field="type"):
    """Base of all events."""


class TokenUsage(Struct, rename="camel"):
    """The tokens that a run used."""

    input_tokens: int
    """The number of input tokens."""
    output_tokens: int
    """The number of output tokens."""
    total_tokens: int
    """The number of all tokens."""
    reasoning_tokens: int | UnsetType = UNSET
    """The output tokens that are reasoning."""
    cached_input_tokens: int | UnsetType = UNSET
    """The input tokens that were read from a cache."""
    cache_write_input_tokens: int | UnsetType = UNSET
    """The input tokens that were written to a cache."""


class SuccessOutcome(Struct, rename="camel", tag_field="type", tag="success"):
    """The run has completed."""

    pending_tool_call_ids: list[str] | UnsetType = UNSET
    """The calls that the client is to execute."""


class Interrupt(Struct, rename="camel"):
    """A question that the next run answers."""

    id: str
    """The id that the answer names."""
    reason: str
    """What kind of question it is."""
    message: str
    """The question, for people."""
    tool_call_id: str
    """The call in question."""
    response_schema: dict[str, Any] | UnsetType = UNSET
    """JSON schema of the answer."""


class InterruptOutcome(Struct, tag_field="type", tag="interrupt"):
    """The run waits for answers."""

    interrupts: list[Interrupt]
    """The questions."""


class CancelledOutcome(Struct, tag_field="type", tag="cancelled"):
    """The run was stopped."""


Outcome = SuccessOutcome | InterruptOutcome | CancelledOutcome


class RunStarted(AGUIEvent, tag="RUN_STARTED"):
    """The run begins."""

    thread_id: str
    """The client's id of the conversation."""
    run_id: str
    """The client's id of the run."""
    protocol_version: str = VERSION
    """The version of AG-UI."""
    parent_run_id: str | UnsetType = UNSET
    """The run that started this one."""


class RunFinished(AGUIEvent, tag="RUN_FINISHED"):
    """The run has ended."""

    thread_id: str
    """The client's id of the conversation."""
    run_id: str
    """The client's id of the run."""
    outcome: Outcome
    """How it ended."""
    result: Any = UNSET
    """The `custom_outputs` of the agent's response."""
    usage: list[TokenUsage] | UnsetType = UNSET
    """The tokens used."""
    metadata: dict[str, Any] | UnsetType = UNSET
    """The response's id and metadata, and why it is incomplete."""


class RunError(AGUIEvent, tag="RUN_ERROR"):
    """The run has failed."""

    message: str
    """A message for people."""
    code: str
    """A short machine-readable name."""
    usage: list[TokenUsage] | UnsetType = UNSET
    """The tokens used."""


class StepStarted(AGUIEvent, tag="STEP_STARTED"):
    """A step of the agent begins."""

    step_name: str
    """Its name."""


class StepFinished(AGUIEvent, tag="STEP_FINISHED"):
    """A step of the agent has ended."""

    step_name: str
    """Its name."""


class TextMessageStart(AGUIEvent, tag="TEXT_MESSAGE_START"):
    """A message begins."""

    message_id: str
    """The message's id."""
    role: Role = "assistant"
    """Its author."""


class TextMessageContent(AGUIEvent, tag="TEXT_MESSAGE_CONTENT"):
    """More of a message."""

    message_id: str
    """The message's id."""
    delta: str
    """The text."""


class TextMessageEnd(AGUIEvent, tag="TEXT_MESSAGE_END"):
    """A message is finished."""

    message_id: str
    """The message's id."""


class ToolCallStart(AGUIEvent, tag="TOOL_CALL_START"):
    """A call begins."""

    tool_call_id: str
    """The call's id."""
    tool_call_name: str
    """The tool."""


class ToolCallArgs(AGUIEvent, tag="TOOL_CALL_ARGS"):
    """More of a call's arguments."""

    tool_call_id: str
    """The call's id."""
    delta: str
    """A piece of their JSON text."""


class ToolCallEnd(AGUIEvent, tag="TOOL_CALL_END"):
    """The arguments of a call are finished."""

    tool_call_id: str
    """The call's id."""


class ToolCallResult(AGUIEvent, tag="TOOL_CALL_RESULT"):
    """The result of a call."""

    message_id: str
    """The id of the message with the result."""
    tool_call_id: str
    """The call's id."""
    content: str
    """The result."""
    role: Literal["tool"] = "tool"
    """Always `tool`."""


class ReasoningStart(AGUIEvent, tag="REASONING_START"):
    """The agent begins to think."""

    message_id: str
    """The id of the reasoning."""


class ReasoningMessageStart(AGUIEvent, tag="REASONING_MESSAGE_START"):
    """A text of the reasoning begins."""

    message_id: str
    """The message's id."""
    role: Literal["reasoning"] = "reasoning"
    """Always `reasoning`."""


class ReasoningMessageContent(AGUIEvent, tag="REASONING_MESSAGE_CONTENT"):
    """More of the reasoning."""

    message_id: str
    """The message's id."""
    delta: str
    """The text."""


class ReasoningMessageEnd(AGUIEvent, tag="REASONING_MESSAGE_END"):
    """A text of the reasoning is finished."""

    message_id: str
    """The message's id."""


class ReasoningEncryptedValue(AGUIEvent, tag="REASONING_ENCRYPTED_VALUE"):
    """The reasoning, readable only by its provider."""

    subtype: Literal["message"]
    """Always `message`."""
    entity_id: str
    """The id of the reasoning's message."""
    encrypted_value: str
    """The value."""


class ReasoningEnd(AGUIEvent, tag="REASONING_END"):
    """The agent has thought."""

    message_id: str
    """The id of the reasoning."""


class StateSnapshot(AGUIEvent, tag="STATE_SNAPSHOT"):
    """The whole shared state."""

    snapshot: Any
    """The state."""


class StateDelta(AGUIEvent, tag="STATE_DELTA"):
    """A change of the shared state."""

    delta: list[Any]
    """A JSON Patch (RFC 6902)."""


class ActivitySnapshot(AGUIEvent, tag="ACTIVITY_SNAPSHOT"):
    """Something that the client shows besides the conversation."""

    message_id: str
    """Its id."""
    activity_type: str
    """What it is."""
    content: dict[str, Any]
    """What the client shows."""
    replace: bool | UnsetType = UNSET
    """Whether it replaces an earlier one with the id."""


class ActivityDelta(AGUIEvent, tag="ACTIVITY_DELTA"):
    """A change of what the client shows besides the conversation."""

    message_id: str
    """Its id."""
    activity_type: str
    """What it is."""
    patch: list[Any]
    """A JSON Patch (RFC 6902)."""


class Custom(AGUIEvent, tag="CUSTOM"):
    """An item or an event that AG-UI does not have."""

    name: str
    """Its type."""
    value: Any
    """The item, or the event's fields."""
