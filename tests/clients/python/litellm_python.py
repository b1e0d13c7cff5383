"""LiteLLM: its Responses API, and its bridge from Chat Completions to it."""

import json
from typing import Any

import litellm
import openai

from tests.clients.python.common import DEGREES, QUESTION, SUM, WEATHER, Sum, seen_error

STREAMING = ("stream", "own_tool", "error_500", "cancelled")
litellm.drop_params = True
litellm.suppress_debug_info = True
litellm.register_model(  # LiteLLM fakes the streams of models that it does not know
    {
        f"openai/{name}": {"litellm_provider": "openai", "supports_native_streaming": True}
        for name in STREAMING
    }
)


class Responses:
    """`litellm.aresponses`."""

    def __init__(self, url: str) -> None:
        self.server: Any = {"api_base": f"{url}/v1", "api_key": "none"}

    async def create(self, model: str, input: Any, **options: Any) -> Any:
        given = {"model": f"openai/{model}", "input": input, **self.server, **options}
        return await litellm.aresponses(**given)

    async def text(self) -> Any:
        return told(await self.create("text", "hello"))

    async def stream(self) -> Any:
        pieces, response = await self._streamed("stream", "hello")
        return {"pieces": pieces, "text": text_of(response)}

    async def _streamed(self, model: str, input: str) -> tuple[list[str], Any]:
        pieces: list[str] = []
        async for event in await self.create(model, input, stream=True):
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        return pieces, event.response

    async def own_tool(self) -> Any:
        answer = await self.create("own_tool", "How many lamps?")
        _, streamed = await self._streamed("own_tool", "How many lamps?")
        pending = len(calls(answer) + calls(streamed))
        return {"text": text_of(answer), "streamed": text_of(streamed), "pending": pending}

    async def client_tool(self) -> Any:
        answer = await self.create("client_tool", QUESTION, tools=[WEATHER])
        while asked := calls(answer):
            outputs = [
                {
                    "type": "function_call_output",
                    "call_id": call.call_id,
                    "output": DEGREES[json.loads(call.arguments)["city"]],
                }
                for call in asked
            ]
            options = {"previous_response_id": answer.id, "tools": [WEATHER]}
            answer = await self.create("client_tool", outputs, **options)
        return {"text": text_of(answer)}

    async def approval(self) -> Any:
        return {"approved": await self._answered(True), "rejected": await self._answered(False)}

    async def _answered(self, approve: bool) -> str:
        asked = await self.create("approval", "Write to Ann.")
        answer = {"type": "mcp_approval_response", "approve": approve}
        answer["approval_request_id"] = plain(asked.output[-1])["id"]
        return text_of(await self.create("approval", [answer], previous_response_id=asked.id))

    async def no_usage(self) -> Any:
        return told(await self.create("no_usage", "hello"))

    async def structured(self) -> Any:
        answer = await self.create("structured", SUM, text_format=Sum)
        return {"answer": json.loads(text_of(answer))["answer"]}

    async def conversation(self) -> Any:
        first = await self.create("conversation", "one")
        answer = await self.create("conversation", "two", previous_response_id=first.id)
        return {"text": text_of(answer)}

    async def error_400(self) -> Any:
        return await self._error("error_400")

    async def error_404(self) -> Any:
        return await self._error("nobody")

    async def error_500(self) -> Any:
        seen = await self._error("error_500")
        try:
            async for _ in await self.create("error_500", "x", stream=True):
                pass
        except Exception as error:
            seen["streamed"] = str(error)
        return seen

    async def _error(self, model: str) -> Any:
        try:
            await self.create(model, "x")
        except openai.APIStatusError as error:
            return seen_error(error)

    async def cancelled(self) -> Any:
        begun = await self.create("cancelled", "x", background=True)
        ended = await litellm.acancel_responses(begun.id, **self.server)
        stored = await litellm.aget_responses(begun.id, **self.server)
        return {"status": ended.status, "stored": stored.status}

    async def calculator(self) -> Any:
        return {"text": text_of(await self.create("calculator", "12 * (3 + 4)"))}


