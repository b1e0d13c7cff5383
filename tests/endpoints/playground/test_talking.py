"""Talk to agents in the playground, in a real Chromium: step by step, stopped, reloaded."""

import json

import calculator
import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest
from tests.endpoints.playground.agents import REFUSED, Held, Serve, saying
from tests.support.asking import ANN, TOKENS, WRONG, fetch
from tests.support.browsing import WAIT, WIDTHS, Tab
from tests.support.calling import until
from tests.support.traces import traces


@pytest.mark.parametrize("width", WIDTHS)
def test_a_conversation_step_by_step(serve: Serve, browser: Browser, width: int) -> None:
    tab = Tab(browser, serve(calculator.app), width)
    tab.ready()
    expect(tab.page).to_have_title("calculator · Playground")
    expect(tab.page.get_by_role("heading", name="Ask calculator")).to_be_visible()
    expect(tab.page.get_by_text("Answers arithmetic")).to_be_visible()
    expect(tab.message).to_be_focused()
    expect(tab.page.get_by_role("combobox", name="Agent")).to_have_value("calculator")

    tab.message.press_sequentially("What is")
    tab.message.press("Shift+Enter")
    expect(tab.turns).to_have_count(0)
    tab.message.press_sequentially("12 * (3 + 4)?")
    tab.message.press("Enter")
    tab.answered("The answer is 84.")
    expect(tab.page.locator(".question")).to_have_text("What is\n12 * (3 + 4)?")
    expect(tab.message).to_be_focused()
    expect(tab.message).to_have_value("")

    see_reasoning_and_tools(tab)
    see_events(tab)
    first = tab.turn_id()
    see_trace(tab, first)
    give_feedback(tab, first)

    tab.ask("and times 2?")
    tab.answered("The answer is 168.")
    before = tab.turn_id()
    tab.button("Retry").click()
    expect(tab.message).to_be_focused()
    until(tab.turn_id, lambda id_: id_ not in (first, before))
    tab.answered("The answer is 168.")
    expect(tab.turns).to_have_count(2)

    told = tab.page.locator(".message > .text").all_inner_texts()
    assert not tab.overflows()
    tab.page.reload()
    expect(tab.page.locator(".answer").last).to_contain_text("The answer is 168.")
    expect(tab.page.locator(".answer").first).to_contain_text("The answer is 84.")
    assert tab.page.locator(".message > .text").all_inner_texts() == told
    expect(tab.page.get_by_role("button", name="Bad answer").first).to_have_attribute(
        "aria-pressed", "true"
    )
    tab.ask("and minus 1?")
    tab.answered("The answer is 167.")

    tab.button("New conversation").click()
    expect(tab.turns).to_have_count(0)
    expect(tab.message).to_be_focused()
    tab.ask("and times 2?")
    tab.answered("I can do arithmetic")
    tab.close()


def see_reasoning_and_tools(tab: Tab) -> None:
    """Open the reasoning and a tool call with the keyboard."""
    reasoning = tab.page.get_by_text("I work it out one operation at a time.")
    expect(reasoning).to_be_hidden()
    tab.page.get_by_text("Reasoning", exact=True).press("Enter")
    expect(reasoning).to_be_visible()
    call = tab.page.locator("details.call").first
    expect(call.locator("summary")).to_contain_text("calculate")
    expect(call.get_by_label("Arguments")).to_be_hidden()
    call.locator("summary").press("Enter")
    expect(call.get_by_label("Arguments")).to_have_text('{\n  "expression": "3 + 4"\n}')
    expect(call.get_by_label("Result")).to_have_text("7")


def see_events(tab: Tab) -> None:
    """Open the events; they are everything the server sent, those of one type together."""
    tab.button("Events").click()
    names = tab.panel.locator(".events summary .name")
    expect(names.first).to_have_text("response.created")
    expect(names.last).to_have_text("response.completed")
    deltas = tab.panel.locator(".events details", has_text="response.output_text.delta")
    expect(deltas.locator("summary").first).to_contain_text("×")
    deltas.first.locator("summary").first.press("Enter")
    expect(deltas.first.locator(".event").first).to_contain_text("sequence_number")
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.panel.get_by_role("button", name="Copy as JSON lines").click()
    expect(tab.panel.get_by_role("button", name="Copied")).to_be_visible()
    lines = tab.page.evaluate("navigator.clipboard.readText()").split("\n")
    events = [json.loads(line) for line in lines]
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    tab.leave_panel()


