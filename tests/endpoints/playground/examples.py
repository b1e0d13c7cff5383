"""An agent of each framework, as a user writes it in a file, with a fake model.

Each looks up the weather, then asks before it erases a file, and says what became of that.
"""

PLAIN = """
from agent_asgi import ApprovalRequest, Context, FunctionCall, FunctionCallOutput, ResponsesRequest

async def tutor(request: ResponsesRequest, context: Context):
    if context.approvals:
        yield "Erased." if context.approvals[0].approve else "Kept it."
        return
    yield FunctionCall("weather", {"city": "Oslo"}, call_id="c1")
    yield FunctionCallOutput("c1", "sunny in Oslo")
    yield ApprovalRequest("erase", {"path": "notes.txt"})
"""
OPENAI = """
import agents
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

agents.set_trace_processors([])

@agents.function_tool
def weather(city: str) -> str:
    return f"sunny in {city}"

@agents.function_tool(needs_approval=True)
def erase(path: str) -> str:
    return f"erased {path}"

def say(call):
    erased = any("erased" in str(item.get("output")) for item in call.input)
    return [assistant_message("Erased." if erased else "Kept it.")]

look = [function_call("weather", {"city": "Oslo"}, call_id="c1")]
ask = [function_call("erase", {"path": "notes.txt"}, call_id="c2")]
model = ScriptedModel([look, ask, ModelStep.respond(say)] * 2)
agent = agents.Agent(name="tutor", tools=[weather, erase], model=model)
"""
LANGGRAPH = """
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver

class Model(BaseChatModel):
    _llm_type = "fake"

    def bind_tools(self, tools, **options):
        return self

    def _generate(self, messages, *args, **options):
        return ChatResult(generations=[ChatGeneration(message=answer_to(messages[-1]))])

def answer_to(message):
    if message.type == "human":
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1"}
    elif message.name == "weather":
        call = {"name": "erase", "args": {"path": "notes.txt"}, "id": "c2"}
    else:
        return AIMessage("Erased." if "erased" in message.content else "Kept it.")
    return AIMessage("", tool_calls=[call])

def weather(city: str) -> str:
    "Return the weather of a city."
    return f"sunny in {city}"

def erase(path: str) -> str:
    "Erase a file."
    return f"erased {path}"

ask = HumanInTheLoopMiddleware({"erase": True})
graph = create_agent(Model(), [weather, erase], middleware=[ask], checkpointer=InMemorySaver())
"""
PYDANTIC = """
from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.models.test import TestModel

agent = Agent(
    TestModel(custom_output_text="I have done what you allow."),
    name="tutor",
    output_type=[str, DeferredToolRequests],
)

@agent.tool_plain
def weather(city: str) -> str:
    return f"sunny in {city}"

@agent.tool_plain(requires_approval=True)
def erase(path: str) -> str:
    return f"erased {path}"
"""
MLFLOW = """
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse

class Tutor(ResponsesAgent):
    def predict(self, request):
        last = request.input[-1]
        if last.type == "mcp_approval_response":
            text = "Erased." if last.approve else "Kept it."
            return ResponsesAgentResponse(output=[self.create_text_output_item(text, "m1")])
        return ResponsesAgentResponse(output=[
            self.create_function_call_item("f1", "c1", "weather", '{"city": "Oslo"}'),
            self.create_function_call_output_item("c1", "sunny in Oslo"),
            {
                "type": "mcp_approval_request", "id": "mcpr_1", "server_label": "tutor",
                "name": "erase", "arguments": '{"path": "notes.txt"}',
            },
        ])

agent = Tutor()
"""