class Bridge:
    """`litellm.acompletion` with a model of the Responses API."""

    def __init__(self, url: str) -> None:
        self.server: Any = {"api_base": f"{url}/v1", "api_key": "none"}

    async def create(self, model: str, *messages: Any, **options: Any) -> Any:
        said = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        given = {"model": f"openai/responses/{model}", "messages": said, **self.server, **options}
        return await litellm.acompletion(**given)

    async def text(self) -> Any:
        return chat_told(await self.create("text", "hello"))

    async def stream(self) -> Any:
        pieces = [delta.content for delta in await self._deltas("stream", "hello")]
        said = [piece for piece in pieces if piece]
        return {"pieces": said, "text": "".join(said)}

    async def _deltas(self, model: str, input: str) -> list[Any]:
        chunks = await self.create(model, input, stream=True)
        return [chunk.choices[0].delta async for chunk in chunks]

    async def own_tool(self) -> Any:
        message = (await self.create("own_tool", "How many lamps?")).choices[0].message
        deltas = await self._deltas("own_tool", "How many lamps?")
        streamed = "".join(delta.content or "" for delta in deltas)
        pending = sum(len(each.tool_calls or ()) for each in (message, *deltas))
        return {"text": message.content, "streamed": streamed, "pending": pending}

    async def client_tool(self) -> Any:
        said: list[Any] = [QUESTION]
        function = {name: WEATHER[name] for name in ("name", "description", "parameters")}
        tools = [{"type": "function", "function": function}]
        message = (await self.create("client_tool", *said, tools=tools)).choices[0].message
        while message.tool_calls:
            said.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                output = DEGREES[json.loads(call.function.arguments)["city"]]
                said.append({"role": "tool", "tool_call_id": call.id, "content": output})
            message = (await self.create("client_tool", *said, tools=tools)).choices[0].message
        return {"text": message.content}

    async def no_usage(self) -> Any:
        return chat_told(await self.create("no_usage", "hello"))

    async def structured(self) -> Any:
        answer = await self.create("structured", SUM, response_format=Sum)
        return {"answer": json.loads(answer.choices[0].message.content)["answer"]}

    async def conversation(self) -> Any:
        first = (await self.create("conversation", "one")).choices[0].message
        said = {"role": "assistant", "content": first.content}
        answer = await self.create("conversation", "one", said, "two")
        return {"text": answer.choices[0].message.content}

    error_400, error_404 = Responses.error_400, Responses.error_404
    error_500, _error = Responses.error_500, Responses._error

    async def cancelled(self) -> Any:
        said, stream = "", await self.create("cancelled", "x", stream=True)
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if said:
                break
        await stream.aclose()
        return {"text": said}

    async def calculator(self) -> Any:
        answer = await self.create("calculator", "12 * (3 + 4)")
        return {"text": answer.choices[0].message.content}


def plain(item: Any) -> Any:
    return item if isinstance(item, dict) else item.model_dump()


def text_of(answer: Any) -> str:
    messages = [item for item in map(plain, answer.output) if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])


def calls(answer: Any) -> list[Any]:
    """Return the calls that the client is asked to answer."""
    return [item for item in answer.output if plain(item)["type"] == "function_call"]


def told(answer: Any) -> dict[str, Any]:
    """Return the text and the tokens of an answer."""
    used = answer.usage
    counted = used and [used.input_tokens, used.output_tokens]
    return {"text": text_of(answer), "usage": counted}


def chat_told(answer: Any) -> dict[str, Any]:
    """Return the text and the tokens of a chat completion."""
    used, text = answer.usage, answer.choices[0].message.content
    return {"text": text, "usage": [used.prompt_tokens, used.completion_tokens]}
