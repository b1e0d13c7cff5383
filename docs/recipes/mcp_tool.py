"""A proofreader that other agents and editors call as a tool: agent-asgi serve mcp_tool:app"""

import os
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict, Field

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import MCP

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")


class Draft(BaseModel):
    text: str = Field(description="The text to check")
    audience: str = Field("everybody", description="Who will read it")


class Remark(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quote: str = Field(description="The passage, word for word")
    problem: str
    better: str


class Review(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: str = Field(description="One sentence about the whole text")
    remarks: list[Remark]


FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "review", "strict": True, "schema": Review.model_json_schema()},
}
router = AgentRouter(
    "proofread",
    protocol="json",
    description="Checks a text for mistakes and unclear passages, and suggests better ones.",
)
client = AsyncOpenAI()


@router.invoke
async def proofread(draft: Draft) -> Review:
    messages = [
        {"role": "system", "content": f"Proofread this text for {draft.audience}."},
        {"role": "user", "content": draft.text},
    ]
    chat: dict[str, Any] = {"model": MODEL, "messages": messages, "response_format": FORMAT}
    completion = await client.chat.completions.create(**chat)
    review = Review.model_validate_json(completion.choices[0].message.content or "")
    review.remarks = [remark for remark in review.remarks if remark.quote in draft.text]
    return review


app = AgentApp(router, protocols=[MCP()])
