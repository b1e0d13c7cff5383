"""A caller's baggage: parsed, offered to handlers, and passed on only if the app says so."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from agent_asgi import AgentApp, AgentRouter, Context, get_context
from agent_asgi.baggage import MAX_BYTES, MAX_ENTRIES, parse
from agent_asgi.testing import AgentClient
from tests.support.apps import ask, started
from tests.support.traces import traces

HEADER = {"baggage": "tenant=a%20b;p=1, region=eu"}
ENTRIES = {"tenant": "a b", "region": "eu"}


@pytest.mark.parametrize(
    ("header", "entries"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 ;p=2;q , b=%C3%A4,", {"a": "1", "b": "ä"}),
        ("a=1,a=2", {"a": "2"}),
        ("a==,b=x=y", {"a": "=", "b": "x=y"}),
        ("a=", {"a": ""}),
        ('a,=b,c d=1,e=f g,h="1",i=1', {"i": "1"}),
        ("a=%FF,b=%", {"a": "\N{REPLACEMENT CHARACTER}", "b": "%"}),
        ("a=" + "x" * (MAX_BYTES - 2), {"a": "x" * (MAX_BYTES - 2)}),
        ("a=" + "x" * (MAX_BYTES - 1), {}),
        (
            ",".join(f"k{n}=1" for n in range(MAX_ENTRIES + 9)),
            {f"k{n}": "1" for n in range(MAX_ENTRIES)},
        ),
    ],
)
def test_header(header: str, entries: dict[str, str]) -> None:
    assert parse(header) == entries


@given(st.text(max_size=200))
def test_any_text_parses(header: str) -> None:
    for name, value in parse(header).items():
        assert name.isascii()
        assert isinstance(value, str)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text('aä ,;=%"', max_size=9))
)
def test_what_opentelemetry_sends_is_understood(entries: dict[str, str]) -> None:
    context, carrier = None, dict[str, str]()
    for name, value in entries.items():
        context = otel.set_baggage(name, value, context)
    W3CBaggagePropagator().inject(carrier, context)
    received = {
        name: value.replace("+", " ") for name, value in parse(carrier.get("baggage", "")).items()
    }
    assert received == (entries if context is not None else {})


def test_white_space_takes_linear_time() -> None:
    began = time.process_time()
    for number in range(20):
        assert parse("a=" + "\t" * (8_000 - number) + '"') == {}
    assert time.process_time() - began < 5  # it was a second each


def test_a_header_is_parsed_once() -> None:
    assert parse("tenant=acme") is parse("tenant=acme")


def test_entries_are_read_only() -> None:
    with pytest.raises(TypeError):
        parse("a=1")["a"] = "2"  # type: ignore[index]  # that it fails is the test
    with pytest.raises(TypeError):
        parse("")["a"] = "2"  # type: ignore[index]  # that it fails is the test


@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize("kind", ["async", "thread", "background"])
def test_handler_has_it_and_opentelemetry_only_if_the_app_says_so(kind: str, passes: bool) -> None:
    router, seen = AgentRouter(f"t-baggage-{kind}-{passes}"), list[Any]()

    async def handler(context: Context) -> AsyncIterator[str]:
        await asyncio.sleep(0.001)
        seen.append((dict(context.baggage), dict(otel.get_all())))
        yield "x"

    def in_thread() -> Iterator[str]:
        seen.append((dict(get_context().baggage), dict(otel.get_all())))
        yield "x"

    router.stream(in_thread if kind == "thread" else handler)
    app = AgentApp(router, continue_trace=passes)

    async def main() -> None:
        async with started(app):
            client = AgentClient(app)
            body = {"input": "x", "background": kind == "background"}
            first = await client.post("/responses", body, headers=HEADER)
            while (await client.get(f"/responses/{first.json()['id']}")).json()["status"] not in (
                "completed",
                "failed",
            ):
                await asyncio.sleep(0.01)
            await client.post("/responses", {"input": "x"})  # has none, nor the first one's

    asyncio.run(asyncio.wait_for(main(), 30))
    assert seen == [(ENTRIES, ENTRIES if passes else {}), ({}, {})]
    assert otel.get_all() == {}


def test_other_processes_have_it_too(postgres: str) -> None:
    """With PostgreSQL a background run has just the headers that were stored with it."""
    router, seen = AgentRouter("t-baggage-stored"), list[Context]()

    @router.stream
    async def handler(context: Context) -> AsyncIterator[str]:
        seen.append(context)
        yield "x"

    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = [
        {**HEADER, "traceparent": caller, "x-other": "o"},
        {"baggage": "a=" + "x" * MAX_BYTES},
    ]

    async def main() -> None:
        async with started(AgentApp(router, store=postgres)) as app:
            for headers in sent:
                body = {"input": "x", "background": True}
                await AgentClient(app).post("/responses", body, headers=headers)
            while len(seen) < len(sent):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 60))
    first, second = sorted(seen, key=lambda context: len(context.baggage), reverse=True)
    assert dict(first.headers) == {**HEADER, "traceparent": caller}
    assert (first.baggage, dict(second.headers)) == (ENTRIES, {})
    linked = [trace for trace in traces(agent="t-baggage-stored") if trace.data.spans[0].links]
    assert [trace.info.tags["agent_asgi.traceparent"] for trace in linked] == [caller]


@pytest.mark.parametrize("user", [None, "ann"])
def test_spans_have_the_entries_that_the_app_names(user: str | None) -> None:
    """What a caller claims of the user does not count if the user is known."""
    router = AgentRouter(f"t-baggage-spans-{user}")

    @router.invoke
    async def handler() -> str:
        with mlflow.start_span("below"):
            return "x"

    app = AgentApp(router, span_baggage=["tenant", "absent", "user.id"])
    header = {"baggage": "tenant=t,region=eu,user.id=claimed"}
    ask(app, "/responses", {"input": "x"} | ({"user": user} if user else {}), header)
    (trace,) = traces(agent=router.name)
    assert len(trace.data.spans) == 2
    for span in trace.data.spans:
        assert span.attributes["tenant"] == "t"
        assert span.attributes["user.id"] == (user or "claimed")
        assert not {"region", "absent"} & set(span.attributes)


def test_names_of_entries_are_no_str() -> None:
    with pytest.raises(ValueError, match="span_baggage must be a list of texts"):
        AgentApp(AgentRouter(), span_baggage="tenant")
