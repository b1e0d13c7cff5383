"""Request bodies: random bytes, invalid JSON, and nearly valid requests."""

import json
from typing import Any

from hypothesis import strategies as st

from agent_asgi.testing import parse_frame
from tests.support.stream_rules import check_stream
from tests.tools.fuzz import agents
from tests.tools.fuzz.harness import Got, Property, call_app, check_answer

ODD = [
    *rb"NaN -Infinity 1e999 -0.0 1.0 1e2 0x10 01 123456789012345678901 0 -1 null true".split(),
    *rb'"" [] {} [null] [{}] [[]] {"a":1,"a":2} {"":0} {"\u0000":0} "\u0000" "\ud800"'.split(),
    *rb'"\udc00\ud800" "\u202e\u2028" "a\r\nb:c" "data:\n\n[DONE]\n\n" 9223372036854775808'.split(),
    *(b"", b" ", b"'x'", b"\xff", b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\n"', b"\xef\xbb\xbf1"),
    *(
        b"9" * 400,
        b"-" + b"9" * 5000,
        b'"' + b"x" * 9999 + b'"',
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ),
    *(b"[" * 90 + b"]" * 90, b"[" * 900 + b"]" * 900, b"[" * 20000 + b"]" * 20000, b"[" * 50),
]
WORDS = ["user", "assistant", "system", "completed", "in_progress", "auto", "required", "none", "f"]
WORDS += ["echo", "other", "c1", "resp_1", "msg_1", "allowed_tools", "json_schema", "concise"]
KINDS = ["message", "function_call", "function_call_output", "reasoning", "item_reference"]
KINDS += ["compaction", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"]
KINDS += ["input_image", "input_file", "function", "acme:thing", "text", "image_call"]

odd = st.integers(0, len(ODD) - 1).map(ODD.__getitem__)  # by index: ODD has a long repr
scalars = st.one_of(
    odd,
    st.sampled_from(WORDS + KINDS).map(lambda text: json.dumps(text).encode()),
    st.text(max_size=8).map(lambda text: json.dumps(text).encode()),
    st.integers().map(lambda number: str(number).encode()),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: repr(number).encode()),
)


def objects(
    names: list[str], values: st.SearchStrategy[bytes], **always: Any
) -> st.SearchStrategy[bytes]:
    """Make objects with some of the fields, including repeated and unknown names."""
    fixed = [
        json.dumps(name).encode() + b":" + json.dumps(value).encode()
        for name, value in always.items()
    ]
    keys = st.sampled_from(names).map(lambda name: json.dumps(name).encode())
    fields = st.lists(st.tuples(keys, values).map(b":".join), max_size=4)
    return fields.map(lambda made: b"{" + b",".join(fixed + made) + b"}")


def lists(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Make lists."""
    return st.lists(values, max_size=3).map(lambda made: b"[" + b",".join(made) + b"]")


values = st.recursive(
    scalars, lambda inner: lists(inner) | objects(["type", "id", "name", "a"], inner), max_leaves=6
)
PART = ["type", "text", "refusal", "image_url", "annotations", "detail", "filename"]
ITEM = ["type", "role", "content", "id", "status", "call_id", "name", "arguments", "output"]
ITEM += ["summary", "encrypted_content", "phase"]
parts = st.one_of(
    objects(PART, values, type="input_text", text="hi"), objects(PART, scalars | values)
)
items = st.one_of(
    objects(ITEM, values, role="user", content="hi"),
    objects(ITEM, lists(parts) | values, type="message", role="assistant", content=[]),
    objects(ITEM, values, type="function_call", call_id="c1", name="f", arguments="{}"),
    objects(ITEM, lists(parts), type="function_call_output", call_id="c1", output="x"),
    objects(ITEM, lists(parts), type="reasoning", summary=[]),
    objects(ITEM, values, type="acme:thing"),
    objects(ITEM, values),
)
tools = st.one_of(
    objects(["name", "strict", "parameters", "type"], values, type="function", name="f"),
    objects(["name", "type"], values, type="web_search"),
)
choices = st.one_of(
    objects(["name", "type"], values, type="function", name="f"),
    objects(["mode", "tools"], lists(tools) | values, type="allowed_tools"),
    st.sampled_from([b'"auto"', b'"none"', b'"required"']),
)
texts = objects(["format", "verbosity"], objects(["type", "schema", "name"], values, type="text"))
LOOSE = ["instructions", "previous_response_id", "temperature", "top_p", "top_logprobs", "user"]
LOOSE += ["max_output_tokens", "max_tool_calls", "truncation", "include", "service_tier", "x"]
LOOSE += ["safety_identifier", "parallel_tool_calls", "unknown", "name", "new_input", "raw"]
FIELDS: dict[str, st.SearchStrategy[bytes]] = {
    "input": lists(items),
    "tools": lists(tools),
    "tool_choice": choices,
    "text": texts,
    "reasoning": objects(["effort", "summary"], values),
    "conversation": objects(["id"], values, id="conv"),
    "context": objects(["conversation_id", "user_id"], values),
    "custom_inputs": objects(["session_id", "thread_id", "a"], values),
    "databricks_options": objects(["return_trace"], values, return_trace=True),
    "metadata": objects(["a", "b", "\0"], values),
    "stream_options": objects(["include_obfuscation"], values),
    "stream": st.sampled_from([b"true", b"false", b"null"]),
    "store": st.sampled_from([b"true", b"false"]),
    "background": st.sampled_from([b"true", b"false"]),
    **dict.fromkeys(LOOSE, values),
}
some_fields = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda name: st.one_of(FIELDS[name], FIELDS[name], FIELDS[name], values).map(
            lambda value: json.dumps(name).encode() + b":" + value
        )
    ),
    max_size=5,
)
nearly_right = st.tuples(
    st.sampled_from([b'"input":"hi"', b'"input":[{"role":"user","content":"hi"}]', b'"x":1']),
    some_fields,
).map(lambda made: b"{" + b",".join([b'"model":"echo"', made[0], *made[1]]) + b"}")


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Make a request with corrupted bytes."""
    body = draw(nearly_right)
    at = draw(st.integers(0, len(body)))
    to = draw(st.integers(at, len(body)))
    return body[:at] + draw(st.binary(max_size=4) | odd) + body[to:]


bodies = st.one_of(
    nearly_right, nearly_right, nearly_right, broken(), st.binary(max_size=200), values
)
PATHS = ["/responses", "/v1/responses", "/invocations", "/echo/responses", "/echo/invocations"]
PATHS += ["/any/invocations", "/map/invocations", "/responses/compact", "/echo/responses/compact"]
cases = st.tuples(st.sampled_from(PATHS), bodies, st.integers(1, 3))


def chunked(body: bytes, count: int) -> list[bytes]:
    """Split a body into chunks."""
    size = len(body) // count + 1
    return [body[at : at + size] for at in range(0, len(body), size)] or [b""]


def frames(got: Got) -> list[dict[str, Any]]:
    """Check the framing of a stream; return its events."""
    assert got.body.endswith(b"data: [DONE]\n\n"), got.body[-200:]
    assert b"\r" not in got.body
    found = got.body.split(b"\n\n")[:-2]
    for each in found:
        *head, data = each.split(b"\n")
        assert data.startswith(b"data: "), each
        assert not head or (len(head) == 1 and head[0].startswith(b"event: ")), each
    return [event for each in found if (event := parse_frame(each)) is not None]


async def check(app: Any, case: tuple[str, bytes, int]) -> None:
    """Send a body; if it creates a stored response, read that back in every way."""
    path, body, count = case
    got = await call_app(app, "POST", path, chunks=chunked(body, count))
    if path in ("/any/invocations", "/map/invocations"):
        check_answer(got, (200, 400, 413))
        if got.header("content-type").startswith("text/event-stream"):
            frames(got)
        return
    answer = check_answer(got, (200, 400, 404, 409, 413))
    if answer is None:
        response = check_stream([each for each in frames(got) if "type" in each])
        assert response["status"] == "completed", response
    elif got.status == 200 and answer.get("store"):  # MLflow's short form has no `store`
        await check_stored(app, answer["id"])


async def check_stored(app: Any, id_: str) -> None:
    """Read a stored response as JSON, as a stream, and its input items."""
    await _at_rest(app, id_)
    got = await call_app(app, "GET", f"/responses/{id_}/input_items", b"order=asc")
    ids = [each["id"] for each in check_answer(got, (200,))["data"]]
    assert len(ids) == len(set(ids)), ids
    got = await call_app(app, "GET", f"/responses/{id_}", b"stream=true")
    check_answer(got, (200,))
    check_stream(frames(got))


async def _at_rest(app: Any, id_: str) -> None:
    check_answer(await call_app(app, "GET", f"/responses/{id_}"), (200,))


BODIES = Property("bodies", 10, cases, agents.app, check)
