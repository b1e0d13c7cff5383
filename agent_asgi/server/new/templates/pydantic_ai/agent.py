"""An agent of Pydantic AI, with a tool: agent-asgi dev agent.py"""

import logging
import os

from agent_asgi import AgentApp
from pydantic_ai import Agent

if not os.environ.get("OPENAI_API_KEY"):
    logging.getLogger(__name__).warning(
        "OPENAI_API_KEY is not set. Copy .env.example to .env, set it there, and pass "
        "--env-file .env."
    )


def count_letter(word: str, letter: str) -> int:
    """Return how often a letter occurs in a word."""
    return word.lower().count(letter.lower())


agent = Agent(
    "openai:" + os.environ.get("OPENAI_MODEL", "gpt-5-mini"),
    name="my-agent",
    instructions="You answer questions about words. Count letters with the tool.",
    tools=[count_letter],
    defer_model_check=True,  # the key is read at the first request
)
app = AgentApp(agent)
