"""The body of `POST /api/chat`, as `useChat` sends it."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...schema.ids import MAX_ID

Role = Literal["system", "user", "assistant"]
Name = Annotated[str, Meta(min_length=1)]


class ToolApproval(Struct, kw_only=True):
    """A question whether the agent may call a tool, and its answer."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    """The id of the approval request."""
    approved: bool | None = None
    """The answer; null until there is one."""
    reason: str | None = None
    """The reason, for the agent."""


class UIPart(Struct, kw_only=True, rename="camel"):
    """A part of a message. Its `type` says which of the members it has."""

    type: Name
    """text, reasoning, file, dynamic-tool, tool-NAME, data-NAME, ..."""
    text: str | None = None
    """The text."""
    media_type: str | None = None
    """The type of the file."""
    url: str | None = None
    """URL of the file, or a data URL."""
    filename: str | None = None
    """Name of the file."""
    provider_metadata: dict[str, Any] | None = None
    """What the agent added to the part."""
    tool_name: Name | None = None
    """The name of the tool, if `type` does not have it."""
    tool_call_id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    """The id of the call."""
    state: str | None = None
    """How far the call has come."""
    input: Any = None
    """The arguments of the call."""
    raw_input: Any = None
    """The arguments, if they are not valid."""
    output: Any = None
    """The result of the call."""
    error_text: str | None = None
    """Why the call failed."""
    provider_executed: bool | None = None
    """Whether the agent executes the call."""
    approval: ToolApproval | None = None
    """Whether the agent may call the tool."""

    @property
    def tool(self) -> str | None:
        """The name of the tool that is called; None if the part is no call."""
        if self.type == "dynamic-tool":
            return self.tool_name or ""
        return self.type[5:] if self.type.startswith("tool-") else None


class UIMessage(Struct, kw_only=True):
    """A message of the user, of the agent, or with instructions."""

    id: str = ""
    """The message's id."""
    role: Role
    """The author."""
    parts: list[UIPart]
    """The content."""

    @property
    def last_step(self) -> list[tuple[int, UIPart]]:
        """The parts after the last border of a step, with their indexes."""
        parts = list(enumerate(self.parts))
        begin = max((n for n, part in parts if part.type == "step-start"), default=-1)
        return parts[begin + 1 :]


class UIRequestBody(Struct, kw_only=True, rename="camel"):
    """The body: members that are not listed here go to the agent as `custom_inputs`."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    """The chat, which is the conversation of the run."""
    messages: list[UIMessage] | None = None
    """The whole chat, oldest message first."""
    message: UIMessage | None = None
    """The last message, in place of `messages`; the conversation has those before it."""
    trigger: str | None = None
    """Why the request is sent: `submit-message` or `regenerate-message`."""
    message_id: str | None = None
    """The message that is edited, regenerated or continued."""
