"""An agent of Pydantic AI, with a tool: agent-asgi dev agent.py"""

import os

from pydantic_ai import Agent

from agent_asgi import AgentApp


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
