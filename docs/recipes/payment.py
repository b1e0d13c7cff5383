"""Pays bills, and asks before a large payment: agent-asgi dev payment.py"""

import os
import sqlite3
from contextlib import closing
from typing import Any

from agents import Agent, function_tool, set_default_openai_api, set_trace_processors

from agent_asgi import AgentApp

LEDGER = "payments.db"
TABLE = "CREATE TABLE IF NOT EXISTS payments (who, bill, cents, PRIMARY KEY (who, bill))"
LIMIT = 50_00
"""Cents up to which the agent pays without asking."""

set_default_openai_api("chat_completions")  # which every compatible server has
set_trace_processors([])  # traces go to MLflow, and not to OpenAI


async def is_large(_context: Any, arguments: dict[str, Any], _call_id: str) -> bool:
    return int(arguments["cents"]) > LIMIT


@function_tool(needs_approval=is_large)
def pay(recipient: str, cents: int, bill: str) -> str:
    """Pay a bill.

    Args:
        recipient: Who gets the money.
        cents: The amount, in cents.
        bill: The number of the bill.
    """
    with closing(sqlite3.connect(LEDGER)) as ledger, ledger:
        ledger.execute(TABLE)
        payment = (recipient, bill, cents)
        added = ledger.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?)", payment)
    return f"Paid {cents / 100:.2f} euros." if added.rowcount else "This bill was paid before."


agent = Agent(
    name="treasurer",
    instructions="You pay the bills that the user names, each with one call of `pay`.",
    model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"),
    tools=[pay],
)
app = AgentApp(agent, store="sqlite:///treasurer.db")
