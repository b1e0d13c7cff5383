"""Answers questions about the user's own orders: agent-asgi serve on_behalf:app"""

import os
from typing import Any

import httpx2
from pydantic_ai import Agent

from agent_asgi import AgentApp, JwtTokens, get_request_headers

ISSUER = os.environ["ISSUER"]
TOKEN_URL = os.environ["TOKEN_URL"]
ORDERS_URL = os.environ["ORDERS_URL"]
CREDENTIALS = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105

agent = Agent(
    f"openai-chat:{os.environ.get('OPENAI_MODEL', 'gpt-5-mini')}",
    name="orders",
    instructions="You answer questions about the user's orders.",
)


async def users_token(http: httpx2.AsyncClient, audience: str) -> str:
    """Exchange the token of the request for one that another service accepts (RFC 8693)."""
    token = get_request_headers()["authorization"].partition(" ")[2]
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    answer = await http.post(TOKEN_URL, data={**form, "audience": audience}, auth=CREDENTIALS)
    return str(answer.raise_for_status().json()["access_token"])


@agent.tool_plain
async def my_orders() -> list[dict[str, Any]]:
    """Return the orders of the user."""
    async with httpx2.AsyncClient(timeout=20) as http:
        headers = {"authorization": f"Bearer {await users_token(http, 'orders')}"}
        answer = await http.get(ORDERS_URL, headers=headers)
        orders: list[dict[str, Any]] = answer.raise_for_status().json()
        return orders


app = AgentApp(agent, authenticate=JwtTokens(ISSUER, audience="agents"))
