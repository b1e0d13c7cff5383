"""Human in the loop: results of the client's tools, and approvals, by forms."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
)
from tests.endpoints.playground.agents import Serve
from tests.support.browsing import WAIT, WIDTHS, Tab
from tests.support.calling import until

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
OUTPUT = {
    "type": "object",
    "required": ["degrees", "sky"],
    "properties": {
        "degrees": {"type": "integer", "minimum": -90},
        "sky": {"enum": ["clear", "cloudy"]},
        "windy": {"type": "boolean"},
        "note": {"type": "string"},
        "place": {"$ref": "#/$defs/place"},
        "tags": {"type": "array"},
    },
    "$defs": {"place": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def forecaster() -> AgentRouter:
    """Return an agent that asks for the weather of two cities, and repeats what it is told."""
    router = AgentRouter("forecaster")

    @router.stream
    async def forecast(request: ResponsesRequest) -> AsyncIterator[Any]:
        outputs = [each for each in request.new_input if isinstance(each, FunctionCallOutput)]
        if outputs:
            yield " and ".join(str(each.output) for each in outputs)
            return
        for city in request.input_text.split():
            yield FunctionCall("get_weather", {"city": city}, client=True)

    return router


@pytest.mark.parametrize("width", WIDTHS)
def test_the_results_of_several_calls_go_together(
    serve: Serve, browser: Browser, width: int
) -> None:
    tab = Tab(browser, serve(AgentApp(forecaster(), playground=True, single_user=True)), width)
    tab.ready()
    tab.ask("Oslo Rome")
    fields = tab.page.get_by_label("Result of get_weather")
    expect(fields).to_have_count(2)
    fields.first.fill("5 degrees")
    tab.page.get_by_role("button", name="Send result").first.click()
    expect(fields).to_have_count(1)
    expect(tab.turns).to_have_count(1)
    fields.fill("20 degrees")
    tab.page.get_by_role("button", name="Send result").click()
    expect(tab.turns).to_have_count(2)
    tab.answered("5 degrees and 20 degrees")
    expect(tab.page.locator(".question").last).to_have_text("Result: 5 degrees\nResult: 20 degrees")
    expect(tab.turns.first.locator("details.call .state").first).to_have_text("answered")
    expect(tab.page.locator("form.reply")).to_have_count(0)
    tab.page.reload()
    expect(tab.turns.first.locator("details.call .state").last).to_have_text("answered")
    assert not tab.overflows()
    tab.close()


def test_a_result_is_filled_in_by_its_schema(serve: Serve, browser: Browser) -> None:
    tools = [
        {
            "type": "function",
            "name": "get_weather",
            "parameters": PARAMETERS,
            "output_schema": OUTPUT,
        }
    ]
    tab = Tab(browser, serve(AgentApp(forecaster(), playground=True)))
    tab.ready()
    tab.panel.get_by_label("Tools (JSON)").fill(json.dumps(tools))
    tab.ask("Oslo")
    form = tab.page.locator("form.reply")
    form.get_by_role("button", name="Send result").click()
    expect(form.get_by_role("alert")).to_contain_text("degrees")
    form.get_by_label("degrees").fill("-7")
    form.get_by_label("sky").select_option("cloudy")
    form.get_by_label("windy").check()
    form.get_by_role("group", name="place").get_by_label("name").fill("Oslo")
    form.get_by_label("tags").fill("[1")
    form.get_by_role("button", name="Send result").click()
    expect(form.get_by_role("alert")).to_have_text("tags: this is not JSON.")
    form.get_by_label("tags").fill("[1]")
    form.get_by_role("button", name="Send result").click()
    expected = {"degrees": -7, "sky": "cloudy", "windy": True, "place": {"name": "Oslo"}}
    tab.answered("Structured output")
    told = tab.turns.last.locator(".structured pre").evaluate("node => node.textContent")
    assert json.loads(told) == {**expected, "tags": [1]}

    tab.ask("Rome")
    form.get_by_label("degrees").fill("1")
    form.get_by_role("button", name="Edit as JSON").click()
    assert json.loads(form.get_by_label("JSON").input_value()) == {
        "degrees": 1,
        "sky": "clear",
        "windy": False,
    }
    form.get_by_label("JSON").fill('"warm"')
    form.get_by_role("button", name="Send result").click()
    tab.answered("warm")
    tab.close()


def test_a_call_whose_run_has_ended_gets_no_result(serve: Serve, browser: Browser) -> None:
    router = AgentRouter("failing")

    @router.stream
    async def fail(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield FunctionCall("look", {"at": "the sky"})
        raise RuntimeError("It is night.")

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Look.")
    expect(tab.turns.last.locator(".state")).to_have_text("no result")
    tab.close()


class Deleter:
    """An agent that asks before it deletes a file.

    Attributes:
        answers: The answers that it got.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[bool, str | None, Any]] = []
        self.router = AgentRouter("deleter")
        self.router.invoke(self._answer)

    async def _answer(self, request: ResponsesRequest, context: Context) -> Any:
        for answer in context.approvals:
            self.answers.append((answer.approve, answer.reason, answer.arguments))
            return "Deleted." if answer.approve else "Kept."
        return ApprovalRequest("delete_file", {"path": "report.txt", "times": 1})


