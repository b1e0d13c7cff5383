"""The agents that the clients talk to: one for each column of the table in docs/clients.md."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import calculator

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
    Usage,
    get_context,
)


def echo(request: ResponsesRequest) -> Iterator[str | Usage]:
    yield from words(f"You said: {request.input_text}")
    yield Usage(input_tokens=3, output_tokens=4)


def without_usage(request: ResponsesRequest) -> Iterator[str]:
    yield from words(f"You said: {request.input_text}")


def own_tool(request: ResponsesRequest) -> Iterator[Any]:
    call = FunctionCall(call_id="call_stock", name="stock", arguments='{"article": "lamp"}')
    yield call
    yield FunctionCallOutput(call_id=call.call_id, output="3")
    yield "There are 3 lamps."


def client_tool(request: ResponsesRequest) -> Iterator[str | FunctionCall]:
    """Ask for the weather of two cities, one after the other, and repeat what the client says."""
    outputs = [message["content"] for message in request.messages if message["role"] == "tool"]
    said = [re.findall(r"\d+ degrees", str(output))[0] for output in outputs]
    if len(said) < 2:
        yield weather_call(len(said), {tool.get("name") for tool in request.to_dict()["tools"]})
    else:
        yield f"Paris: {said[0]}, Rome: {said[1]}"


def weather_call(number: int, tools: set[str | None]) -> FunctionCall:
    """Call the client's tool; Codex has one for commands in place of one for the weather."""
    city, degrees = (("Paris", 24), ("Rome", 30))[number]
    name, arguments = "get_weather", {"city": city}
    if name not in tools:
        name, arguments = "exec_command", {"cmd": f"echo {degrees} degrees"}
    return FunctionCall(call_id=f"call_{number}", name=name, arguments=json.dumps(arguments))


def approval(request: ResponsesRequest) -> Iterator[ApprovalRequest | str]:
    answers = get_context().approvals
    if answers:
        yield "The mail is sent." if answers[-1].approve else "The mail is not sent."
    else:
        yield ApprovalRequest("send_mail", {"to": "ann@example.com"})


def structured(request: ResponsesRequest) -> str:
    form = (request.to_dict().get("text") or {}).get("format") or {}
    return '{"answer": 84}' if form.get("type") == "json_schema" else "No format was asked for."


def conversation(request: ResponsesRequest) -> str:
    texts = [message["content"] for message in request.messages if message["role"] == "user"]
    return f"You said: {', '.join(texts)}"


def error_400(request: ResponsesRequest) -> str:
    raise AgentError("There is no such city.", 400, "no_such_city")


def error_500(request: ResponsesRequest) -> str:
    raise ValueError("the password is 1234")


async def cancelled(request: ResponsesRequest) -> AsyncIterator[str]:
    yield "I am "
    await asyncio.sleep(60)


def words(text: str) -> list[str]:
    """Split a text into the pieces that are streamed."""
    return re.findall(r"\s*\S+", text)


def app() -> AgentApp:
    """Create an app of all agents, each under the name of its column."""
    return AgentApp(*(_router(name, handler) for name, handler in HANDLERS.items()), _calculator())


def _router(name: str, handler: Callable[..., Any]) -> AgentRouter:
    router = AgentRouter(name)
    (router.invoke if handler in WHOLE else router.stream)(handler)
    return router


def _calculator() -> AgentRouter:
    """Return the example agent as docs/examples serves it."""
    return calculator.router


WHOLE = (structured, conversation, error_400, error_500)
HANDLERS: dict[str, Callable[..., Any]] = {
    "text": echo,
    "stream": echo,
    "own_tool": own_tool,
    "client_tool": client_tool,
    "approval": approval,
    "no_usage": without_usage,
    "structured": structured,
    "conversation": conversation,
    "error_400": error_400,
    "error_500": error_500,
    "cancelled": cancelled,
}
