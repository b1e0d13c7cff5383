"""The response, with the names of Open Responses' `ResponseResource`."""

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from operator import itemgetter
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from .plain import builtins
from .requests import ConversationRef, PromptRef, ResponsesRequest, TextOptions

ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]


_COUNT = {"type": "integer"}


def _shape(*names: str) -> dict[str, Any]:
    """Return the part of a JSON schema that describes details with these counts at least."""
    return {"properties": dict.fromkeys(names, _COUNT), "required": list(names)}


_INPUT_DETAILS = ("cached_tokens", "cache_write_tokens")
_OUTPUT_DETAILS = ("reasoning_tokens",)


class Usage(Struct, kw_only=True):
    """The tokens that a run used. A handler may yield it; several are summed.

    Counts are numbers of any type, for example numpy's, or None; details are dicts or objects.

    Raises:
        TypeError: A count is not a number, or details are no object; the message names the field.
    """

    input_tokens: int = 0
    """The number of input tokens."""
    output_tokens: int = 0
    """The number of output tokens."""
    total_tokens: int = 0
    """The number of all tokens. Default: the sum of the two."""
    input_tokens_details: Annotated[
        dict[str, Any], Meta(extra_json_schema=_shape(*_INPUT_DETAILS))
    ] = field(default_factory=lambda: dict.fromkeys(_INPUT_DETAILS, 0))
    """Details of the input tokens: `cached_tokens`, which were read from a cache,
    `cache_write_tokens`, which were written to it, and other counts of the model's API."""
    output_tokens_details: Annotated[
        dict[str, Any], Meta(extra_json_schema=_shape(*_OUTPUT_DETAILS))
    ] = field(default_factory=lambda: dict.fromkeys(_OUTPUT_DETAILS, 0))
    """Details of the output tokens: `reasoning_tokens` and other counts of the model's API."""

    def __post_init__(self) -> None:
        self.input_tokens = _count("input_tokens", self.input_tokens)
        self.output_tokens = _count("output_tokens", self.output_tokens)
        total = _count("total_tokens", self.total_tokens)
        self.total_tokens = total or self.input_tokens + self.output_tokens
        self.input_tokens_details = _counts(self.input_tokens_details, *_INPUT_DETAILS)
        self.output_tokens_details = _counts(self.output_tokens_details, *_OUTPUT_DETAILS)

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of two usages."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            input_tokens_details=_sum(self.input_tokens_details, other.input_tokens_details),
            output_tokens_details=_sum(self.output_tokens_details, other.output_tokens_details),
        )

    def __bool__(self) -> bool:
        """Return whether any tokens were used."""
        return self.total_tokens != 0


def _count(name: str, value: Any) -> int:
    """Return a number of tokens as an integer.

    Raises:
        TypeError: It is not a finite number.
    """
    if type(value) is int:
        return value
    if value is None:
        return 0
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and isfinite(value):
        return int(value)
    raise TypeError(f"Usage: {name} must be a number, not {value!r}.")


