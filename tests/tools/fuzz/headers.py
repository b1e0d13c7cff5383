"""Headers, paths and queries."""

import json
import re
from typing import Any

from hypothesis import strategies as st

from tests.support.stream_rules import check_stream
from tests.tools.fuzz import agents
from tests.tools.fuzz.bodies import check_stored, frames
from tests.tools.fuzz.harness import Property, call_app, check_answer

NAMES = [
    *(b"content-length", b"content-type", b"traceparent", b"tracestate", b"x-session-id"),
    *(b"idempotency-key", b"x-request-id", b"x-mlflow-return-trace-id", b"x-kept", b"accept"),
    *(b"authorization", b"cookie", b"host", b"transfer-encoding", b"expect", b"baggage", b"range"),
]
VALUES = [
    *(b"", b" ", b"-1", b"0", b"1", b"1e3", b"+5", b"\xb2", b"9" * 30, b"9" * 5000, b"70000"),
    *(b"true", b"TRUE", b"key", b"chunked", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
    *(b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"x" * 5000, b"\xff\xfe", b"\xc3\x28"),
    *(b"text/event-stream", b"Bearer x", b"100-continue", b"application/json; charset=utf-16"),
]
allowed = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0"))
names = st.sampled_from(NAMES) | st.from_regex(rb"[a-z!#$%&'*+.^_`|~-]{1,20}", fullmatch=True)
headers = st.lists(
    st.tuples(names, st.integers(0, len(VALUES) - 1).map(VALUES.__getitem__) | allowed), max_size=6
)
BODIES: list[dict[str, Any]] = [
    {"input": "hi"},
    {"input": "hi", "stream": True},
    {"input": "hi", "background": True},
    {"input": "hi", "store": False, "stream": True},
]


async def check_headers(app: Any, case: tuple[list[tuple[bytes, bytes]], dict[str, Any]]) -> None:
    """Send a valid request with headers that may be invalid."""
    given, body = case
    got = await call_app(
        app, "POST", "/echo/responses", headers=given, chunks=[json.dumps(body).encode()]
    )
    is_long = any(name == b"idempotency-key" and len(value) > 512 for name, value in given)
    check_answer(got, (200, 409, 413, 400) if is_long else (200, 409, 413))
    ids = [value for name, value in given if name == b"x-request-id"]
    taken = [value for value in ids if re.fullmatch(rb"[!-~]{1,200}", value)]
    found = got.header("x-request-id")
    assert found.encode() == taken[0] if taken else re.fullmatch(r"req_\w+", found)
    if got.status == 200 and got.header("content-type").startswith("text/event-stream"):
        check_stream(frames(got))


HEADERS = Property(
    "headers", 16, st.tuples(headers, st.sampled_from(BODIES)), agents.app, check_headers
)

SEGMENTS = ["responses", "v1", "invocations", "echo", "other", "any", "models", "agent", "info"]
SEGMENTS += ["compact", "input_tokens", "cancel", "input_items", "health", "ready", "ping", "docs"]
SEGMENTS += ["openapi.json", "", ".", "..", "%00", "%2e%2e", "%2F", "%ff", "%", "%zz", "{id}", "*"]
SEGMENTS += ["ID", "ID", "ID", "a" * 3000, "%F0%9F%92%A9", "resp_1", ";a=b", "~", "%0d%0aa:b"]
segments = st.integers(0, len(SEGMENTS) - 1).map(SEGMENTS.__getitem__) | st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#"), max_size=8
)
ROUTES = ["responses/ID", "responses/ID/input_items", "v1/responses/ID/cancel", "models/ID"]
targets = st.one_of(
    st.lists(segments, max_size=5).map("/".join),
    st.sampled_from(ROUTES),
    st.sampled_from(ROUTES).flatmap(lambda at: segments.map(lambda one: at.replace("ID", one))),
).map("/".__add__)
QUERY = [b"stream", b"starting_after", b"limit", b"order", b"after", b"include", b"x", b""]
GIVEN = [
    b"true",
    b"false",
    b"True",
    b"1",
    b"-1",
    b"0",
    b"100",
    b"101",
    b"2147483647",
    b"asc",
    b"desc",
]
GIVEN += [
    b"2147483648",
    b"9" * 20,
    b"9" * 5000,
    b"%F1",
    b"%",
    b"%00",
    b"\xff",
    b"1.0",
    b"+1",
    b"\xb2",
]
pairs = st.tuples(
    st.sampled_from(QUERY),
    st.integers(0, len(GIVEN) - 1).map(GIVEN.__getitem__) | st.binary(max_size=8),
).map(b"=".join)
queries = st.lists(pairs, max_size=4).map(b"&".join) | st.binary(max_size=20)
METHODS = [
    "GET",
    "GET",
    "GET",
    "POST",
    "DELETE",
    "HEAD",
    "PUT",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "get",
    "X",
]
paths = st.tuples(st.sampled_from(METHODS), targets, queries)


async def check_paths(app: Any, case: tuple[str, str, bytes]) -> None:
    """Send any method to any path; `ID` stands for an existing response."""
    method, target, query = case
    if "ID" in target:
        body = json.dumps({"input": "hi"}).encode()
        made = await call_app(app, "POST", "/echo/responses", chunks=[body])
        id_ = check_answer(made, (200,))["id"]
        target = target.replace("ID", id_)
    got = await call_app(app, method, target, query, chunks=[b'{"input":"hi","model":"echo"}'])
    busy = (503,) if "ready" in target else ()
    check_answer(got, (200, 400, 403, 404, 405, *busy))  # 403: lists are the user's
    if got.status == 200 and method != "HEAD" and "event-stream" in got.header("content-type"):
        frames(got)
    if "ID" in case[1] and method not in ("DELETE", "POST"):
        await check_stored(app, id_)


PATHS = Property("paths and queries", 11, paths, agents.app, check_paths)
