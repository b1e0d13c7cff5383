"""OpenAI's Agents SDK: an agent whose model is the served agent."""

from collections.abc import AsyncIterator
from typing import Any

import openai
from agents import (
    Agent,
    HostedMCPTool,
    MCPToolApprovalRequest,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    RawResponsesStreamEvent,
    Runner,
    RunResultStreaming,
    function_tool,
    set_tracing_disabled,
)

from tests.clients.python.common import DEGREES, QUESTION, SUM, Sum, seen_error

set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return DEGREES[city]


class AgentsSdk:
    def __init__(self, url: str) -> None:
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none")

    def agent(self, model: str, **options: Any) -> Agent[Any]:
        made = OpenAIResponsesModel(model, openai_client=self.client)
        return Agent(name="client", model=made, **options)

    async def text(self) -> Any:
        done = await Runner.run(self.agent("text"), "hello")
        return {"text": done.final_output, "usage": usage(done)}

    async def stream(self) -> Any:
        run = Runner.run_streamed(self.agent("stream"), "hello")
        pieces = [piece async for piece in deltas(run)]
        return {"pieces": pieces, "text": run.final_output}

    async def own_tool(self) -> Any:
        done = await Runner.run(self.agent("own_tool"), "How many lamps?")
        run = Runner.run_streamed(self.agent("own_tool"), "How many lamps?")
        async for _ in run.stream_events():
            pass
        items = [item.raw_item for item in done.new_items + run.new_items]
        pending = [item for item in items if getattr(item, "type", "") == "function_call"]
        return {"text": done.final_output, "streamed": run.final_output, "pending": len(pending)}

    async def client_tool(self) -> Any:
        done = await Runner.run(self.agent("client_tool", tools=[get_weather]), QUESTION)
        return {"text": done.final_output}

    async def approval(self) -> Any:
        return {"approved": await self._answered(True), "rejected": await self._answered(False)}

    async def _answered(self, approve: bool) -> str:
        def decide(request: MCPToolApprovalRequest) -> Any:
            return {"approve": approve}

        config: Any = {"type": "mcp", "server_label": "approval", "require_approval": "always"}
        config["server_url"] = str(self.client.base_url)
        tool = HostedMCPTool(tool_config=config, on_approval_request=decide)
        done = await Runner.run(self.agent("approval", tools=[tool]), "Write to Ann.")
        return str(done.final_output)

    async def no_usage(self) -> Any:
        done = await Runner.run(self.agent("no_usage"), "hello")
        return {"text": done.final_output, "usage": usage(done)}

    async def structured(self) -> Any:
        done = await Runner.run(self.agent("structured", output_type=Sum), SUM)
        return {"answer": done.final_output.answer}

    async def conversation(self) -> Any:
        session = OpenAIConversationsSession(openai_client=self.client)
        for text in ("one", "two"):
            done = await Runner.run(self.agent("conversation"), text, session=session)
        assert len(await session.get_items()) == 4
        return {"text": done.final_output}

    async def error_400(self) -> Any:
        return await self._error("error_400")

    async def error_404(self) -> Any:
        return await self._error("nobody")

    async def error_500(self) -> Any:
        seen = await self._error("error_500")
        try:
            async for _ in Runner.run_streamed(self.agent("error_500"), "x").stream_events():
                pass
        except openai.APIError as error:
            seen["streamed"] = error.message
        return seen

    async def _error(self, model: str) -> Any:
        try:
            await Runner.run(self.agent(model), "x")
        except openai.APIStatusError as error:
            return seen_error(error)

    async def cancelled(self) -> Any:
        run, said = Runner.run_streamed(self.agent("cancelled"), "x"), ""
        async for piece in deltas(run):
            said += piece
            run.cancel()
        return {"text": said}

    async def calculator(self) -> Any:
        return {"text": (await Runner.run(self.agent("calculator"), "12 * (3 + 4)")).final_output}


async def deltas(run: RunResultStreaming) -> AsyncIterator[str]:
    """Yield the pieces of the text."""
    async for event in run.stream_events():
        data = event.data if isinstance(event, RawResponsesStreamEvent) else None
        if data is not None and data.type == "response.output_text.delta":
            yield data.delta


def usage(done: Any) -> list[int]:
    used = done.context_wrapper.usage
    return [used.input_tokens, used.output_tokens]
