"""An agent that needs no network: it does arithmetic and unit conversions, step by step.

agent-asgi serve calculator:app
curl -N 127.0.0.1:8000/responses -d '{"input": "what is 12 * (3 + 4)?", "stream": true}'

If `OPENAI_MODEL` is set, that model answers, reached by `OPENAI_API_KEY` and `OPENAI_BASE_URL`.
"""

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import mlflow
from arithmetic import (
    Answer,
    NoAnswerError,
    NotUnderstoodError,
    Step,
    stated_number,
    understand,
)
from dialogue import (
    conversation,
    last_message,
    packed,
    previous_number,
    summary,
    text_of,
    words_of,
)
from shapes import arguments_for, fitted

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Output,
    Reasoning,
    ResponsesRequest,
    Usage,
)
from agent_asgi.protocols import A2A, AGUI, MCP, AgentBricks, ChatCompletions, Protocol, UIStream

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.responses import ResponseStreamEvent

PAUSE = 0.01
"""Seconds between two tokens, so that the streaming is visible."""
HELP = (
    "I can do arithmetic and unit conversions. "
    "What would you like to know? Try “12 * (3 + 4)” or “10 km in miles”."
)
MODEL_FIELDS = (
    "instructions tools tool_choice parallel_tool_calls max_tool_calls max_output_tokens"
    " temperature top_p top_logprobs text reasoning include metadata truncation"
)
COMMON_WORDS = "a an and at for from get give i in is it me of on or the to what s"

Body = dict[str, Any]

log = logging.getLogger(__name__)
router = AgentRouter(
    "calculator",
    description="Answers arithmetic and unit conversions",
    examples=["What is 12 * (3 + 4)?", "10 km in miles", "and times 2?"],
)


@router.stream
async def calculator(request: ResponsesRequest, context: Context) -> AsyncIterator[Output]:
    """Answer the last message of the conversation."""
    body = request.to_dict()
    if model_name():
        async with await ask_model(body) as events:
            async for event in events:
                yield event
        return
    written = 0
    for output in think(body):
        yield output
        written += len(written_text(output).split())
        if isinstance(output, str):
            await asyncio.sleep(PAUSE)
    read = words_of(conversation(body))
    log.info("response %s: %d words read, %d written", context.response_id, read, written)
    yield Usage(input_tokens=read, output_tokens=written)


@router.compact
async def compact(request: ResponsesRequest) -> AsyncIterator[Any]:
    """Keep what the calculator needs to continue: the last message and the last number answered."""
    body = request.to_dict()
    if model_name():
        given: Any = conversation(body)
        yield await model_client().responses.compact(model=model_name(), input=given)
        return
    items = conversation(body)
    message, told = last_message(items), summary(items)
    if message:
        content = [{"type": "input_text", "text": message}]
        yield {"type": "message", "role": "user", "content": content}
    yield packed(told)
    written = len(message.split()) + len(json.dumps(told).split())
    yield Usage(input_tokens=words_of(items), output_tokens=written)


def think(body: Body) -> Iterator[Output]:
    """Report the output of a client's tool, call one of its tools, or calculate."""
    items = conversation(body)
    message = last_message(items)
    if items and items[-1].get("type") == "function_call_output":
        yield from say(tool_answer(items), body)
    elif tool := matching_tool(body, message):
        yield from call_tool(tool, message, body)
    else:
        yield from work_out(message, items, body)


def work_out(message: str, items: list[Body], body: Body) -> Iterator[Output]:
    """Calculate step by step, then answer; reply with help if the message is not understood."""
    try:
        question = understand(message, previous_number(items))
    except NotUnderstoodError:
        yield from say(Answer(HELP), body)
    except NoAnswerError as error:
        yield from say(Answer(str(error)), body)
    else:
        plan = f"I work it out one operation at a time. Steps: {len(question.steps())}."
        yield Reasoning(plan)
        for step in question.steps():
            call = FunctionCall("calculate", {"expression": str(step)})
            yield call
            yield FunctionCallOutput(call.call_id, calculate(step))
            if step.trouble:
                break
        yield from say(question.answer(), body)


