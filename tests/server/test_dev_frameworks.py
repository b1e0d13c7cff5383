"""`agent-asgi dev FILE` serves each framework's own example, without a further line."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.developing import developing

LANGGRAPH = """
from itertools import repeat
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langgraph.graph import START, MessagesState, StateGraph

model = GenericFakeChatModel(messages=repeat("Hello from a graph."))

async def think(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}

graph = StateGraph(MessagesState).add_node(think).add_edge(START, "think").compile()
"""
OPENAI = """
import agents
from agents.testing import ScriptedModel, assistant_message, function_call

agents.set_trace_processors([])

@agents.function_tool(needs_approval=True)
def erase(path: str) -> str:
    return f"erased {path}"

said = [function_call("erase", {"path": "x"}, call_id="c1")], [assistant_message("Hello from the SDK.")]
eraser = agents.Agent(name="File Eraser", tools=[erase], model=ScriptedModel(said))
"""
PYDANTIC = """
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

agent = Agent(TestModel(custom_output_text="Hello from Pydantic."), name="greeter")

@agent.tool_plain
def weather(city: str) -> str:
    return f"sunny in {city}"
"""
MLFLOW = """
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse

class Greeter(ResponsesAgent):
    def predict(self, request):
        item = self.create_text_output_item("Hello from MLflow.", "m1")
        return ResponsesAgentResponse(output=[item])

AGENT = Greeter()
"""


@pytest.mark.parametrize(
    ("code", "name", "kinds"),
    [
        (LANGGRAPH, "LangGraph", ["message"]),
        (PYDANTIC, "greeter", ["mcp_call", "message"]),
        (MLFLOW, "Greeter", ["message"]),
    ],
    ids=["langgraph", "pydantic_ai", "mlflow"],
)
def test_the_agent_in_a_file_is_served(
    tmp_path: Path, code: str, name: str, kinds: list[str]
) -> None:
    (tmp_path / "example.py").write_text(code)
    with developing(tmp_path, "example.py") as dev:
        answer = dev.client.responses.create(model=name, input="Hi")
        assert answer.output_text.startswith("Hello from ")
        assert [each.type for each in answer.output] == kinds
        assert f"{name} completed in " in dev.says("completed in")


def test_an_agent_whose_tool_needs_approval_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(OPENAI)
    with developing(tmp_path, "example.py") as dev:
        asked: Any = dev.client.responses.create(model="File-Eraser", input="Hi")
        (approval,) = (each for each in asked.output if each.type == "mcp_approval_request")
        answer: Any = {
            "type": "mcp_approval_response",
            "approval_request_id": approval.id,
            "approve": True,
        }
        done = dev.client.responses.create(input=[answer], previous_response_id=asked.id)
        assert done.output_text == "Hello from the SDK."
        assert done.output[0].type == "mcp_call"
