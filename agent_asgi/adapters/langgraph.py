"""LangGraph: compiled graphs whose state has `messages`; needs the extra `langgraph`.

`AgentApp(graph)` serves one. With options: `AgentApp(router(graph, "name", max_threads=4))`. In
your own handler: `return outputs(graph, request, context)`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from ..agents.router import AgentRouter, Tool, valid_name
from ..context import Context
from ..errors import MissingExtra
from ..schema import codec
from ..schema.items import FunctionCall
from ..schema.requests import ResponsesRequest
from ..schema.responses import Usage
from ._common.deltas import Fragments

try:
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        ToolMessage,
        convert_to_messages,
    )
    from langchain_core.utils.function_calling import convert_to_openai_function
    from langgraph.prebuilt import ToolNode
    from langgraph.types import Interrupt

    from ._common.langchain_approvals import actions_of
    from ._common.langgraph_thread import Thread, inputs
except ImportError as error:
    raise MissingExtra("The adapter for LangGraph", "langgraph") from error

__all__ = ["INTERRUPT", "inputs", "outputs", "router"]

INTERRUPT = "interrupt"
"""Name of the function call of an interrupt; its output resumes the graph."""


def router(graph: Any, name: str | None = None, **options: Any) -> AgentRouter:
    """Return a router that serves a compiled graph.

    Args:
        graph: The graph.
        name: The router's name. Default: the graph's.
        **options: Options of `AgentRouter`.

    Raises:
        TypeError: The graph's state has no `messages`, or an option has a wrong type.
        ValueError: The name or another option is invalid.
    """
    if "messages" not in graph.channels:
        raise TypeError(
            f"The state of graph {graph.name!r} has no `messages`, so it cannot be served as it "
            "is. Call it in a handler: `await graph.ainvoke(...)`."
        )
    router = AgentRouter(valid_name(graph.name) if name is None else name, **options)
    router.tools = partial(_tools, graph)

    @router.stream
    async def agent(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        return outputs(graph, request, context)

    return router


def _tools(graph: Any) -> list[Tool]:
    """Return the tools in a graph's tool nodes."""
    nodes = [node.bound for node in graph.nodes.values() if isinstance(node.bound, ToolNode)]
    tools = [
        convert_to_openai_function(each) for node in nodes for each in node.tools_by_name.values()
    ]
    return [
        {
            "name": each["name"],
            "description": each["description"],
            "input_schema": each["parameters"],
        }
        for each in tools
    ]


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
    """Run a graph and yield the outputs of a handler.

    A graph with a checkpointer runs in the thread of the user's session (`context.session_id`), or
    in a new thread if the request has no session. An existing thread gets the items after the
    agent's last one. A new thread, and a graph without a checkpointer, gets all of
    `request.input`.

    Args:
        graph: The compiled graph. Nodes may be sync.
        request: The request.
        context: The run's context.
        state: The graph's input besides `messages`. Default none.
        config: LangGraph's configuration; its `thread_id`, if any, is used unchanged. Default
            none.
        options: Further arguments of `graph.astream`, such as `context` or `durability`.

    Raises:
        InvalidRequest: The input has the URL of a file instead of its data, or the arguments of a
            call are not a JSON object, or LangChain's middleware does not allow an answer.
        RuntimeError: The graph interrupts but has no checkpointer.
    """
    thread = Thread(request, context)
    thread_config = thread.config(config or {})
    options = {"subgraphs": True, "stream_mode": ["messages", "updates", "custom"]} | options
    start: Any = {**(state or {}), "messages": inputs(request)}
    if graph.checkpointer:
        snapshot = await graph.aget_state(thread_config)
        start = thread.start(snapshot, start)
        chunks = _Chunks(thread, thread.calls(snapshot))
    else:
        chunks = _Chunks(None, {})
    async with aclosing(graph.astream(start, thread_config, **options)) as stream:
        async for *namespace, mode, chunk in stream:
            for output in chunks.feed(mode, chunk, namespace):
                yield output


