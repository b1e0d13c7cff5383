"""An agent of the OpenAI Agents SDK, with a tool: agent-asgi dev agent.py"""

import logging
import os

from agent_asgi import AgentApp
from agents import Agent, function_tool, set_trace_processors

if not os.environ.get("OPENAI_API_KEY"):
    logging.getLogger(__name__).warning(
        "OPENAI_API_KEY is not set. Copy .env.example to .env, set it there, and pass "
        "--env-file .env."
    )
set_trace_processors([])  # traces go to MLflow, and not to OpenAI


def count_letter(word: str, letter: str) -> int:
    """Return how often a letter occurs in a word."""
    return word.lower().count(letter.lower())


agent = Agent(
    name="my-agent",
    instructions="You answer questions about words. Count letters with the tool.",
    model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"),
    tools=[function_tool(count_letter)],
)
app = AgentApp(agent)
