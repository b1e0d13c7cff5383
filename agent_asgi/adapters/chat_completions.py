"""Models with a Chat Completions API, through any vendor's client; needs no extra.

```python
@router.stream
async def agent(request: ResponsesRequest):
    model = {"model": "gpt-4.1-mini", "stream": True, **tools(request)}
    return outputs(await client.chat.completions.create(messages=request.messages, **model))
```
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Any, overload

import msgspec

from ..events.coerce import Get, as_dict, getter
from ..schema.chat_messages import set_fields
from ..schema.requests import FunctionTool, ResponsesRequest
from ..schema.responses import Usage
from ._common.deltas import Fragments

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def tools(request: ResponsesRequest) -> dict[str, Any]:
    """Return the client's functions, for `create(**tools(request))`.

    Args:
        request: The request.

    Returns:
        `tools`, `tool_choice` and `parallel_tool_calls`, those that the request has.
    """
    functions = [each for each in request.tools or () if isinstance(each, FunctionTool)]
    if not functions:
        return {}
    names = ("name", "description", "parameters", "strict")
    options: dict[str, Any] = {
        "tools": [{"type": "function", "function": set_fields(each, *names)} for each in functions]
    }
    choice = request.tool_choice
    if isinstance(choice, str):
        options["tool_choice"] = choice
    elif choice is not None and choice["type"] == "function":
        options["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice is not None and choice["type"] == "allowed_tools":
        options["tool_choice"] = choice.get("mode", "auto")
    return options | set_fields(request, "parallel_tool_calls")


@overload
def outputs(stream: AsyncIterable[Any]) -> AsyncGenerator[Any, None]: ...
@overload
def outputs(stream: Any) -> Iterator[Any]: ...
def outputs(stream: Any) -> AsyncGenerator[Any, None] | Iterator[Any]:
    """Turn the answer of a model's client into outputs of a handler.

    Chunks and completions are objects or dicts. Reasoning becomes the summary of a reasoning item;
    the usage comes once, at the end. Only the first choice counts.

    Args:
        stream: A stream of chunks, async or sync, or a whole completion. It is closed at the end,
            or when the returned generator is closed.

    Returns:
        An async generator for an async stream, else a generator.

    Raises:
        RuntimeError: The stream has an error or a call without a name, or ended without a
            `finish_reason`.
    """
    if getter(stream)("choices") is not None:
        return _sync([stream])
    return _async(stream) if hasattr(stream, "__aiter__") else _sync(stream)


async def _async(stream: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    chunks = _Chunks()
    try:
        async for chunk in stream:
            for output in chunks.feed(chunk):
                yield output
        for output in chunks.end():
            yield output
    finally:
        closing = _closer(stream)()
        if inspect.isawaitable(closing):
            await closing


def _sync(stream: Iterable[Any]) -> Iterator[Any]:
    chunks = _Chunks()
    try:
        for chunk in stream:
            yield from chunks.feed(chunk)
        yield from chunks.end()
    finally:
        _closer(stream)()


def _closer(stream: Any) -> Any:
    return getattr(stream, "aclose", None) or getattr(stream, "close", None) or (lambda: None)


class _Chunks:
    """The chunks of one completion, a whole one being a single chunk."""

    def __init__(self) -> None:
        self._fragments = Fragments()
        self._reason: str | None = None
        self._begun = False
        self._usage: Any = None

    def feed(self, chunk: Any) -> Iterator[Any]:
        """Yield the outputs of a chunk."""
        get = getter(chunk)
        if get("error"):
            raise RuntimeError(f"The model's stream carried an error: {get('error')}")
        self._usage = get("usage") or self._usage  # some vendors send the total in every chunk
        for choice in map(getter, get("choices") or ()):
            if not choice("index"):
                self._begun = True
                self._reason = choice("finish_reason") or self._reason
                yield from self._delta(getter(choice("delta") or choice("message") or {}))

    def end(self) -> Iterator[Any]:
        """Yield the outputs of the end; of an incomplete answer open items stay open."""
        if self._begun and self._reason is None:
            raise RuntimeError("The model's stream was cut: it has no finish_reason.")
        reason = _INCOMPLETE.get(self._reason or "")
        if reason is None:
            yield from self._fragments.end()
        else:
            response = {"incomplete_details": {"reason": reason}}
            yield {"type": "response.incomplete", "response": response}
        if self._usage:
            yield _usage(getter(self._usage))

    def _delta(self, get: Get) -> Iterator[Any]:
        reasoning = get("reasoning_content") or get("reasoning")
        yield from self._fragments.reasoning(reasoning if isinstance(reasoning, str) else None)
        content = get("content")
        if isinstance(content, list):
            for part in map(getter, content):
                yield from self._part(part)
        elif content:
            yield from self._text(content)
        yield from self._fragments.refusal(get("refusal"))
        for call in map(getter, get("tool_calls") or ()):
            yield from self._call(call)

    def _text(self, text: str) -> Iterator[Any]:
        yield from self._fragments.close_text()
        yield text

    def _part(self, get: Get) -> Iterator[Any]:
        if get("type") == "text" and get("text"):
            yield from self._text(get("text"))
        for name in ("summary", "thinking"):  # Databricks, Mistral
            parts = get(name)
            for part in parts if isinstance(parts, list) else ():
                yield from self._fragments.reasoning(getter(part)("text"))

    def _call(self, get: Get) -> Iterator[Any]:
        function = getter(get("function") or {})
        arguments = function("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        return self._fragments.call(get("index"), get("id"), function("name"), arguments)


def _usage(get: Get) -> Usage:
    return Usage(
        input_tokens=get("prompt_tokens") or 0,
        output_tokens=get("completion_tokens") or 0,
        total_tokens=get("total_tokens") or 0,
        input_tokens_details=_details(get("prompt_tokens_details")),
        output_tokens_details=_details(get("completion_tokens_details")),
    )


def _details(details: Any) -> dict[str, Any]:
    return as_dict(details) if details else {}
