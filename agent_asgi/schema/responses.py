"""What goes out: the response, under the names of Open Responses' `ResponseResource`."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from .requests import FunctionTool, ResponsesRequest

ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]


class InputTokensDetails(Struct, kw_only=True):
    """What the input tokens were."""

    cached_tokens: int = 0
    """How many came from a cache."""


class OutputTokensDetails(Struct, kw_only=True):
    """What the output tokens were."""

    reasoning_tokens: int = 0
    """How many were reasoning."""


class Usage(Struct, kw_only=True):
    """The tokens that a run used; a handler may yield it, and several are summed."""

    input_tokens: int = 0
    """Tokens that the model read."""
    output_tokens: int = 0
    """Tokens that the model wrote."""
    total_tokens: int = 0
    """Both together. Default: their sum."""
    input_tokens_details: InputTokensDetails = field(default_factory=InputTokensDetails)
    """What the input tokens were."""
    output_tokens_details: OutputTokensDetails = field(default_factory=OutputTokensDetails)
    """What the output tokens were."""

    def __post_init__(self) -> None:
        self.total_tokens = self.total_tokens or self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Sum two usages, as the turns of one run need it."""
        cached = self.input_tokens_details.cached_tokens + other.input_tokens_details.cached_tokens
        thought = (
            self.output_tokens_details.reasoning_tokens
            + other.output_tokens_details.reasoning_tokens
        )
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=cached),
            output_tokens_details=OutputTokensDetails(reasoning_tokens=thought),
        )


class ResponseError(Struct, kw_only=True):
    """Why a run failed."""

    code: str
    """A short machine-readable name."""
    message: str
    """What a person reads."""


class IncompleteDetails(Struct, kw_only=True):
    """Why a run ended early."""

    reason: str
    """Such as `max_output_tokens`."""


class Response(Struct, kw_only=True):
    """A response: the output of a run and the request's settings echoed.

    A handler may return one with no more than `output` and, as it likes, `usage`, `metadata`,
    `status`, `error`, `incomplete_details`, `custom_outputs`; the rest is the server's.
    """

    id: str = ""
    """The response's id."""
    object: Literal["response"] = "response"
    """Always `response`."""
    created_at: int = 0
    """When the run was made, in seconds since 1970."""
    completed_at: int | None = None
    """When it completed, in seconds since 1970."""
    status: ResponseStatus = "completed"
    """How far the run has come."""
    incomplete_details: IncompleteDetails | None = None
    """Why it ended early."""
    model: str = ""
    """The model that the request named, or the router's name."""
    previous_response_id: str | None = None
    """The response that this one continues."""
    instructions: str | None = None
    """The request's instructions."""
    output: list[Any] = field(default_factory=list)
    """The items that the run produced."""
    error: ResponseError | None = None
    """Why it failed."""
    tools: list[FunctionTool | dict[str, Any]] = field(default_factory=list)
    """The request's tools."""
    tool_choice: str | dict[str, Any] = "auto"
    """The request's choice of tools."""
    truncation: str = "disabled"
    """How too long an input was cut."""
    parallel_tool_calls: bool = True
    """Whether several tools may be called at once."""
    text: dict[str, Any] = field(default_factory=lambda: {"format": {"type": "text"}})
    """Options of the text output."""
    top_p: float = 1.0
    """Nucleus sampling."""
    presence_penalty: float = 0.0
    """Penalty for tokens that the text has already."""
    frequency_penalty: float = 0.0
    """Penalty for tokens by how often the text has them."""
    top_logprobs: int = 0
    """How many alternatives of each token were wanted."""
    temperature: float = 1.0
    """Sampling temperature."""
    reasoning: dict[str, Any] | None = None
    """Options of the reasoning."""
    usage: Usage | None = None
    """Tokens used."""
    max_output_tokens: int | None = None
    """Bound on the tokens of the answer."""
    max_tool_calls: int | None = None
    """Bound on the number of tool calls."""
    store: bool = False
    """Whether the response may be fetched later."""
    background: bool = False
    """Whether the run goes on without the client."""
    service_tier: str = "default"
    """Tier of service."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The request's pairs, and the trace's id where the client asked for it."""
    safety_identifier: str | None = None
    """A stable name of the end user."""
    prompt_cache_key: str | None = None
    """Key for a prompt cache."""
    custom_outputs: dict[str, Any] | UnsetType = UNSET
    """Anything that the agent and its clients agree on (MLflow)."""


def echo(request: ResponsesRequest, *, id: str, created_at: int, agent: str) -> Response:
    """Make the response of a run that begins: the request's settings, nothing in the output.

    Fields that the request left open get the specification's default or null.
    """
    response = Response(
        id=id,
        created_at=created_at,
        status="in_progress",
        model=request.model or agent,
        previous_response_id=request.previous_response_id,
        store=request.store is not False,
        background=bool(request.background),
        instructions=request.instructions,
        metadata=dict(request.metadata or {}),
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
    )
    for name in _ECHOED:
        value = getattr(request, name)
        if value is not None:
            setattr(response, name, value)
    if isinstance(response.tool_choice, dict) and response.tool_choice["type"] == "allowed_tools":
        response.tool_choice = {"mode": "auto", **response.tool_choice}
    if request.text is not None:
        response.text = _text(request)
    if request.reasoning is not None:
        response.reasoning = {
            "effort": request.reasoning.effort,
            "summary": request.reasoning.summary,
        }
    return response


_ECHOED = (
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "service_tier",
)


def _text(request: ResponsesRequest) -> dict[str, Any]:
    text: dict[str, Any] = {"format": {"type": "text"}}
    if request.text is None:
        return text
    if request.text.verbosity is not None:
        text["verbosity"] = request.text.verbosity
    wanted = request.text.format
    if wanted is not None and wanted.type == "json_schema":
        text["format"] = {
            "type": "json_schema",
            "name": wanted.name or "",
            "description": wanted.description,
            # Open Responses 2026-04-24 allows nothing but null here (JsonSchemaResponseFormat).
            "schema": None,
            "strict": bool(wanted.strict),
        }
    elif wanted is not None:
        text["format"] = {"type": wanted.type}
    return text
