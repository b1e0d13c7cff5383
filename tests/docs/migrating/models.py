"""Deterministic models and tools for the agents, before and after."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from agent_asgi import AgentApp, AgentRouter, FunctionCall, ResponsesRequest, Usage

upstream = AgentRouter("upstream")


@upstream.stream
async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Act as a model behind the OpenAI API: call the given tool, then answer."""
    last: Any = request.input[-1]
    if request.tools and getattr(last, "role", None) == "user":
        yield FunctionCall(call_id="call_1", name="count", arguments='{"thing": "pens"}')
    else:
        for word in ("Seven ", "pens."):
            yield word
    yield Usage(input_tokens=5, output_tokens=2)


upstream_app = AgentApp(upstream)


class Clerk(BaseChatModel):
    """A chat model that calls the tool once, then answers."""

    @property
    def _llm_type(self) -> str:
        return "clerk"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        if messages[-1].type == "tool":
            for word in ("Seven ", "pens."):
                yield ChatGenerationChunk(message=AIMessageChunk(content=word, id="run-2"))
            return
        call = ToolCallChunk(name="count", args='{"thing": "pens"}', id="call_1", index=0)
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", id="run-1", tool_call_chunks=[call])
        )


@tool
def count(thing: str) -> str:
    """Count how many of a thing there are."""
    return f"7 {thing}"


async def think(state: MessagesState) -> dict[str, list[AIMessage]]:
    """Ask the model."""
    return {"messages": [await Clerk().ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("think", think)
builder.add_node("tools", ToolNode([count]))
builder.add_edge(START, "think")
builder.add_conditional_edges("think", tools_condition)
builder.add_edge("tools", "think")
graph = builder.compile()
