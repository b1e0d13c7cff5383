"""openai-python, which checks every answer against its types."""

import json
from typing import Any

import openai
from openai.types.responses import Response

from tests.clients.python.common import DEGREES, QUESTION, SUM, WEATHER, Sum, seen_error


class Strict:
    """openai-python with `_strict_response_validation=True`."""

    def __init__(self, url: str) -> None:
        options: Any = {"base_url": f"{url}/v1", "api_key": "none"}
        self.lenient = openai.AsyncOpenAI(**options)
        self.client = openai.AsyncOpenAI(**options, _strict_response_validation=True)
        self.create = self.client.responses.create

    async def text(self) -> Any:
        answer = await self.create(model="text", input="hello")
        return {"text": answer.output_text, "usage": usage(answer)}

    async def stream(self) -> Any:
        pieces: list[str] = []
        async with self.client.responses.stream(model="stream", input="hello") as stream:
            async for event in stream:
                pieces += [event.delta] if event.type == "response.output_text.delta" else []
            final = await stream.get_final_response()
        return {"pieces": pieces, "text": final.output_text}

    async def own_tool(self) -> Any:
        question: Any = {"model": "own_tool", "input": "How many lamps?"}
        answer = await self.create(**question)
        async with self.client.responses.stream(**question) as stream:
            streamed = await stream.get_final_response()
        pending = len(calls(answer) + calls(streamed))
        return {"text": answer.output_text, "streamed": streamed.output_text, "pending": pending}

    async def client_tool(self) -> Any:
        answer = await self.create(model="client_tool", input=QUESTION, tools=[WEATHER])
        while asked := calls(answer):
            outputs: Any = [
                {
                    "type": "function_call_output",
                    "call_id": call.call_id,
                    "output": DEGREES[json.loads(call.arguments)["city"]],
                }
                for call in asked
            ]
            answer = await self.create(
                model="client_tool",
                previous_response_id=answer.id,
                input=outputs,
                tools=[WEATHER],
            )
        return {"text": answer.output_text}

    async def approval(self) -> Any:
        return {"approved": await self._answered(True), "rejected": await self._answered(False)}

    async def _answered(self, approve: bool) -> str:
        asked = await self.create(model="approval", input="Write to Ann.")
        request: Any = asked.output[-1]
        answer: Any = {"type": "mcp_approval_response", "approve": approve}
        answer["approval_request_id"] = request.id
        done = await self.create(model="approval", previous_response_id=asked.id, input=[answer])
        return done.output_text

    async def no_usage(self) -> Any:
        answer = await self.create(model="no_usage", input="hello")
        return {"text": answer.output_text, "usage": usage(answer)}

    async def structured(self) -> Any:
        create = self.lenient.responses.parse
        answer = await create(model="structured", input=SUM, text_format=Sum)
        return {"answer": answer.output_parsed and answer.output_parsed.answer}

    async def conversation(self) -> Any:
        made = await self.client.conversations.create()
        for text in ("one", "two"):
            answer = await self.create(model="conversation", input=text, conversation=made.id)
        listed = await self.client.conversations.items.list(made.id, order="asc")
        assert len(listed.data) == 4
        return {"text": answer.output_text}

    async def error_400(self) -> Any:
        return await self._error("error_400")

    async def error_404(self) -> Any:
        return await self._error("nobody")

    async def error_500(self) -> Any:
        seen = await self._error("error_500")
        try:
            async for _ in await self.create(model="error_500", input="x", stream=True):
                pass
        except openai.APIError as error:
            seen["streamed"] = error.message
        return seen

    async def _error(self, model: str) -> Any:
        try:
            await self.create(model=model, input="x")
        except openai.APIStatusError as error:
            return seen_error(error)

    async def cancelled(self) -> Any:
        begun = await self.create(model="cancelled", input="x", background=True)
        ended = await self.client.responses.cancel(begun.id)
        stored = await self.client.responses.retrieve(begun.id)
        return {"status": ended.status, "stored": stored.status}

    async def calculator(self) -> Any:
        return {"text": (await self.create(model="calculator", input="12 * (3 + 4)")).output_text}


def usage(answer: Response) -> list[int] | None:
    used = answer.usage
    return None if used is None else [used.input_tokens, used.output_tokens]


def calls(answer: Response) -> list[Any]:
    """Return the calls that the client is asked to answer."""
    return [item for item in answer.output if item.type == "function_call"]