def _counts(details: Any, *names: str) -> dict[str, Any]:
    """Return the counts in a usage's details, with these names at least."""
    if _are_counts(details, names):  # the usual case; the general way is five times as slow
        return dict(details)
    counts: dict[str, Any] = dict.fromkeys(names, 0)
    details = builtins(details or {})
    if not isinstance(details, dict):
        raise TypeError(f"Usage: details must be an object, not {details!r}.")
    for name, value in details.items():
        if isinstance(value, dict):
            counts[name] = _counts(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            is_whole = isinstance(value, float) and value.is_integer()  # as JavaScript sends counts
            counts[name] = int(value) if is_whole else value
        elif name in names and value is not None:
            raise TypeError(f"Usage: {name} must be a number, not {value!r}.")
    return counts


def _are_counts(details: Any, names: Sequence[str]) -> bool:
    """Return whether details have exactly these names, and integers."""
    if type(details) is not dict or len(details) != len(names):
        return False
    for name in names:  # noqa: SIM110  a generator expression takes longer than all of this
        if type(details.get(name)) is not int:
            return False
    return True


def _sum(details: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    total = {**details, **others}
    for name in details.keys() & others.keys():
        one, other = details[name], others[name]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            total[name] = _sum(one, other)
        elif not (isinstance(one, Mapping) or isinstance(other, Mapping)):
            total[name] = one + other
    return total


class ResponseError(Struct, kw_only=True):
    """Why a run failed."""

    code: str
    """A short machine-readable name."""
    message: str
    """A message for people."""


class IncompleteDetails(Struct, kw_only=True):
    """Why a run ended early."""

    reason: str
    """For example `max_output_tokens`."""


class Response(Struct, kw_only=True):
    """A response: the output of a run, and the request's settings.

    If a handler returns one, its `output`, `usage`, `metadata`, `status`, `error`,
    `incomplete_details` and `custom_outputs` are used; the server sets the other fields.
    """

    id: str = ""
    """The response's id."""
    object: Literal["response"] = "response"
    """Always `response`."""
    created_at: int = 0
    """When the run was created, in seconds since 1970."""
    completed_at: int | None = None
    """When it completed, in seconds since 1970."""
    status: ResponseStatus = "completed"
    """The run's status."""
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
    tools: list[Any] = field(default_factory=list)
    """The request's tools."""
    tool_choice: str | dict[str, Any] = "auto"
    """The request's choice of tools."""
    truncation: str = "disabled"
    """How input that is too long was truncated."""
    parallel_tool_calls: bool = True
    """Whether several tools may be called at once."""
    text: dict[str, Any] = field(default_factory=lambda: {"format": {"type": "text"}})
    """Options of the text output."""
    top_p: float = 1.0
    """Nucleus sampling."""
    presence_penalty: float = 0.0
    """Penalty for tokens that are in the text."""
    frequency_penalty: float = 0.0
    """Penalty for tokens by their frequency in the text."""
    top_logprobs: int = 0
    """The number of alternatives of each token."""
    temperature: float = 1.0
    """Sampling temperature."""
    reasoning: dict[str, Any] | None = None
    """Options of the reasoning."""
    usage: Usage | UnsetType | None = None
    """The tokens used; null until the run has ended, then zeros if the agent reports none."""
    max_output_tokens: int | None = None
    """The maximum number of output tokens."""
    max_tool_calls: int | None = None
    """The maximum number of tool calls."""
    store: bool = False
    """Whether the response can be fetched later."""
    background: bool = False
    """Whether the run continues without the client."""
    service_tier: str = "default"
    """Tier of service."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The request's pairs, and the trace's id if the client asked for it."""
    safety_identifier: str | None = None
    """A stable name of the end user."""
    prompt_cache_key: str | None = None
    """Key for a prompt cache."""
    conversation: ConversationRef | UnsetType = UNSET
    """The conversation that the run belongs to; left out if there is none that remembers."""
    prompt: PromptRef | UnsetType = UNSET
    """The request's prompt template, if it names one."""
    custom_outputs: dict[str, Any] | UnsetType = UNSET
    """Outputs that the agent and its clients agree on (MLflow)."""


def echo(request: ResponsesRequest, id: str, agent: str) -> Response:
    """Return the response of a run that begins, with the request's settings and no output.

    Settings that the request does not have get the specification's default.

    Args:
        request: The request.
        id: The response's id.
        agent: The router's name, for a request without `model`.
    """
    response: Response = _blank.__copy__()  # type: ignore[attr-defined]  # what `copy` calls
    response.id = id
    response.model = request.model or agent
    response.previous_response_id = request.previous_response_id
    response.store = request.store is not False
    response.output = []
    if _settings(structs.astuple(request)) == _NO_SETTINGS:  # as most; a loop takes longer
        return response
    for name in _ECHOED:
        value = getattr(request, name)
        if value is not None:
            setattr(response, name, value)
    if request.tool_choice is not None:
        choice = request.tool_choice
        if isinstance(choice, dict) and choice["type"] == "allowed_tools":
            choice = {"mode": "auto", **choice}
        response.tool_choice = choice
    if request.text is not None:
        response.text = _text(request.text)
    if request.reasoning is not None:
        effort, summary = request.reasoning.effort, request.reasoning.summary
        response.reasoning = {"effort": effort, "summary": summary}
    return response


_ECHOED = (
    "background",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "safety_identifier",
    "prompt_cache_key",
    "prompt",
    "tools",
    "truncation",
    "parallel_tool_calls",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "service_tier",
    "metadata",
)
_SETTINGS = (*_ECHOED, "tool_choice", "text", "reasoning")
_settings = itemgetter(*map(ResponsesRequest.__struct_fields__.index, _SETTINGS))
_NO_SETTINGS = (None,) * len(_SETTINGS)
_blank = Response(status="in_progress")
"""Copied for each response. The copies share its empty lists, which are never changed."""


def _text(options: TextOptions) -> dict[str, Any]:
    text: dict[str, Any] = {"format": {"type": "text"}}
    if options.verbosity is not None:
        text["verbosity"] = options.verbosity
    if (format_ := options.format) is None:
        return text
    text["format"] = {"type": format_.type}
    if format_.type == "json_schema":
        text["format"] |= {
            "name": format_.name or "",
            "description": format_.description,
            # Open Responses 2026-04-24 allows only null here (JsonSchemaResponseFormat)
            "schema": None,
            "strict": bool(format_.strict),
        }
    return text
