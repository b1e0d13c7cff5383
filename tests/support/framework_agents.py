"""Helpers for tests of adapters: a served agent, called the way its real clients call it."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import openai
import pytest

from agent_asgi import AgentApp, AgentRouter
from tests.support import calling

Json = dict[str, Any]
Serve = Callable[[Any], str]


def streamed(
    url: str, input: Any, **body: Any
) -> tuple[list[Any], openai.types.responses.Response]:
    """Ask through the accumulating helper; return its events and the response it builds."""
    with (
        calling.connect(url, timeout=20) as client,
        client.responses.stream(model="agent", input=input, **body) as stream,
    ):
        return list(stream), stream.get_final_response()


def deltas(events: list[Any], kind: str = "output_text") -> list[str]:
    """Return the deltas of a kind."""
    return [each.delta for each in events if each.type == f"response.{kind}.delta"]


def chatted(url: str, *said: str) -> list[Json]:
    """Ask as Databricks' chat app does, with its checks; return the items of the stream."""
    body = {
        "input": [{"role": "user", "content": each} for each in said],
        "stream": True,
        "context": {"conversation_id": "c1", "user_id": "u1"},
        "databricks_options": {"return_trace": True},
    }
    headers = {"content-type": "application/json", "x-mlflow-return-trace-id": "true"}
    request = urllib.request.Request(f"{url}/invocations", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        events = calling.events_of(answer.read())
    assert isinstance(events[-1]["trace_id"], str)
    assert not [each for each in events if "error" in each]
    items: list[Json] = [
        each["item"] for each in events if each.get("type") == "response.output_item.done"
    ]
    assert len({each["id"] for each in items}) == len(items)
    calls: set[str] = set()
    for each in items:
        if each["type"] == "function_call":
            calls.add(each["call_id"])
        assert each["type"] != "function_call_output" or each["call_id"] in calls
        assert each["type"] != "reasoning" or "summary" in each
    return items


def three_turns(serve: Serve, router: AgentRouter, **body: Any) -> list[str]:
    """Ask three times, each time continuing from the previous answer; return the answers."""
    answers: list[str] = []
    with calling.connect(serve(AgentApp(router, store="memory://")), timeout=20) as client:
        previous: str | None = None
        for said in ("one", "two", "three"):
            answer = client.responses.create(input=said, previous_response_id=previous, **body)
            previous = answer.id
            answers.append(answer.output_text)
    return answers


def failure(serve: Serve, router: AgentRouter, input: Any = "x") -> Json:
    """Ask for a JSON answer and for a stream; return the error that both report."""
    with calling.connect(serve(AgentApp(router))) as client:
        with pytest.raises(openai.APIError) as streaming:
            list(client.responses.create(input=input, stream=True))
        with pytest.raises(openai.APIStatusError) as raised:
            client.responses.create(input=input)
    told: Any = raised.value.body
    assert streaming.value.code == told["code"]
    assert raised.value.response.headers["x-should-retry"] == "false"
    return dict(told)
