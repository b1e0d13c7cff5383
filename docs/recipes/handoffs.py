"""A front desk that hands over to specialists: agent-asgi dev handoffs.py"""

import csv
import os
from collections.abc import AsyncIterator
from pathlib import Path

from agents import (
    Agent,
    Handoff,
    Runner,
    function_tool,
    set_default_openai_api,
    set_trace_processors,
)

from agent_asgi import AgentApp, AgentRouter, FunctionCall, Output, ResponsesRequest
from agent_asgi.adapters.openai_agents import inputs, outputs

INVOICES = Path(__file__).parent / "invoices.csv"
MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")

set_default_openai_api("chat_completions")  # which every compatible server has
set_trace_processors([])  # traces go to MLflow, and not to OpenAI


@function_tool
def find_invoice(number: str) -> str:
    """Find an invoice by its number."""
    with INVOICES.open() as file:
        found = [row for row in csv.DictReader(file) if row["number"] == number]
    return str(found[0]) if found else "There is no such invoice."


billing = Agent(
    name="billing",
    handoff_description="Answers questions about invoices and payments",
    instructions="You answer questions about invoices. Look each one up.",
    model=MODEL,
    tools=[find_invoice],
)
support = Agent(
    name="support",
    handoff_description="Helps with a device that does not work",
    instructions="You help with devices that do not work, one step at a time.",
    model=MODEL,
)
desk = Agent(
    name="desk",
    instructions="Find out what the customer needs, then hand over to a specialist.",
    model=MODEL,
    handoffs=[billing, support],
)
billing.handoffs = [desk]
support.handoffs = [desk]

AGENTS = {Handoff.default_tool_name(agent): agent for agent in (desk, billing, support)}
router = AgentRouter("service", description="Answers customers")


def in_charge(request: ResponsesRequest) -> Agent:
    """Return the agent to which the conversation was last handed over."""
    calls = [item.name for item in request.input if isinstance(item, FunctionCall)]
    return next((AGENTS[name] for name in reversed(calls) if name in AGENTS), desk)


@router.stream
async def service(request: ResponsesRequest) -> AsyncIterator[Output]:
    return outputs(Runner.run_streamed(in_charge(request), inputs(request)))


app = AgentApp(router)