def calculate(step: Step) -> str:
    """Run the agent's own tool: one operation, traced as a span."""
    with mlflow.start_span("calculate", span_type="TOOL") as span:
        span.set_inputs({"expression": str(step)})
        output = step.run()
        span.set_outputs(output)
    return output


def say(answer: Answer, body: Body) -> Iterator[Output]:
    """Stream the answer word by word: plain text, or JSON if the client asks for a format."""
    wanted = (body.get("text") or {}).get("format") or {}
    text = answer.text
    if wanted.get("type") == "json_schema":
        schema = wanted.get("schema") or {}
        try:
            shaped = fitted(answer, schema, schema.get("$defs") or {})
            text = json.dumps(shaped, ensure_ascii=False)
        except NoAnswerError as error:
            content = [{"type": "refusal", "refusal": f"{answer.text} {error}"}]
            yield {"type": "message", "role": "assistant", "content": content}
            return
    yield from re.findall(r"\s*\S+", text)


def written_text(output: Output) -> str:
    """Return the text that the agent itself wrote; its words are counted in place of tokens."""
    match output:
        case str():
            return output
        case FunctionCall():
            return output.arguments
        case Reasoning():
            return output.summary
        case {"content": [{"refusal": str(text)}]}:
            return text
    return ""


def matching_tool(body: Body, message: str) -> Body | None:
    """Return the client's function that the request requires or the message mentions."""
    choice = body.get("tool_choice") or "auto"
    tools = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    if isinstance(choice, dict):
        return next((tool for tool in tools if tool["name"] == choice.get("name")), None)
    if choice == "none":
        return None
    asked = words(message)
    fitting = [t for t in tools if asked & words(f"{t['name']} {t.get('description') or ''}")]
    return next(iter(fitting or (tools if choice == "required" else [])), None)


def words(text: str) -> set[str]:
    """Return the words that distinguish one subject from another."""
    return set(re.findall(r"[a-z]+", text.lower())) - set(COMMON_WORDS.split())


def call_tool(tool: Body, message: str, body: Body) -> Iterator[Output]:
    """Ask the client to call its function; ask the user if the message lacks an argument."""
    arguments, missing = arguments_for(tool.get("parameters") or {}, message)
    if missing:
        lack = " and ".join(missing)
        yield from say(Answer(f"To call {tool['name']} I need: {lack}. What should I take?"), body)
    else:
        yield FunctionCall(tool["name"], arguments)


def tool_answer(items: list[Body]) -> Answer:
    """Put the output of the client's function in a sentence."""
    output, call_id = text_of(items[-1]), items[-1].get("call_id")
    calls = {item.get("call_id"): item for item in items if item.get("type") == "function_call"}
    name = calls.get(call_id, {}).get("name", "the tool")
    return Answer(f"This is what {name} says: {output}", stated_number(output))


@cache
def model_client() -> "AsyncOpenAI":
    """Create the client once; it takes its key and URL from the environment."""
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        reason = "OPENAI_MODEL is set, and the client is not installed: pip install openai"
        raise RuntimeError(reason) from error
    return AsyncOpenAI()


def model_name() -> str:
    """Return the model's name; empty if no model is configured."""
    return os.environ.get("OPENAI_MODEL", "")


async def ask_model(body: Body) -> "AsyncStream[ResponseStreamEvent]":
    """Pass the conversation to the model; send its reasoning back only if the model can read it."""
    fields = {name: body[name] for name in MODEL_FIELDS.split() if body.get(name) is not None}
    fields["input"] = [
        item
        for item in conversation(body)
        if item.get("type") != "reasoning" or item.get("encrypted_content")
    ]
    events: AsyncStream[ResponseStreamEvent] = await model_client().responses.create(
        model=model_name(), store=False, stream=True, **fields
    )
    return events


def protocols() -> list[Protocol]:
    """Return all protocols; MCP needs an extra package."""
    spoken = [ChatCompletions(), UIStream(resume=True), AGUI(), A2A(), AgentBricks()]
    return [*spoken, MCP()] if find_spec("mcp") else spoken


app = AgentApp(
    router,
    protocols=protocols(),
    playground=True,
    single_user=True,
)


if __name__ == "__main__":
    app.run("calculator:app")
