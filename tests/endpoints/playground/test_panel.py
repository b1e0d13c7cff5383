"""The side panel of the playground: settings, the trace's spans, and code that runs."""

import ast
import json
import subprocess
import sys
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, expect

from agent_asgi import AgentApp, AgentRouter, FunctionCall, FunctionCallOutput, ResponsesRequest
from agent_asgi.tracing import query
from tests.endpoints.playground.agents import Echo, Held, Serve
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.browsing import WIDTHS, Tab
from tests.support.traces import traces

SCHEMA = {"type": "object", "properties": {"answer": {"type": "number"}}}
TOOL = {"type": "function", "name": "look", "parameters": {}}


def traced(**options: Any) -> AgentRouter:
    """Return an agent that calls a tool of its own, traced as a span."""
    router = AgentRouter("traced", **options)

    @router.stream
    async def answer(request: ResponsesRequest) -> Any:
        call = FunctionCall("look_up", {"word": "sun"})
        yield call
        with mlflow.start_span("look_up", span_type="TOOL") as span:
            span.set_inputs({"word": "sun"})
            with mlflow.start_span("cache") as inner:
                inner.set_outputs("a miss")
            span.set_outputs("a star")
        with mlflow.start_span("think", span_type="LLM") as span:
            span.set_inputs({"prompt": "a star"})
        yield FunctionCallOutput(call.call_id, "a star")
        yield "The sun is a star."

    return router


def told(url: str, token: str | None = None) -> str:
    """Ask the agent; return the response's id."""
    reply = fetch(url, "POST", "/v1/responses", token, {"input": "x", "stream": False})
    id_: str = json.loads(reply.body)["id"]
    return id_


@pytest.mark.parametrize("width", WIDTHS)
def test_the_trace_is_a_tree_with_times(serve: Serve, browser: Browser, width: int) -> None:
    tab = Tab(browser, serve(AgentApp(traced(), playground=True, debug=True)), width)
    tab.ready()
    tab.ask("What is the sun?")
    tab.answered("The sun is a star.")
    tab.button("Trace").click()
    names = tab.panel.locator("ul.spans .name")
    expect(names).to_have_text(["answer", "look_up", "cache", "think"])
    tool = tab.panel.locator("ul.spans li", has_text="look_up").last
    tool.locator("summary").first.press("Enter")
    expect(tool).to_contain_text("word")
    expect(tool).to_contain_text("a star")
    expect(tool.locator("summary").first).to_contain_text("ms")
    tab.page.reload()  # the page may have been opened before MLflow was ready
    tab.button("Trace").click()
    expect(tab.panel).to_contain_text(f"mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}.")
    tab.close()


def test_a_trace_is_its_owners(serve: Serve) -> None:
    url = serve(AgentApp(traced(), playground=True, debug=True, authenticate=TOKENS))
    path = f"/playground/traces/{told(url, ANN)}"
    reply = fetch(url, "GET", path, ANN)
    assert reply.status == 200
    (root,) = json.loads(reply.body)["spans"]
    assert [each["name"] for each in root["children"]] == ["look_up", "think"]
    assert root["children"][0]["inputs"] == {"word": "sun"}
    assert root["start"] == 0 <= root["children"][0]["start"] <= root["duration"]
    assert fetch(url, "GET", path, BOB).error["code"] == "response_not_found"
    assert fetch(url, "GET", path).status == 401


def test_there_is_no_trace_without_debug_or_for_an_unknown_response(serve: Serve) -> None:
    url = serve(AgentApp(traced(), playground=True))
    assert fetch(url, "GET", f"/playground/traces/{told(url)}").error["code"] == "trace_not_found"
    url = serve(AgentApp(traced(), playground=True, debug=True))
    assert fetch(url, "GET", "/playground/traces/resp_no").error["code"] == "response_not_found"


