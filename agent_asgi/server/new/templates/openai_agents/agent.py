"""An agent of the OpenAI Agents SDK, with a tool: agent-asgi dev agent.py"""

import os

from agents import Agent, function_tool, set_trace_processors

from agent_asgi import AgentApp

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
