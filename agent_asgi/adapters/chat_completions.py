"""Models that speak Chat Completions, by any vendor's client; needs no extra.

```python
@router.stream
async def agent(request: ResponsesRequest):
    model = {"model": "gpt-4.1-mini", "stream": True, **tools(request)}
    return outputs(await client.chat.completions.create(messages=inputs(request), **model))
```
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Any, overload

import msgspec

from ..outputs import Get, getter
from ..schema.responses import InputTokensDetails, OutputTokensDetails, Usage
from .chat_messages import inputs, tools
from .fragments import Fragments

__all__ = ["inputs", "outputs", "tools"]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@overload
def outputs(stream: AsyncIterable[Any]) -> AsyncGenerator[Any, None]: ...
@overload
def outputs(stream: Any) -> Iterator[Any]: ...
def outputs(stream: Any) -> AsyncGenerator[Any, None] | Iterator[Any]:
    """Give what a handler may yield, of what a model's client gives.

    Chunks and completions are objects or dicts. Reasoning comes as the summary of a reasoning
    item, the usage once at the end. Of several choices the first one counts.

    Args:
        stream: A stream of chunks, async or sync, or a whole completion. It is closed at the end,
            and when this is closed.

    Returns:
        An async generator of an async stream, else a generator.

    Raises:
        RuntimeError: The stream carried an error, or a call of a function without its name, or was
            cut: it ended and told no `finish_reason`.
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
        """Give the outputs of a chunk."""
        get = getter(chunk)
        if get("error"):
            raise RuntimeError(f"The model's stream carried an error: {get('error')}")
        self._usage = get("usage") or self._usage  # some tell it in every chunk, all so far
        for choice in get("choices") or ():
            of = getter(choice)
            if not of("index"):
                self._begun = True
                self._reason = of("finish_reason") or self._reason
                yield from self._delta(getter(of("delta") or of("message") or {}))

    def end(self) -> Iterator[Any]:
        """Give the outputs of the end; where the model was cut short, what is open stays so."""
        if self._begun and self._reason is None:
            raise RuntimeError("The model's stream was cut: it told no finish_reason.")
        reason = _INCOMPLETE.get(self._reason or "")
        if reason is None:
            yield from self._fragments.end()
        else:
            cut = {"incomplete_details": {"reason": reason}}
            yield {"type": "response.incomplete", "response": cut}
        if self._usage:
            yield _used(getter(self._usage))

    def _delta(self, get: Get) -> Iterator[Any]:
        thought = get("reasoning_content") or get("reasoning")
        yield from self._fragments.reasoning(thought if isinstance(thought, str) else None)
        content = get("content")
        if isinstance(content, list):
            for part in content:
                yield from self._part(getter(part))
        elif content:
            yield from self._text(content)
        yield from self._fragments.refusal(get("refusal"))
        for call in get("tool_calls") or ():
            yield from self._call(getter(call))

    def _text(self, text: str) -> Iterator[Any]:
        yield from self._fragments.settle()
        yield text

    def _part(self, get: Get) -> Iterator[Any]:
        if get("type") == "text" and get("text"):
            yield from self._text(get("text"))
        for name in ("summary", "thinking"):  # Databricks has the one, Mistral the other
            parts = get(name)
            for part in parts if isinstance(parts, list) else ():
                yield from self._fragments.reasoning(getter(part)("text"))

    def _call(self, get: Get) -> Iterator[Any]:
        function = getter(get("function") or {})
        arguments = function("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        return self._fragments.call(get("index"), get("id"), function("name"), arguments)


def _used(get: Get) -> Usage:
    read = getter(get("prompt_tokens_details"))("cached_tokens")
    thought = getter(get("completion_tokens_details"))("reasoning_tokens")
    return Usage(
        input_tokens=get("prompt_tokens") or 0,
        output_tokens=get("completion_tokens") or 0,
        total_tokens=get("total_tokens") or 0,
        input_tokens_details=InputTokensDetails(cached_tokens=read or 0),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=thought or 0),
    )
