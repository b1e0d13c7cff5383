"""An MLflow `ResponsesAgent`, with a tool: agent-asgi dev agent.py"""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

from agent_asgi import AgentApp
from agent_asgi.adapters.mlflow import router
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)
from openai import OpenAI

if not os.environ.get("OPENAI_API_KEY"):
    logging.getLogger(__name__).warning(
        "OPENAI_API_KEY is not set. Copy .env.example to .env, set it there, and pass "
        "--env-file .env."
    )

INSTRUCTIONS = "You answer questions about words. Count letters with the tool."
MAX_CALLS = 10
TEXT = {"type": "string"}
TOOL = {
    "name": "count_letter",
    "description": "Return how often a letter occurs in a word.",
    "parameters": {
        "type": "object",
        "properties": {"word": TEXT, "letter": TEXT},
        "required": ["word", "letter"],
    },
}


def count_letter(word: str, letter: str) -> int:
    """Return how often a letter occurs in a word."""
    return word.lower().count(letter.lower())


def ask_model(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of the model's answer."""
    stream: Any = OpenAI().chat.completions.create(
        model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"),
        messages=[{"role": "system", "content": INSTRUCTIONS}, *messages],
        tools=[{"type": "function", "function": TOOL}],
        stream=True,
    )
    for chunk in stream:
        yield chunk.to_dict()


class LetterAgent(ResponsesAgent):
    """Answers questions about words."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """Answer at once with the items of the stream."""
        events = self.predict_stream(request)
        items = [
            event.item for event in events if event.type == "response.output_item.done"
        ]
        return ResponsesAgentResponse(output=items)

    def predict_stream(
        self, request: ResponsesAgentRequest
    ) -> Iterator[ResponsesAgentStreamEvent]:
        """Ask the model and call its tools until it answers."""
        messages = self.prep_msgs_for_cc_llm(request.input)
        for _ in range(MAX_CALLS):
            items: list[dict[str, Any]] = []
            yield from self.output_to_responses_items_stream(ask_model(messages), items)
            calls = [item for item in items if item["type"] == "function_call"]
            if not calls:
                return
            for call in calls:
                count = count_letter(**json.loads(call["arguments"]))
                output = self.create_function_call_output_item(
                    call["call_id"], str(count)
                )
                yield ResponsesAgentStreamEvent(
                    type="response.output_item.done", item=output
                )
                items.append(output)
            messages += self.prep_msgs_for_cc_llm(items)


app = AgentApp(router(LetterAgent(), "my-agent"))
