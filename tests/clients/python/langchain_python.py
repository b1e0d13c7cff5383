"""LangChain's ChatOpenAI, over the Responses API and over Chat Completions."""

from typing import Any, ClassVar

import openai
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.clients.python.common import DEGREES, QUESTION, SUM, Sum, seen_error


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return DEGREES[city]


class Responses:
    """`use_responses_api=True`."""

    options: ClassVar[dict[str, Any]] = {
        "use_responses_api": True,
        "output_version": "responses/v1",
    }

    def __init__(self, url: str) -> None:
        self.url = f"{url}/v1"

    def model(self, name: str, **options: Any) -> ChatOpenAI:
        given = {**self.options, **options}
        return ChatOpenAI(model=name, base_url=self.url, api_key=SecretStr("none"), **given)

    async def text(self) -> Any:
        return told(await self.model("text").ainvoke("hello"))

    async def stream(self) -> Any:
        pieces = [piece.text async for piece in self.model("stream").astream("hello")]
        said = [str(piece) for piece in pieces if piece]
        return {"pieces": said, "text": "".join(said)}

    async def own_tool(self) -> Any:
        model = self.model("own_tool")
        answer = await model.ainvoke("How many lamps?")
        chunks = [chunk async for chunk in model.astream("How many lamps?")]
        pending = sum(len(message.tool_calls) for message in (answer, *chunks))
        streamed = "".join(str(chunk.text) for chunk in chunks)
        return {"text": str(answer.text), "streamed": streamed, "pending": pending}

    async def client_tool(self) -> Any:
        model = self.model("client_tool").bind_tools([get_weather])
        said: list[BaseMessage] = [HumanMessage(QUESTION)]
        answer: AIMessage = await model.ainvoke(said)
        while answer.tool_calls:
            said.append(answer)
            said += [await get_weather.ainvoke(call) for call in answer.tool_calls]
            answer = await model.ainvoke(said)
        return {"text": str(answer.text)}

    async def approval(self) -> Any:
        return {"approved": await self._answered(True), "rejected": await self._answered(False)}

    async def _answered(self, approve: bool) -> str:
        model = self.model("approval")
        said: list[BaseMessage] = [HumanMessage("Write to Ann.")]
        asked = await model.ainvoke(said)
        parts: Any = asked.content
        (request,) = (part for part in parts if part["type"] == "mcp_approval_request")
        answer: Any = {"type": "mcp_approval_response", "approve": approve}
        answer["approval_request_id"] = request["id"]
        done = await model.ainvoke([*said, asked, HumanMessage([answer])])
        return str(done.text)

    async def no_usage(self) -> Any:
        return told(await self.model("no_usage").ainvoke("hello"))

    async def structured(self) -> Any:
        model = self.model("structured").with_structured_output(Sum, method="json_schema")
        found: Any = await model.ainvoke(SUM)
        return {"answer": found.answer}

    async def conversation(self) -> Any:
        model = self.model("conversation", use_previous_response_id=True)
        first = await model.ainvoke([HumanMessage("one")])
        answer = await model.ainvoke([HumanMessage("one"), first, HumanMessage("two")])
        return {"text": str(answer.text)}

    async def error_400(self) -> Any:
        return await self._error("error_400")

    async def error_404(self) -> Any:
        return await self._error("nobody")

    async def error_500(self) -> Any:
        seen = await self._error("error_500")
        try:
            async for _ in self.model("error_500").astream("x"):
                pass
        except openai.APIError as error:
            seen["streamed"] = error.message
        return seen

    async def _error(self, model: str) -> Any:
        try:
            await self.model(model).ainvoke("x")
        except openai.APIStatusError as error:
            return seen_error(error)

    async def cancelled(self) -> Any:
        said = ""
        stream: Any = self.model("cancelled").astream("x")
        async for piece in stream:
            said += str(piece.text)
            if said:
                break
        await stream.aclose()
        return {"text": said}

    async def calculator(self) -> Any:
        return {"text": str((await self.model("calculator").ainvoke("12 * (3 + 4)")).text)}


class Chat(Responses):
    """Chat Completions."""

    options: ClassVar[dict[str, Any]] = {"stream_usage": True}

    async def conversation(self) -> Any:
        model = self.model("conversation")
        first = await model.ainvoke([HumanMessage("one")])
        answer = await model.ainvoke([HumanMessage("one"), first, HumanMessage("two")])
        return {"text": str(answer.text)}


def told(answer: AIMessage) -> dict[str, Any]:
    """Return the text and the tokens of an answer."""
    used = answer.usage_metadata
    counted = [used["input_tokens"], used["output_tokens"]] if used else None
    return {"text": str(answer.text), "usage": counted}
