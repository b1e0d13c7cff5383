"""A LangGraph agent, with a tool: agent-asgi dev agent.py"""

import logging
import os
from functools import cache
from typing import Any

from agent_asgi import AgentApp
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

if not os.environ.get("OPENAI_API_KEY"):
    logging.getLogger(__name__).warning(
        "OPENAI_API_KEY is not set. Copy .env.example to .env, set it there, and pass "
        "--env-file .env."
    )

INSTRUCTIONS = SystemMessage(
    "You answer questions about words. Count letters with the tool."
)


def count_letter(word: str, letter: str) -> int:
    """Return how often a letter occurs in a word."""
    return word.lower().count(letter.lower())


@cache
def chat_model() -> BaseChatModel:
    """Return the model; the key is read at the first request."""
    return ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"))


async def think(state: MessagesState) -> dict[str, Any]:
    """Ask the model, which may call the tool."""
    model = chat_model().bind_tools([count_letter])
    return {"messages": [await model.ainvoke([INSTRUCTIONS, *state["messages"]])]}


builder = StateGraph(MessagesState)
builder.add_node("think", think)
builder.add_node("tools", ToolNode([count_letter]))
builder.add_edge(START, "think")
builder.add_conditional_edges("think", tools_condition)
builder.add_edge("tools", "think")
graph = builder.compile(name="my-agent")
app = AgentApp(graph)