def see_trace(tab: Tab, response_id: str) -> None:
    """Open the trace; it names the trace in MLflow."""
    (trace,) = traces(response_id=response_id)
    tab.button("Trace").click()
    expect(tab.panel).to_contain_text(trace.info.trace_id)
    expect(tab.panel).to_contain_text("mlflow ui --backend-store-uri …")
    tab.panel.get_by_role("button", name="Copy").click()
    expect(tab.panel.get_by_role("button", name="Copied")).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == trace.info.trace_id
    tab.leave_panel()


def give_feedback(tab: Tab, response_id: str) -> None:
    """Rate the answer as bad, with a comment; MLflow has both on the trace."""
    tab.button("Bad answer").click()
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true", timeout=WAIT)
    tab.page.get_by_label("Comment on the answer").fill("Too many steps.")
    tab.button("Add comment").click()
    expect(tab.page.get_by_text("Comment saved")).to_be_visible(timeout=WAIT)
    expect(tab.button("Bad answer")).to_be_focused()
    (trace,) = traces(response_id=response_id)
    (kept,) = trace.info.assessments
    assert (kept.name, kept.value, kept.rationale) == ("user_feedback", False, "Too many steps.")
    assert (kept.source.source_type, kept.source.source_id) == ("HUMAN", "anonymous")


@pytest.mark.parametrize("background", [False, True])
def test_text_streams_and_is_stopped(serve: Serve, browser: Browser, background: bool) -> None:
    agent = Held()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    if background:
        tab.page.get_by_label("Run in the background").press("Space")
    for way in ("by key", "by button"):
        tab.ask(f"Wait for a stop {way}.")
        expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
        expect(tab.turns.last).to_have_attribute("aria-busy", "true")
        expect(tab.page.get_by_text("Answering…")).to_be_visible()
        if way == "by key":
            tab.message.press("Escape")
        else:
            tab.button("Stop").click()
        expect(tab.turns.last).to_contain_text("does not continue from here", timeout=WAIT)
        expect(tab.button("Send")).to_be_visible()
        expect(tab.message).to_be_focused()
    expected = "client_cancelled" if background else "client_disconnected"
    assert agent.causes == [expected, expected]
    agent.go.set()
    tab.ask("Go on.")
    tab.answered("Begun, and ended.")
    assert agent.inputs[-1] == "Go on."
    tab.close()


def test_a_background_run_outlives_a_reload(serve: Serve, browser: Browser) -> None:
    agent = Held()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.page.get_by_label("Run in the background").check()
    tab.ask("Wait.")
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    tab.page.reload()
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    expect(tab.turns.last).to_have_attribute("aria-busy", "true")
    expect(tab.page.get_by_label("Run in the background")).to_be_checked()
    agent.go.set()
    tab.answered("Begun, and ended.")
    assert len(agent.inputs) == 1
    expect(tab.button("Good answer")).to_be_visible()
    tab.close()


def test_a_reload_tells_what_the_server_does_not_have(serve: Serve, browser: Browser) -> None:
    agent = Held()
    url = serve(AgentApp(agent.router, playground=True))
    tab = Tab(browser, url)
    tab.ready()
    tab.ask("Wait.")
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    tab.page.reload()
    expect(tab.turns.last).to_contain_text("does not continue from here")
    assert agent.causes == ["client_disconnected"]
    agent.go.set()
    tab.ask("Again.")
    tab.answered("Begun, and ended.")
    assert agent.inputs[-1] == "Again."
    assert fetch(url, "DELETE", f"/responses/{tab.turn_id()}").status == 200
    tab.page.reload()
    expect(tab.turns.last).to_contain_text("The server does not have this answer.")
    expect(tab.button("Send")).to_be_enabled()
    tab.close(REFUSED)