def test_a_trace_that_was_deleted_is_not_there(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(AgentApp(traced(), playground=True, debug=True))
    id_ = told(url)
    (trace,) = traces(response_id=id_)
    MlflowClient().delete_traces(trace.info.experiment_id, trace_ids=[trace.info.trace_id])
    monkeypatch.setattr(query, "GRACE_SECONDS", 0.1)
    assert fetch(url, "GET", f"/playground/traces/{id_}").error["code"] == "trace_not_found"


def test_an_untraced_response_has_no_trace(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    url = serve(AgentApp(traced(), playground=True, debug=True))
    assert fetch(url, "GET", f"/playground/traces/{told(url)}").error["code"] == "trace_not_found"


def test_hidden_tools_are_left_out_of_the_trace(serve: Serve) -> None:
    url = serve(AgentApp(traced(own_tools="hidden"), playground=True, debug=True))
    reply = fetch(url, "GET", f"/playground/traces/{told(url)}")
    (root,) = json.loads(reply.body)["spans"]
    assert [each["name"] for each in root["children"]] == ["think"]
    assert root["inputs"] == {"input": "x", "stream": False}
    assert b"a star" not in reply.body
    assert b"look_up" not in reply.body


def test_settings_are_in_the_requests(serve: Serve, browser: Browser) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.panel.get_by_label("Instructions").fill("Be brief.")
    tab.panel.get_by_label("Temperature").fill("3")
    expect(tab.panel.get_by_text("A number from 0 to 2.")).to_be_visible()
    tab.ask("one")
    expect(tab.panel.get_by_label("Temperature")).to_be_focused()
    expect(tab.message).to_have_value("one")
    tab.panel.get_by_label("Temperature").fill("0.5")
    tab.panel.get_by_label("Tools (JSON)").fill(json.dumps([TOOL]))
    tab.panel.get_by_label("Output schema (JSON)").fill("{")
    expect(tab.panel.get_by_text("A JSON schema: an object.")).to_be_visible()
    tab.panel.get_by_label("Output schema (JSON)").fill(json.dumps(SCHEMA))
    tab.panel.get_by_label("Metadata (JSON)").fill('{"topic": "test"}')
    tab.page.reload()
    tab.ready()
    tab.ask("one")
    tab.answered("[one]")
    body = agent.bodies[-1]
    assert (body["instructions"], body["temperature"]) == ("Be brief.", 0.5)
    assert (body["tools"], body["metadata"]) == ([TOOL], {"topic": "test"})
    assert body["text"]["format"] == {"type": "json_schema", "name": "output", "schema": SCHEMA}
    tab.panel.get_by_role("button", name="Reset").click()
    tab.ask("two")
    tab.answered("[two]")
    assert agent.bodies[-1].keys() == {"model", "input", "previous_response_id", "stream"}
    tab.close()


def test_the_code_of_a_turn_sends_its_request(serve: Serve, browser: Browser) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.panel.get_by_label("Instructions").fill('Don\'t "quote".\nTwo lines.')
    tab.panel.get_by_label("Metadata (JSON)").fill('{"a": "$HOME"}')
    tab.ask("it's one")
    tab.answered("[it's one]")
    sent = agent.bodies[-1]
    tab.panel.get_by_role("tab", name="Code").click()
    curl, python, javascript = tab.panel.locator(".snippets pre").all_inner_texts()
    ast.parse(python)
    for command in (["sh", "-c", curl], [sys.executable, "-c", python]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "[it's one]" in done.stdout
        assert {**agent.bodies[-1], "stream": True} == sent
    assert 'import OpenAI from "openai"' in javascript
    literal = javascript.partition("responses.create(")[2].partition(");\nfor await")[0]
    assert json.loads(literal) == sent
    tab.close()


def test_a_turn_is_picked_for_the_panel(serve: Serve, browser: Browser) -> None:
    agent = Held()
    agent.go.set()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.panel.get_by_role("tab", name="Code").click()
    expect(tab.panel.get_by_text("Nothing has been asked yet.")).to_be_visible()
    for text in ("one", "two"):
        tab.ask(text)
        tab.answered("Begun, and ended.")
    expect(tab.panel.locator("pre").first).to_contain_text('"two"')
    tab.turns.first.get_by_role("button", name="Events").click()
    expect(tab.turns.first).to_have_class("turn selected")
    tab.panel.get_by_role("tab", name="Events").press("ArrowRight")
    expect(tab.panel.locator("pre").first).to_contain_text('"one"')
    expect(tab.panel.get_by_role("tab", name="Code")).to_be_focused()
    tab.ask("three")
    tab.answered("Begun, and ended.")
    expect(tab.panel.locator("pre").first).to_contain_text('"three"')
    tab.close()
