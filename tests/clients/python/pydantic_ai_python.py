"""Pydantic AI: an agent whose model is the served agent."""

from typing import Any

from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.python.common import DEGREES, QUESTION, SUM, Sum


def get_weather(city: str) -> str:
    """The weather of a city."""
    return DEGREES[city]


class Responses:
    """`OpenAIResponsesModel`."""

    def __init__(self, url: str) -> None:
        self.provider = OpenAIProvider(base_url=f"{url}/v1", api_key="none")

    def agent(self, model: str, **options: Any) -> Agent[None, Any]:
        return Agent(OpenAIResponsesModel(model, provider=self.provider), **options)

    async def text(self) -> Any:
        return told(await self.agent("text").run("hello"))

    async def stream(self) -> Any:
        async with self.agent("stream").run_stream("hello") as run:
            pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
        return {"pieces": pieces, "text": "".join(pieces)}

    async def own_tool(self) -> Any:
        agent = self.agent("own_tool")
        done = await agent.run("How many lamps?")
        async with agent.run_stream("How many lamps?") as run:
            streamed = await run.get_output()
        messages = [*done.all_messages(), *run.all_messages()]
        kinds = [part.part_kind for message in messages for part in message.parts]
        pending = kinds.count("tool-call")
        return {"text": done.output, "streamed": streamed, "pending": pending}

    async def client_tool(self) -> Any:
        done = await self.agent("client_tool", tools=[get_weather]).run(QUESTION)
        return {"text": done.output}

    async def no_usage(self) -> Any:
        return told(await self.agent("no_usage").run("hello"))

    async def structured(self) -> Any:
        done = await self.agent("structured", output_type=NativeOutput(Sum)).run(SUM)
        return {"answer": done.output.answer}

    async def conversation(self) -> Any:
        settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
        agent = self.agent("conversation", model_settings=settings)
        first = await agent.run("one")
        done = await agent.run("two", message_history=first.all_messages())
        return {"text": done.output}

    async def error_400(self) -> Any:
        return await self._error("error_400")

    async def error_404(self) -> Any:
        return await self._error("nobody")

    async def error_500(self) -> Any:
        seen = await self._error("error_500")
        try:
            async with self.agent("error_500").run_stream("x") as run:
                async for _ in run.stream_text():
                    pass
        except ModelAPIError as error:
            seen["streamed"] = error.message
        return seen

    async def _error(self, model: str) -> Any:
        try:
            await self.agent(model).run("x")
        except ModelHTTPError as error:
            return {"status": error.status_code, "message": str(error.body)}

    async def cancelled(self) -> Any:
        async with self.agent("cancelled").run_stream("x") as run:
            said = await anext(run.stream_text(delta=True, debounce_by=None))
        return {"text": said}

    async def calculator(self) -> Any:
        return {"text": (await self.agent("calculator").run("12 * (3 + 4)")).output}


def told(done: Any) -> dict[str, Any]:
    """Return the text and the tokens of an answer."""
    return {"text": done.output, "usage": [done.usage.input_tokens, done.usage.output_tokens]}