def test_a_lost_connection_goes_on_after_the_last_event(serve: Serve, browser: Browser) -> None:
    agent, asked = Held(), list[bytes]()
    inner = AgentApp(agent.router, playground=True)

    async def cutting(scope: Scope, receive: Receive, send: Send) -> None:
        """Cut the stream of the run before its last words."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/responses/"):
            asked.append(scope["query_string"])

        async def cut(message: Message) -> None:
            if scope.get("method") == "POST" and b"ended" in message.get("body", b""):
                raise ConnectionAbortedError("It is cut.")
            await send(message)

        await inner(scope, receive, cut)

    tab = Tab(browser, serve(cutting))
    tab.ready()
    tab.page.get_by_label("Run in the background").check()
    tab.ask("Wait.")
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    agent.go.set()
    tab.answered("Begun, and ended.")
    assert asked
    assert all(each.startswith(b"stream=true&starting_after=") for each in asked)
    see_events(tab)
    tab.close("ERR_INCOMPLETE_CHUNKED_ENCODING")


def test_a_failure_is_told_and_can_be_retried(serve: Serve, browser: Browser) -> None:
    agent = Held()
    agent.go.set()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.ask("fail")
    alert = tab.page.get_by_role("alert")
    expect(alert).to_contain_text("The agent failed. The server's log has the reason.")
    expect(alert).to_contain_text("agent_error")
    expect(tab.turns.last).to_contain_text("Begun, ")
    assert "secret" not in tab.page.content()
    tab.button("Retry").click()
    until(lambda: len(agent.inputs) == 2)
    expect(alert).to_contain_text("agent_error")
    expect(tab.turns).to_have_count(1)
    tab.page.reload()
    expect(alert).to_contain_text("agent_error")
    expect(tab.button("Trace")).to_be_visible()
    tab.close()


def test_a_failure_before_the_run_is_one_after_a_reload_too(serve: Serve, browser: Browser) -> None:
    router = AgentRouter("picky")

    @router.invoke
    async def refuse(request: ResponsesRequest) -> str:
        raise AgentError("Name a city.", 400)

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    for _ in range(2):
        expect(tab.page.get_by_role("alert")).to_contain_text("Name a city.")
        expect(tab.turns.last).not_to_contain_text("Stopped.")
        expect(tab.turns.last.get_by_role("button", name="Retry")).to_be_visible()
        expect(tab.turns.last.get_by_role("button", name="Events")).to_be_hidden()
        expect(tab.turns.last.get_by_role("button", name="Trace")).to_be_hidden()
        tab.page.reload()
    tab.close(REFUSED)


def test_no_token_is_asked_for_because_of_an_earlier_failure(
    serve: Serve, browser: Browser
) -> None:
    router = AgentRouter("expired")

    @router.invoke
    async def refuse(request: ResponsesRequest) -> str:
        raise AgentError("The token has expired.", 401, "invalid_token")

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    field = tab.page.get_by_label("Bearer token")
    expect(field).to_be_visible()
    tab.page.reload()
    expect(tab.page.get_by_role("alert")).to_contain_text("The token has expired.")
    tab.ready()
    expect(field).to_be_hidden()
    tab.close(REFUSED)


def test_a_server_that_has_forgotten_is_asked_anew(serve: Serve, browser: Browser) -> None:
    agent = Held()
    agent.go.set()
    url = serve(AgentApp(agent.router, playground=True))
    tab = Tab(browser, url)
    tab.ready()
    tab.ask("First.")
    tab.answered("Begun, and ended.")
    assert fetch(url, "DELETE", f"/responses/{tab.turn_id()}").status == 200
    tab.ask("Second.")
    expect(tab.turns.last).to_contain_text("previous_response_not_found", timeout=WAIT)
    expect(tab.turns.first).to_contain_text("The server does not have this answer.")
    tab.button("Retry").click()
    tab.answered("Begun, and ended.")
    tab.ask("Third.")
    tab.answered("Begun, and ended.")
    expect(tab.turns).to_have_count(3)
    tab.close(REFUSED)


def test_a_double_click_sends_and_does_not_stop(serve: Serve, browser: Browser) -> None:
    agent = Held()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.message.fill("Wait.")
    tab.button("Send").dblclick()
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    agent.go.set()
    tab.answered("Begun, and ended.")
    assert agent.causes == []
    vote = tab.turn_id()
    tab.button("Good answer").dblclick()
    tab.button("Bad answer").click()
    expect(tab.button("Bad answer")).to_have_attribute("aria-pressed", "true", timeout=WAIT)
    (trace,) = traces(response_id=vote)
    assert [each.value for each in trace.info.assessments] == [False]
    tab.close()


def test_a_full_storage_of_the_tab_stops_no_conversation(serve: Serve, browser: Browser) -> None:
    agent = Held()
    agent.go.set()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.page.evaluate("sessionStorage.setItem('other', 'x'.repeat(5 * 1024 * 1024 - 400))")
    for _ in range(2):
        tab.ask("y" * 1000)
        tab.answered("Begun, and ended.")
    tab.close()


def test_an_item_of_any_type_is_shown(serve: Serve, browser: Browser) -> None:
    router = saying([{"type": "constructor", "id": "x_1"}, "Ended."])
    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    tab.answered("Ended.")
    expect(tab.turns.last.locator("summary")).to_have_text("constructor")
    tab.close()


def test_a_token_is_asked_for_and_kept_in_the_tab(serve: Serve, browser: Browser) -> None:
    app = AgentApp(Held().router, playground=True, authenticate=TOKENS)
    url = serve(app)
    for path in ("/", "/playground/app.js", "/playground/style.css"):
        assert fetch(url, "GET", path).status == 200
    guarded = ("/playground.json", "/playground", "/playground/", "/playground/traces/resp_1")
    for path in (*guarded, "/playground/..%2f..%2fapp.py"):
        assert fetch(url, "GET", path).status == 401
    assert fetch(url, "GET", "/playground/nothing.js").status == 404
    tab = Tab(browser, url)
    field = tab.page.get_by_label("Bearer token")
    expect(field).to_be_focused()
    expect(tab.page.get_by_text("Authentication required.")).to_be_visible()
    field.fill(WRONG)
    field.press("Enter")
    expect(tab.page.get_by_text("The token is not valid.")).to_be_visible()
    expect(field).to_be_focused()
    field.fill(ANN)
    tab.button("Save token").click()
    tab.ready()
    expect(field).to_be_hidden()
    expect(tab.message).to_be_focused()
    tab.page.reload()
    tab.ready()
    tab.ask("Wait.")
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    assert tab.page.evaluate("localStorage.length") == 0
    assert "secret" not in tab.page.content() + tab.page.evaluate("document.cookie")
    tab.close(REFUSED)


def test_one_agent_of_several_is_picked_below_a_prefix(serve: Serve, browser: Browser) -> None:
    routers = [AgentRouter(name, description=f"Says {name}") for name in ("first", "second")]
    for router in routers:
        router.invoke(lambda request, name=router.name: f"{name}: {request['input']}")
    other = AgentRouter("other", protocol="json")
    other.invoke(lambda request: {})
    app = AgentApp(*routers, other, playground=True)
    tab = Tab(browser, serve(Starlette(routes=[Mount("/agents", app)])) + "/agents")
    tab.ready()
    picker = tab.page.get_by_role("combobox", name="Agent")
    assert picker.locator("option").all_inner_texts() == ["first", "second"]
    tab.ask("one")
    tab.answered("first: one")
    picker.select_option("second")
    expect(tab.page).to_have_title("second · Playground")
    tab.ask("two")
    tab.answered("second: [")
    expect(tab.turns.last).to_contain_text("first: one")
    tab.page.reload()
    expect(picker).to_have_value("second")
    tab.close()


def test_json_agents_alone_leave_nothing_to_pick(serve: Serve, browser: Browser) -> None:
    router = AgentRouter("adder", protocol="json")
    router.invoke(lambda request: {})
    tab = Tab(browser, serve(AgentApp(router, playground=True)), 400)
    expect(tab.page.get_by_text("take their own JSON, at /invocations")).to_be_visible()
    expect(tab.button("Send")).to_be_disabled()
    tab.ask("x")
    expect(tab.turns).to_have_count(0)
    tab.close()


def test_the_trace_is_linked_where_mlflow_has_a_page(serve: Serve, browser: Browser) -> None:
    url = serve(calculator.app)
    page = "https://mlflow.example/#/experiments/1/traces?selectedEvaluationId="
    tab = Tab(browser, "about:blank")
    agent = {"name": "calculator", "description": "Counts", "traces": page}
    told = json.dumps({"agents": [agent | {"examples": []}], "lists": True, "debug": False})
    tab.page.route("**/playground.json", lambda route: route.fulfill(body=told))
    tab.page.goto(url)
    tab.ready()
    tab.ask("1 + 1")
    tab.answered("The answer is 2.")
    (trace,) = traces(response_id=tab.turn_id())
    tab.button("Trace").click()
    link = tab.page.get_by_role("link", name="Open in MLflow (new tab)")
    expect(link).to_have_attribute("href", page + trace.info.trace_id)
    tab.close()