class _Chunks:
    """The chunks that a graph streams.

    Args:
        thread: The checkpointer's thread, for the call ids of interrupts; None if there is none.
        calls: The calls of earlier runs that have no output yet, by id.
    """

    def __init__(self, thread: Thread | None, calls: dict[str, FunctionCall]) -> None:
        self._thread = thread
        self._calls = calls
        self._streams: dict[int, tuple[Fragments, list[str], Any]] = {}  # by model call
        self._texts: dict[tuple[Any, ...], list[str]] = {}  # streamed so far, by node
        self._interrupts: set[str] = set()

    def feed(self, mode: str, chunk: Any, namespace: list[Any]) -> Iterator[Any]:
        """Yield the outputs of a chunk."""
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
        # the chunks of one model call share the metadata object; their ids may differ
        stream = self._streams.get(id(metadata))
        if stream is None:
            stream = self._streams[id(metadata)] = (Fragments(), [], metadata)
        fragments, texts, _ = stream
        for event in _parts(chunk, fragments):
            yield event
            if event["type"] == "response.output_text.delta":
                texts.append(event["delta"])
        for call in chunk.tool_call_chunks:
            yield from fragments.call(call["index"], call["id"], call["name"], call["args"])
        if chunk.usage_metadata:
            yield _usage(chunk.usage_metadata)
        if chunk.chunk_position == "last":
            yield from fragments.end()
            del self._streams[id(metadata)]
            self._texts.setdefault(node, []).append("".join(texts))

    def _whole(self, message: BaseMessage, node: tuple[Any, ...]) -> Iterator[Any]:
        if isinstance(message, ToolMessage):
            earlier = self._calls.pop(message.tool_call_id, None)
            if earlier is not None:  # each output of a response follows its call
                yield earlier
            output = {"type": "function_call_output", "call_id": message.tool_call_id}
            yield output | {"output": str(message.text)}
        if not isinstance(message, AIMessage):
            return
        texts = self._texts.get(node, [])
        if message.text and message.text in texts:  # built by the node from what was streamed
            texts.remove(message.text)
            return
        fragments = Fragments()
        yield from _parts(message, fragments)
        for index, call in enumerate(message.tool_calls):
            arguments = codec.encode(call["args"]).decode()
            yield from fragments.call(index, call["id"], call["name"], arguments)
        yield from fragments.end()
        if message.usage_metadata:
            yield _usage(message.usage_metadata)

    def _update(self, name: str, update: Any, namespace: list[Any]) -> Iterator[Any]:
        if name == "__interrupt__":
            yield from self._interrupt(update)
            return
        for message in _unstreamed(update):
            yield from self._whole(message, (*namespace, name))
        self._texts.pop((*namespace, name), None)

    def _interrupt(self, interrupts: Iterable[Interrupt]) -> Iterator[Any]:
        if self._thread is None:
            raise RuntimeError("The graph interrupts but has no checkpointer to continue from.")
        for interrupt in interrupts:
            if interrupt.id in self._interrupts:  # a subgraph's, repeated by its parent
                continue
            self._interrupts.add(interrupt.id)
            actions = actions_of(interrupt)
            if actions:
                yield from self._thread.ask(interrupt, actions)
                continue
            value = interrupt.value
            value = value if isinstance(value, dict) else {"value": value}
            yield FunctionCall(INTERRUPT, value, self._thread.call_id(interrupt), client=True)


def _parts(message: AIMessage, fragments: Fragments) -> Iterator[Any]:
    for block in message.content_blocks:
        if block["type"] == "text":
            yield from fragments.text(block["text"])
        elif block["type"] == "reasoning":
            yield from fragments.reasoning(block.get("reasoning"))


def _unstreamed(update: Any) -> list[BaseMessage]:
    """Return a node's messages that are tuples or dicts; LangGraph streams the others."""
    unstreamed: list[Any] = []
    for part in update if isinstance(update, list) else [update]:
        messages = part.get("messages") if isinstance(part, dict) else None
        messages = messages if isinstance(messages, list) else [messages]
        unstreamed += [each for each in messages if isinstance(each, tuple | dict)]
    return convert_to_messages(unstreamed)


def _usage(usage: Any) -> Usage:
    read = usage.get("input_token_details", {})
    written = usage.get("output_token_details", {})
    return Usage(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        total_tokens=usage["total_tokens"],
        input_tokens_details={
            "cached_tokens": read.get("cache_read"),
            "cache_write_tokens": read.get("cache_creation"),
        },
        output_tokens_details={"reasoning_tokens": written.get("reasoning")},
    )
