"""A `ResponsesAgent` in a file, as MLflow logs models from code; it yields every kind of output."""

# mypy: disable-error-code="arg-type,attr-defined,call-arg,list-item,override"
# MLflow's agents narrow the types that its models accept, and use dicts for items.

from collections.abc import Iterator
from typing import Any

import mlflow
from mlflow.pyfunc import ChatAgent, ResponsesAgent
from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
from mlflow.types.responses import (
    ResponsesAgentRequest,
    ResponsesAgentResponse,
    ResponsesAgentStreamEvent,
)

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 5,
}
closed: list[str] = []
"""The streams that were closed early, each by the text that it answers."""


class Shop(ResponsesAgent):
    """Says what is in stock; counts the user's turns."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """Answer at once with the items of the stream."""
        events = list(self.predict_stream(request))
        return ResponsesAgentResponse(
            output=[each.item for each in events if each.type == "response.output_item.done"],
            usage=USAGE,
            custom_outputs={"asked": request.custom_inputs},
        )

    def predict_stream(self, request: ResponsesAgentRequest) -> Iterator[ResponsesAgentStreamEvent]:
        """Stream the answer."""
        items = [each.model_dump() for each in request.input]
        said = [each["content"] for each in items if each.get("role") == "user"]
        text = said[-1]
        if text == "fail":
            raise RuntimeError("secret of the shop")
        ids = f"{len(said)}"
        yield done(self.create_reasoning_item(f"rs_{ids}", "Look at the shelf."))
        with mlflow.start_span("look", span_type="TOOL"):
            call = self.create_function_call_item(f"fc_{ids}", f"c{ids}", "look", "{}")
        yield done(call)
        yield done(self.create_function_call_output_item(f"c{ids}", "7 pens"))
        answer = f"Turn {len(said)}: {text}, 7 pens."
        try:
            for word in answer.split(" ") * (10_000 if text == "go on" else 1):
                delta = self.create_text_delta(word, f"msg_{ids}")
                yield ResponsesAgentStreamEvent(**delta)
        except GeneratorExit:
            closed.append(str(text))
            raise
        whole = answer.replace(" ", "")
        yield done(self.create_text_output_item(whole, f"msg_{ids}"), asked=request.custom_inputs)
        end: Any = {"output": [], "usage": USAGE}
        yield ResponsesAgentStreamEvent(type="response.completed", response=end)


class Plain(ResponsesAgent):
    """Does not stream."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """Answer."""
        return ResponsesAgentResponse(output=[self.create_text_output_item("hello", "m1")])


class Chat(ChatAgent):
    """An agent of the older interface."""

    def predict(
        self, messages: list[ChatAgentMessage], context: Any = None, custom_inputs: Any = None
    ) -> ChatAgentResponse:
        """Answer."""
        return ChatAgentResponse(messages=messages)


def done(item: dict[str, Any], **custom: Any) -> ResponsesAgentStreamEvent:
    """Return the event of a whole item."""
    kind = "response.output_item.done"
    return ResponsesAgentStreamEvent(type=kind, item=item, custom_outputs=custom or None)


mlflow.models.set_model(Shop())
