"""Nearly valid Chat Completions bodies: accepted, or rejected with the name of a field."""

import json
from typing import Any

from hypothesis import strategies as st

from agent_asgi.errors import InvalidRequest
from agent_asgi.protocols.chat_completions.request import ConvertedRequest, decode_chat
from agent_asgi.protocols.chat_completions.request_schema import ChatRequest
from agent_asgi.schema import codec
from agent_asgi.schema.decode import decode_request
from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import chunked, frames, lists, objects, odd, values
from tests.tools.fuzz.harness import Property, call_app, check_answer

PART = ["type", "text", "refusal", "image_url", "file", "detail", "input_audio"]
MESSAGE = ["role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call"]
parts = st.one_of(
    objects(PART, values, type="text", text="hi"),
    objects(PART, values, type="image_url", image_url={"url": "data:,"}),
    objects(PART, values, type="file", file={"file_id": "f"}),
    objects(PART, values),
)
calls = objects(
    ["id", "type", "function"], values, id="c1", function={"name": "f", "arguments": ""}
)
contents = lists(parts) | values
messages = st.one_of(
    objects(MESSAGE, contents, role="user", content="hi"),
    objects(MESSAGE, contents, role="system", content="hi"),
    objects(MESSAGE, contents | lists(calls), role="assistant"),
    objects(MESSAGE, contents, role="tool", tool_call_id="c1", content="1"),
    objects(MESSAGE, contents),
)
tools = st.one_of(
    objects(["function", "type"], values, type="function", function={"name": "f"}),
    objects(["function", "type", "name"], values, type="web_search"),
)
FUNCTION = {"type": "function", "function": {"name": "f"}}
choices = st.one_of(
    objects(["function", "type"], values, **FUNCTION),
    objects(["type"], values, type="allowed_tools", allowed_tools={"tools": [FUNCTION]}),
    st.sampled_from([b'"auto"', b'"none"', b'"required"']),
)
shapes = objects(["type", "json_schema"], values, type="json_schema", json_schema={"name": "n"})
FIELDS: dict[str, st.SearchStrategy[bytes]] = {
    **dict.fromkeys(ChatRequest.__struct_fields__, values),
    **dict.fromkeys(["input", "instructions", "text", "reasoning", "raw", "chat", "seed"], values),
    "messages": lists(messages),
    "tools": lists(tools),
    "tool_choice": choices,
    "response_format": shapes,
    "stream": st.sampled_from([b"true", b"false", b"null"]),
    "store": st.sampled_from([b"true", b"false"]),
}
some_fields = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda name: FIELDS[name].map(lambda value: json.dumps(name).encode() + b":" + value)
    ),
    max_size=4,
)
bodies = st.one_of(
    st.tuples(lists(messages), some_fields).map(
        lambda made: b'{"model":"echo","messages":' + b",".join([made[0], *made[1]]) + b"}"
    ),
    odd,
)
PATHS = ["/chat/completions", "/v1/chat/completions", "/echo/chat/completions"]
cases = st.tuples(st.sampled_from(PATHS), bodies, st.integers(1, 3))


def try_chat(body: bytes) -> ConvertedRequest | None:
    """Decode a body: it becomes a valid Responses body, or the error names one of its fields."""
    try:
        request = decode_chat(body)
    except InvalidRequest as error:
        check_param(error.param)
        return None
    again = decode_request(codec.encode(request.to_dict()))
    assert again.input == request.input
    assert again.received() == request.to_dict()
    return request


def check_param(param: str | None) -> None:
    """Check that a path starts with a field of the body."""
    root = (param or "").partition(".")[0].partition("[")[0]
    assert not root or root in ChatRequest.__struct_fields__, param


async def check(app: Any, case: tuple[str, bytes, int]) -> None:
    """Send a body; check the parts of the answer that clients read."""
    path, body, count = case
    got = await call_app(app, "POST", path, chunks=chunked(body, count))
    answer = check_answer(got, (200, 400, 404, 409, 413))
    if answer is None:
        chunks = frames(got)
        reasons = [each["finish_reason"] for chunk in chunks for each in chunk["choices"]]
        assert reasons[-1] in ("stop", "tool_calls"), reasons
        assert set(reasons[:-1]) == {None}
    elif got.status == 200:
        assert answer["choices"][0]["message"]["content"]


CHAT = Property("chat completions", 10, cases, agents.app, check)