@pytest.mark.parametrize("single_user", [False, True])
def test_an_approval_is_given_or_refused(serve: Serve, browser: Browser, single_user: bool) -> None:
    agent = Deleter()
    url = serve(AgentApp(agent.router, playground=True, single_user=single_user))
    tab = Tab(browser, url)
    tab.ready()
    tab.ask("Delete it.")
    tab.answered("needs approval")
    expect(tab.page.locator("#status")).to_have_text("Waits for your answer")
    expect(tab.turns.last.locator(".name")).to_have_text("delete_file")
    arguments = '{\n  "path": "report.txt",\n  "times": 1\n}'
    expect(tab.page.get_by_label("Arguments", exact=True)).to_have_text(arguments)
    tab.page.reload()
    tab.page.get_by_label("Reason").fill("I need it.")
    tab.button("Reject").click()
    tab.answered("Kept.")
    expect(tab.page.locator(".question").last).to_have_text("Rejected: I need it.")
    expect(tab.turns.first.locator(".state")).to_have_text("rejected: I need it.")
    expect(tab.page.locator("#status")).to_have_text("Done")

    tab.ask("Delete it.")
    tab.button("Edit the arguments").click()
    tab.page.get_by_label("path").fill("old.txt")
    tab.button("Approve").click()
    tab.answered("Deleted.")
    assert agent.answers == [
        (False, "I need it.", None),
        (True, None, {"path": "old.txt", "times": 1}),
    ]
    for _ in range(2):
        expect(tab.page.locator(".question").last).to_have_text("Approved with changes")
        expect(tab.turns.nth(2).locator(".state")).to_have_text("approved with changes")
        expect(tab.turns.nth(2).locator(".given")).to_have_text('{"path":"old.txt","times":1}')
        expect(tab.turns.nth(2).get_by_label("Arguments")).to_contain_text("old.txt")
        tab.page.reload()

    tab.ask("Delete it.")
    tab.answered("needs approval")
    tab.ask("Never mind.")
    expect(tab.page.locator("form.reply")).to_have_count(1)
    expect(tab.turns.nth(4).locator(".state")).to_have_text("not answered")
    tab.button("Approve").press("Enter")
    until(lambda: len(agent.answers) == 3)
    assert agent.answers[-1] == (True, None, None)
    expect(tab.turns.last).to_contain_text("Deleted.", timeout=WAIT)
    tab.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_traceback_is_monospaced_and_scrolls_by_itself(
    serve: Serve, browser: Browser, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_asgi.config.development", True)
    router = AgentRouter("faulty")

    @router.invoke
    async def fail(request: ResponsesRequest) -> str:
        long = {"a name that is long enough to leave a narrow window": request.input_text * 30}
        raise ValueError(f"No such thing: {long}")

    tab = Tab(browser, serve(AgentApp(router, playground=True, debug=True)), width)
    tab.ready()
    tab.ask("A word.")
    shown = tab.page.get_by_role("alert").locator("pre")
    expect(shown).to_contain_text("raise ValueError", timeout=WAIT)
    expect(tab.page.get_by_role("alert").locator("span")).to_contain_text("ValueError: No such")
    assert "monospace" in shown.evaluate("node => getComputedStyle(node).fontFamily")
    assert shown.evaluate("node => getComputedStyle(node).overflowX") == "auto"
    assert not tab.overflows()
    tab.close("status of 500")
