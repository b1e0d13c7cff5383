"""Outputs of unusual types in every mode, and ends that are proper whatever a handler gives."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from markupsafe import Markup
from pydantic import SecretStr

from agent_asgi import AgentApp, AgentRouter, FunctionCall, FunctionCallOutput, Usage
from agent_asgi.testing import AgentClient
from tests.support.calling import Serve
from tests.support.stream_rules import TERMINAL, check_stream
from tests.support.websocket_client import connect, read, send

Json = dict[str, Any]
MODES = ["json", "stream", "background", "chat", "chat stream", "websocket"]
END: Json = {
    "output": [],
    "metadata": {"k": np.str_("v")},
    "usage": {"input_tokens": np.int64(1), "output_tokens": 2.5},
}
"""A response with odd values, as the last output of a handler."""


def agent(*outputs: Any) -> AgentApp:
    router = AgentRouter()

    @router.stream
    async def reply(request: Any) -> AsyncIterator[Any]:
        yield "so: "
        for output in outputs:
            yield output

    return AgentApp(router, store="memory://")


def final(app: AgentApp, mode: str, serve: Serve) -> Json:
    """Run the agent; return its response, or the error of a failed run, as the client sees it."""
    if mode == "websocket":
        with connect(serve(app)) as socket:
            send(socket, "hi")
            events = read(socket)
            return events[0] if events[0]["type"] == "error" else ended(events)
    return asyncio.run(_final(app, mode))


async def _final(app: AgentApp, mode: str) -> Json:
    body: Json = {"input": "hi", "stream": mode in ("stream", "background")}
    async with app.lifespan():
        client = AgentClient(app)
        if mode.startswith("chat"):
            messages = [{"role": "user", "content": "hi"}]
            body = {"messages": messages, "stream": mode == "chat stream"}
            answer = await client.post("/chat/completions", body)
            return _of_chat(answer.events() or [answer.json()])
        answer = await client.post("/responses", body | {"background": mode == "background"})
        if not answer.events():  # no stream was asked for, or it failed before its first event
            response: Json = answer.json()
            return response
        assert answer.body.endswith(b"data: [DONE]\n\n")
        return ended(answer.events())


def ended(events: list[Json]) -> Json:
    """Check that a stream ended properly; return its last response."""
    terminal = [event for event in events if event["type"] in TERMINAL]
    assert terminal == events[-1:]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response: Json = events[-1]["response"]
    return check_stream(events) if response["status"] == "completed" else response


def _of_chat(chunks: list[Json]) -> Json:
    """Return a response with the text of a completion, or its error."""
    if "error" in chunks[-1]:
        return {"status": "failed", "error": chunks[-1]["error"]}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    parts = [each.get("delta", each.get("message")) for c in chunks for each in c["choices"]]
    text = "".join(part.get("content") or "" for part in parts)
    content = [{"type": "output_text", "text": text}]
    return {"status": "completed", "output": [{"type": "message", "content": content}]}


def text_of(response: Json) -> str:
    parts = [part for item in response["output"] for part in item.get("content", ())]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("mode", MODES)
def test_texts_of_subclasses(mode: str, serve: Serve) -> None:
    outputs = [
        AIMessage("one ").text,
        Markup("<two> "),
        np.str_("three "),
        {"type": "response.output_text.delta", "delta": Markup("four")},
        END,
    ]
    response = final(agent(*outputs), mode, serve)
    assert response["status"] == "completed"
    assert text_of(response) == "so: one <two> three four"
    if not mode.startswith("chat"):
        assert response["usage"]["total_tokens"] == 3
        assert response["metadata"] == {"k": "v"}


@pytest.mark.parametrize("mode", [mode for mode in MODES if "chat" not in mode])
def test_odd_values_in_items(mode: str, serve: Serve) -> None:
    value = {np.int64(1): [np.float32(0.5), Path("/a"), SecretStr("hidden")], None: np.arange(2)}
    outputs = [
        FunctionCall(call_id="c", name=Markup("f"), arguments=value),
        FunctionCallOutput(call_id="c", output=value),
        {"type": "acme:thing", "id": "t", "value": value},
        {"type": "message", "content": [{"text": Markup("hi"), "annotations": [{"at": value}]}]},
    ]
    response = final(agent(*outputs), mode, serve)
    assert response["status"] == "completed"
    expected = {"1": [0.5, "/a", "**********"], "null": [0, 1]}
    written = json.dumps(response["output"]).replace('\\"', '"')
    assert "hidden" not in written
    (thing,) = [item for item in response["output"] if item["type"] == "acme:thing"]
    assert thing["value"] == expected
    part = response["output"][-1]["content"][0]
    assert (part["text"], part["annotations"]) == ("hi", [{"at": expected}])


def endless() -> Json:
    """A dict that contains itself."""
    value: Json = {"type": "acme:thing", "id": "t"}
    value["self"] = value
    return value


def changed_usage() -> Usage:
    """A usage that was broken after it had been made."""
    usage = Usage(input_tokens=1)
    usage.input_tokens = object()  # type: ignore[assignment]
    return usage


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "last",
    [
        lambda: {"type": "acme:thing", "id": "t", "value": object()},
        lambda: {"type": "acme:progress", "value": object()},
        lambda: {"output": [], "metadata": {"k": object()}},
        lambda: {"output": [], "usage": {"input_tokens": "many"}},
        lambda: {"type": "response.output_text.delta", "delta": 5},
        endless,
        changed_usage,
    ],
    ids=["item", "event", "metadata", "usage", "delta", "endless", "changed usage"],
)
def test_what_cannot_be_written_fails_the_run(
    last: Callable[[], Any], mode: str, serve: Serve
) -> None:
    response = final(agent(last()), mode, serve)
    assert response["error"]["code"] == "agent_error"


async def nothing() -> AsyncIterator[str]:
    return
    yield


async def by_coroutine(request: Any) -> Any:
    return await anext(nothing())


async def by_generator(request: Any) -> AsyncIterator[Any]:
    yield "so: "
    yield await anext(nothing())


async def by_returned_generator(request: Any) -> Any:
    return by_generator(request)


def by_function(request: Any) -> Any:
    return next(iter([]))


def by_sync_generator(request: Any) -> Iterator[Any]:
    yield "so: "
    yield next(iter([]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "handler",
    [by_coroutine, by_generator, by_returned_generator, by_function, by_sync_generator],
)
def test_an_exhausted_iterator_fails_the_run(handler: Any, mode: str, serve: Serve) -> None:
    router = AgentRouter()
    router.stream(handler)
    response = final(AgentApp(router, store="memory://"), mode, serve)
    assert response["error"]["code"] == "agent_error"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("handler", [by_coroutine, by_generator, by_function, by_sync_generator])
def test_an_exhausted_iterator_fails_a_json_agent(handler: Any, stream: bool) -> None:
    router = AgentRouter(protocol="json")
    router.stream(handler)
    router.invoke(handler)

    async def main() -> Json:
        app = AgentApp(router)
        async with app.lifespan():
            answer = await AgentClient(app).post("/invocations", {"stream": stream})
            chunk: Json = (answer.events() or [answer.json()])[-1]
            return chunk

    assert asyncio.run(main())["error"]["code"] == "agent_error"
