"""Turns the text of an invoice into checked data: agent-asgi dev extraction.py"""

import os
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from agent_asgi import AgentApp, AgentError, AgentRouter

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
ATTEMPTS = 3

router = AgentRouter("invoices", description="Extracts the data of an invoice")
client = AsyncOpenAI()


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    quantity: int
    unit_price_cents: int


class Invoice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: str
    seller: str
    currency: str
    lines: list[Line]
    tax_cents: int
    total_cents: int

    @model_validator(mode="after")
    def adds_up(self) -> "Invoice":
        net = sum(line.quantity * line.unit_price_cents for line in self.lines)
        if net + self.tax_cents != self.total_cents:
            raise ValueError(f"lines {net} + tax {self.tax_cents} are not {self.total_cents}")
        return self


FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "invoice", "strict": True, "schema": Invoice.model_json_schema()},
}


@router.invoke
async def extract(text: str) -> Invoice:
    """Ask the model, and let it correct an answer that does not add up."""
    messages = [
        {"role": "system", "content": "Extract the invoice. Amounts are in cents."},
        {"role": "user", "content": text},
    ]
    chat: dict[str, Any] = {"model": MODEL, "messages": messages, "response_format": FORMAT}
    for _ in range(ATTEMPTS):
        completion = await client.chat.completions.create(**chat)
        content = completion.choices[0].message.content or ""
        try:
            return Invoice.model_validate_json(content)
        except ValidationError as error:
            messages.append({"role": "assistant", "content": content})
            messages.append({"role": "user", "content": f"Correct this: {error}"})
    raise AgentError("The text is not an invoice that adds up.", 422, code="not_an_invoice")


app = AgentApp(router)
