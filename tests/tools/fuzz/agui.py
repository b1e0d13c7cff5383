"""Nearly valid run inputs of AG-UI: a stream in a valid order, or the name of a field."""

import json
from dataclasses import replace
from typing import Any

from ag_ui_validate.pytest_plugin import assert_valid_agui
from hypothesis import strategies as st

from agent_asgi.errors import InvalidRequest
from agent_asgi.protocols.agui.request import AGUIRequest, decode_input
from agent_asgi.protocols.agui.request_schema import RunAgentInput
from agent_asgi.schema import codec
from agent_asgi.schema.decode import decode_request
from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import chunked, frames, lists, objects, odd, values
from tests.tools.fuzz.harness import Property, call_app, check_answer

SOURCE = {"type": "url", "value": "https://a.example", "mimeType": "image/png"}
MESSAGE = ["id", "role", "content", "toolCalls", "toolCallId", "error", "encryptedValue", "name"]
parts = st.one_of(
    objects(["type", "text", "source"], values, type="text", text="hi"),
    objects(["type", "source", "metadata"], values, type="image", source=SOURCE),
    objects(["type", "mimeType", "data", "url", "id"], values, type="binary", mimeType="a/b"),
    objects(["type", "text"], values),
)
calls = objects(
    ["id", "type", "function"], values, id="mcpr_1", function={"name": "f", "arguments": "{}"}
)
contents = lists(parts) | values
messages = st.one_of(
    objects(MESSAGE, contents, id="1", role="user", content="hi"),
    objects(MESSAGE, contents, id="1", role="system", content="hi"),
    objects(MESSAGE, contents | lists(calls), id="1", role="assistant"),
    objects(MESSAGE, contents, id="1", role="tool", toolCallId="c1", content="1"),
    objects(MESSAGE, contents, id="1", role="reasoning", content="", encryptedValue="x"),
    objects(MESSAGE, contents),
)
entries = st.one_of(
    objects(["payload", "status"], values, interruptId="c1", status="resolved"),
    objects(["payload", "status"], values, interruptId="mcpr_1", status="cancelled"),
    objects(["payload", "status", "interruptId"], values),
)
NAMES = [*RunAgentInput.__struct_encode_fields__, "input", "raw", "info", "unknown"]
FIELDS: dict[str, st.SearchStrategy[bytes]] = {
    **dict.fromkeys(NAMES, values),
    "messages": lists(messages),
    "tools": lists(objects(["description", "parameters"], values, name="f")),
    "context": lists(objects(["description", "value"], values, description="a", value="b")),
    "resume": lists(entries),
    "protocolVersion": st.sampled_from([b'"1.0"', b'"2"', b"null"]),
}
some_fields = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda name: FIELDS[name].map(lambda value: json.dumps(name).encode() + b":" + value)
    ),
    max_size=4,
)
bodies = st.one_of(
    st.tuples(lists(messages), some_fields).map(
        lambda made: (
            b'{"threadId":"t","runId":"r","model":"echo","messages":'
            + b",".join([made[0], *made[1]])
            + b"}"
        )
    ),
    odd,
)
cases = st.tuples(st.sampled_from(["/agui", "/echo/agui"]), bodies, st.integers(1, 3))


def try_input(body: bytes) -> AGUIRequest | None:
    """Decode a body: it becomes a valid Responses body, or the error names a field."""
    try:
        request = decode_input(body)
    except InvalidRequest:
        return None
    assert decode_request(codec.encode(request.to_dict())).input == request.input
    return request


async def check(app: Any, case: tuple[str, bytes, int]) -> None:
    """Send a body; check the order of the events, or that the error names one of its fields."""
    path, body, count = case
    got = await call_app(app, "POST", path, chunks=chunked(body, count))
    answer = check_answer(got, (200, 400, 404, 413))
    if answer is None:
        whole = replace(got, body=got.body + b"data: [DONE]\n\n")  # which AG-UI does not have
        assert_valid_agui(frames(whole))
        return
    param = answer["error"]["param"]
    root = (param or "").partition(".")[0].partition("[")[0]
    assert not root or root in RunAgentInput.__struct_encode_fields__, param


AGUI = Property("AG-UI", 5, cases, agents.app, check)
