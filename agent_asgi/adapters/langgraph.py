"""Agents of LangGraph: a compiled graph whose state has `messages`; needs the extra `langgraph`.

```python
@router.stream
async def agent(request: ResponsesRequest, context: Context):
    return outputs(graph, request, context)
```
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from .. import codec
from ..context import Context
from ..schema.items import FunctionCall
from ..schema.requests import ResponsesRequest
from ..schema.responses import InputTokensDetails, OutputTokensDetails, Usage
from .fragments import Fragments

try:
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        ToolMessage,
        convert_to_messages,
    )
    from langgraph.types import Interrupt

    from .graph_thread import Thread, inputs
except ImportError as error:
    raise ImportError("LangGraph is needed: pip install 'agent-asgi[langgraph]'") from error

__all__ = ["INTERRUPT", "inputs", "outputs"]

INTERRUPT = "interrupt"
"""Name of the function that an interrupt calls; the client's output of it resumes the graph."""


async def outputs(
    graph: Any,
    request: ResponsesRequest,
    context: Context,
    /,
    *,
    state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncGenerator[Any, None]:
    """Run a graph and give what a handler may yield.

    A graph with a checkpointer runs in the thread of the session (`context.session_id`), one for
    each user; where the request names no session, in a thread of its own. A thread that is not
    new gets what the request has behind the agent's last word; else the graph gets all of
    `request.input`.

    Args:
        graph: The compiled graph. Nodes may be sync.
        request: The request.
        context: The run's context.
        state: What the graph's input has beside `messages`. Default nothing.
        config: LangGraph's configuration; a `thread_id` in it is taken as it is. Default none.
        options: Further arguments of `graph.astream`, such as `context` or `durability`.

    Raises:
        InvalidRequest: A file is given by its URL; its data is needed. Or the arguments of a call
            are no JSON object.
        RuntimeError: The graph interrupts, and has no checkpointer.
    """
    thread = Thread(request, context)
    given = thread.config(config or {})
    options = {"subgraphs": True, "stream_mode": ["messages", "updates", "custom"]} | options
    start: Any = {**(state or {}), "messages": inputs(request)}
    if graph.checkpointer:
        start = thread.start(await graph.aget_state(given), start)
    streamed = _Stream(thread if graph.checkpointer else None)
    async with aclosing(graph.astream(start, given, **options)) as stream:
        async for *namespace, mode, chunk in stream:
            for output in streamed.take(mode, chunk, namespace):
                yield output


class _Stream:
    """What a graph streams, chunk by chunk.

    Args:
        thread: Knows under which id an interrupt is answered; None where there is no checkpointer.
    """

    def __init__(self, thread: Thread | None) -> None:
        self._thread = thread
        self._streams: dict[int, tuple[Fragments, list[str], Any]] = {}  # by the call of a model
        self._said: dict[tuple[Any, ...], list[str]] = {}  # by node: texts that were streamed
        self._interrupts: set[str] = set()

    def take(self, mode: str, chunk: Any, namespace: list[Any]) -> Iterator[Any]:
        """Give the outputs of a chunk."""
        if mode == "messages":
            message, metadata = chunk
            node = (*namespace, metadata["langgraph_node"])
            if isinstance(message, AIMessageChunk):
                yield from self._fragment(message, metadata, node)
            else:
                yield from self._whole(message, node)
        elif mode == "updates":
            for name, update in chunk.items():
                yield from self._update(name, update, namespace)
        elif isinstance(chunk, str) or (isinstance(chunk, dict) and "type" in chunk):
            yield chunk

    def _fragment(self, chunk: AIMessageChunk, metadata: Any, node: Any) -> Iterator[Any]:
        # LangGraph gives the chunks of one call of a model the very same metadata; their ids vary
        stream = self._streams.get(id(metadata))
        if stream is None:
            stream = self._streams[id(metadata)] = (Fragments(), [], metadata)
        fragments, said, _ = stream
        for event in _parts(chunk, fragments):
            yield event
            if event["type"] == "response.output_text.delta":
                said.append(event["delta"])
        for call in chunk.tool_call_chunks:
            yield from fragments.call(call["index"], call["id"], call["name"], call["args"])
        if chunk.usage_metadata:
            yield _used(chunk.usage_metadata)
        if chunk.chunk_position == "last":
            yield from fragments.end()
            del self._streams[id(metadata)]
            self._said.setdefault(node, []).append("".join(said))

    def _whole(self, message: BaseMessage, node: tuple[Any, ...]) -> Iterator[Any]:
        if isinstance(message, ToolMessage):
            output = {"type": "function_call_output", "call_id": message.tool_call_id}
            yield output | {"output": str(message.text)}
        if not isinstance(message, AIMessage):
            return
        said = self._said.get(node, [])
        if message.text and message.text in said:  # a message made anew of what was streamed
            said.remove(message.text)
            return
        fragments = Fragments()
        yield from _parts(message, fragments)
        for number, call in enumerate(message.tool_calls):
            arguments = codec.encode(call["args"]).decode()
            yield from fragments.call(number, call["id"], call["name"], arguments)
        yield from fragments.end()
        if message.usage_metadata:
            yield _used(message.usage_metadata)

    def _update(self, name: str, update: Any, namespace: list[Any]) -> Iterator[Any]:
        if name == "__interrupt__":
            yield from self._interrupt(update)
            return
        for message in _unstreamed(update):
            yield from self._whole(message, (*namespace, name))
        self._said.pop((*namespace, name), None)

    def _interrupt(self, interrupts: Iterable[Interrupt]) -> Iterator[Any]:
        if self._thread is None:
            raise RuntimeError("The graph interrupts, and has no checkpointer to go on from.")
        for each in interrupts:
            if each.id in self._interrupts:  # a subgraph's, and again its parent's
                continue
            self._interrupts.add(each.id)
            value = each.value if isinstance(each.value, dict) else {"value": each.value}
            yield FunctionCall(
                call_id=self._thread.call_id(each),
                name=INTERRUPT,
                arguments=codec.encode(value).decode(),
            )


def _parts(message: AIMessage, fragments: Fragments) -> Iterator[Any]:
    for block in message.content_blocks:
        if block["type"] == "text":
            yield from fragments.text(block["text"])
        elif block["type"] == "reasoning":
            yield from fragments.reasoning(block.get("reasoning"))


def _unstreamed(update: Any) -> list[BaseMessage]:
    """Give a node's messages that are tuples, dicts or texts; LangGraph streams the others."""
    updates = update if isinstance(update, list) else [update]
    found: list[Any] = []
    for each in updates:
        given = each.get("messages") if isinstance(each, dict) else None
        given = given if isinstance(given, list) else [given]
        found += [one for one in given if isinstance(one, tuple | dict)]
    return convert_to_messages(found)


def _used(given: Any) -> Usage:
    read = given.get("input_token_details", {}).get("cache_read") or 0
    thought = given.get("output_token_details", {}).get("reasoning") or 0
    return Usage(
        input_tokens=given["input_tokens"],
        output_tokens=given["output_tokens"],
        total_tokens=given["total_tokens"],
        input_tokens_details=InputTokensDetails(cached_tokens=read),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=thought),
    )
