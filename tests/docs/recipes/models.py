"""What the model of each recipe answers, from what the recipe sends it."""

import base64
import json
import re
from collections.abc import Callable

from tests.support.chat_model import Call, Json, text_of


def _tool_output(body: Json) -> str:
    """Return the output of the tool called last; empty after a user's message."""
    last = body["messages"][-1]
    return text_of(last) if last["role"] == "tool" else ""


def _numbers(body: Json) -> dict[str, str]:
    """Return the numbers of the passages that RAG has found, by their titles."""
    system = text_of(body["messages"][0])
    return {title: number for number, title in re.findall(r"\[(\d)\] (.+)\n", system)}


def rag(body: Json) -> str:
    """Answer from the passages, each with its number."""
    numbers = _numbers(body)
    assert "220 euros" in text_of(body["messages"][0])
    return (
        f"The limit in Paris is 220 euros a night, breakfast included [{numbers['Hotels']}]. "
        f"Second class by train is the default. [{numbers['Booking']}]"
    )


def evaluation(body: Json) -> str:
    """Cite the best passage, except for one question."""
    forgets = "desk" in text_of(body["messages"][-1])
    return "I do not cite it." if forgets else f"That is in {next(iter(_numbers(body)))} [1]."


def payment(body: Json) -> str | Call:
    """Pay the bill, then say so."""
    bill = re.search(r"Pay (\d+) euros to (.+) for bill (\d+)", text_of(body["messages"][1]))
    assert bill is not None
    if output := _tool_output(body):
        paid = output.startswith("Paid")
        return f"Bill {bill[3]} is {'paid' if paid else 'not paid'}."
    return Call("pay", {"recipient": bill[2], "cents": int(bill[1]) * 100, "bill": bill[3]})


def handoffs(body: Json) -> str | Call:
    """Hand over, look the invoice up, answer."""
    tools = [tool["function"]["name"] for tool in body["tools"]]
    number = [re.findall(r"\d{4}", text_of(message)) for message in body["messages"]]
    if "transfer_to_billing" in tools:
        return Call("transfer_to_billing", {})
    if output := _tool_output(body):
        if "assistant" in output:  # the output of the handoff
            return Call("find_invoice", {"number": max(number, key=len)[0]})
        state = re.search(r"'state': '(.+)'", output)
        found = re.search(r"'number': '(\d+)'", output)
        assert state is not None
        assert found is not None
        return f"Invoice {found[1]} is {state[1]}."
    return Call("find_invoice", {"number": number[-1][0]})


def extraction(body: Json) -> str:
    """Extract the invoice: wrong at first, right after the correction."""
    assert body["response_format"]["json_schema"]["strict"]
    lines = [
        {"text": "business cards, 250 pieces", "quantity": 2, "unit_price_cents": 2900},
        {"text": "poster A1", "quantity": 1, "unit_price_cents": 1850},
    ]
    last = text_of(body["messages"][-1])
    total = 9104 if "lines 7650 + tax 1454 are not 9140" in last else 9140
    seller = re.search(r"(.+)\. Invoice", text_of(body["messages"][1]))
    invoice = {"number": "17", "seller": seller and seller[1], "currency": "EUR", "lines": lines}
    return json.dumps({**invoice, "tax_cents": 1454, "total_cents": total})


def chart(body: Json) -> str:
    """Read the picture."""
    assert body["response_format"]["json_schema"]["strict"]
    text, image = body["messages"][-1]["content"]
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert text["text"].startswith("Draw")
    bars = [("January", 1840), ("February", 2210), ("March", 3105), ("April", 2760)]
    rows = [{"label": label, "value": value} for label, value in bars]
    return json.dumps({"title": "Visitors of the museum", "bars": rows})


PARAGRAPHS = {
    "Tide": "The Moon and the Sun cause the tides.",
    "Tidal power": "Turbines turn the tides into electricity.",
    "Bay of Fundy": "The Bay of Fundy has the highest tides.",
}
"""The articles of the encyclopedia, and what the model writes about each."""
QUERIES = dict(zip(("Causes of tides", "Tidal power", "Highest tides"), PARAGRAPHS, strict=True))
"""The articles that are found, by the query."""


def research(body: Json) -> str:
    """Plan, then write a paragraph about each article."""
    system = text_of(body["messages"][0])
    if "queries" in system:
        return "\n".join(QUERIES)
    article = system.partition("About ")[2].rstrip(".")
    return PARAGRAPHS[article]


def on_behalf(body: Json) -> str | Call:
    """Look the orders up, then list them."""
    output = _tool_output(body)
    if not output:
        return Call("my_orders", {})
    return f"You ordered: {', '.join(order['article'] for order in json.loads(output))}."


def mcp_tool(body: Json) -> str:
    """Find one mistake, and one that is not there."""
    system, text = (text_of(message) for message in body["messages"])
    assert system.endswith("developers.")
    assert "Their are" in text
    problem = '"Their" means "of them".'
    real = {"quote": "Their are", "problem": problem, "better": "There are"}
    invented = {"quote": "teh", "problem": "A typo.", "better": "the"}
    return json.dumps({"verdict": "One mistake.", "remarks": [real, invented]})


def slack_bot(body: Json) -> str:
    """Answer a mention."""
    assert "What is a bot?" in text_of(body["messages"][-1])
    return "A program that answers in a chat."


MODELS: dict[str, Callable[[Json], str | Call]] = {
    "rag": rag,
    "payment": payment,
    "handoffs": handoffs,
    "extraction": extraction,
    "chart": chart,
    "research": research,
    "on-behalf": on_behalf,
    "mcp-tool": mcp_tool,
    "slack-bot": slack_bot,
    "evaluation": evaluation,
}
