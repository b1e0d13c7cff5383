"""Reads the numbers in a picture and draws a chart of them: agent-asgi dev chart.py"""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from html import escape
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict

from agent_asgi import AgentApp, AgentRouter, Output, ResponsesRequest

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
WIDTH, ROW, LABELS = 640, 36, 140

router = AgentRouter("chart", description="Draws a chart of the numbers in a picture")
client = AsyncOpenAI()


class Bar(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str
    value: float


class Chart(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    bars: list[Bar]

    def svg(self) -> str:
        """Draw the bars, each with its label and value."""
        scale = (WIDTH - LABELS - 80) / max((bar.value for bar in self.bars), default=1)
        height = ROW * (len(self.bars) + 1)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        style = 'font-family="sans-serif" font-size="15" role="img"'
        rows = "".join(self._row(number, scale) for number in range(len(self.bars)))
        ground = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        title = f'<title>{escape(self.title)}</title><text x="8" y="24">{escape(self.title)}</text>'
        return f"{head} {style}>{ground}{title}{rows}</svg>"

    def _row(self, number: int, scale: float) -> str:
        bar, y = self.bars[number], ROW * (number + 1)
        length = max(bar.value, 0) * scale
        return (
            f'<text x="{LABELS - 8}" y="{y + 20}" text-anchor="end">{escape(bar.label)}</text>'
            f'<rect x="{LABELS}" y="{y + 4}" width="{length:.1f}" height="24" fill="#00796b"/>'
            f'<text x="{LABELS + length + 8:.1f}" y="{y + 20}">{bar.value:g}</text>'
        )


FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "chart", "strict": True, "schema": Chart.model_json_schema()},
}
SYSTEM = {"role": "system", "content": "Read the numbers in the picture that the user asks for."}


@router.stream
async def draw(request: ResponsesRequest) -> AsyncIterator[Output]:
    messages = [SYSTEM, *request.messages]
    chat: dict[str, Any] = {"model": MODEL, "messages": messages, "response_format": FORMAT}
    completion = await client.chat.completions.create(**chat)
    chart = Chart.model_validate_json(completion.choices[0].message.content or "")
    yield "| | |\n|---|---|\n" + "".join(f"| {bar.label} | {bar.value:g} |\n" for bar in chart.bars)
    picture = f"data:image/svg+xml;base64,{b64encode(chart.svg().encode()).decode()}"
    part = {"type": "output_image", "image_url": picture}
    yield {"type": "message", "role": "assistant", "content": [part]}


app = AgentApp(router)
