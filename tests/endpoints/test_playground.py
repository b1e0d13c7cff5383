"""The playground in a real Chromium, step by step, with the example agent and tiny ones."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import calculator
import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from agent_asgi import (
    AgentApp,
    AgentRouter,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
)
from agent_asgi.endpoints.playground.endpoint import POLICY
from tests.support.asking import ANN, TOKENS, WRONG, fetch
from tests.support.browsing import SCHEMES, WAIT, WIDTHS, Tab, axe, chromium
from tests.support.calling import until
from tests.support.traces import traces

Serve = Callable[[Any], str]
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""Chromium logs this to the console for each 4xx answer."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the example agent off the network."""
    monkeypatch.delenv("OPENAI_MODEL", raising=False)


class Held:
    """An agent that outputs a word, then waits for `go`.

    Attributes:
        causes: Why its runs were cancelled.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.causes: list[str | None] = []
        self.inputs: list[Any] = []
        self.router = AgentRouter("held", description="Waits")
        self.router.stream(self._answer)

    async def _answer(self, request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        self.inputs.append(request.to_dict()["input"])
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I wait."}]}
        yield FunctionCall(call_id="c1", name="wait", arguments='{"for": "you"}')
        yield FunctionCallOutput(call_id="c1", output="waited")
        yield "Begun, "
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.causes.append(context.cancelled.cause)
            raise
        if request.input_text == "fail":
            raise RuntimeError("A secret of the server.")
        yield "and **ended**."


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
    see_raw_events(tab)
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

    told = tab.page.locator(".answer > .text").all_inner_texts()
    assert not tab.overflows()
    tab.page.reload()
    expect(tab.page.locator(".answer").last).to_contain_text("The answer is 168.")
    expect(tab.page.locator(".answer").first).to_contain_text("The answer is 84.")
    assert tab.page.locator(".answer > .text").all_inner_texts() == told
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


def see_raw_events(tab: Tab) -> None:
    """Open the raw events; they show everything the server sent."""
    tab.button("Raw events").click()
    lines = tab.page.get_by_label("Raw events", exact=True).last.inner_text().split("\n")
    events = [json.loads(line) for line in lines if line]
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    tab.button("Raw events").click()
    expect(tab.page.locator(".raw").last).to_be_hidden()


def see_trace(tab: Tab, response_id: str) -> None:
    """Open the trace's details; they name the trace in MLflow."""
    (trace,) = traces(response_id=response_id)
    tab.button("Trace").click()
    expect(tab.page.locator(".trace").last).to_contain_text(trace.info.trace_id)
    expect(tab.page.locator(".trace").last).to_contain_text("mlflow ui --backend-store-uri …")
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.button("Copy").click()
    expect(tab.page.get_by_text("Copied")).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == trace.info.trace_id


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
    see_raw_events(tab)
    tab.close("ERR_INCOMPLETE_CHUNKED_ENCODING")


HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">

# A <b>heading</b>

- **bold** and *slanted*
- `a < b` & [a page](https://example.com/a?b=c)
- [a trap](javascript:window.hacked=1)

3. three

```html
<script>window.hacked = 1</script>
```"""


@pytest.mark.parametrize("width", WIDTHS)
def test_markup_in_a_token_never_runs(serve: Serve, browser: Browser, width: int) -> None:
    script = "<img src=x onerror='window.hacked = 1'>"
    router = AgentRouter("hostile", description=script)

    @router.stream
    async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "reasoning", "summary": [{"type": "summary_text", "text": HOSTILE}]}
        yield FunctionCall(call_id="c1", name=script, arguments=json.dumps({"a": script}))
        yield FunctionCallOutput(call_id="c1", output=script)
        yield {"type": f"acme:{script}", "id": "x_1", "html": script}
        for at in range(0, len(HOSTILE), 7):
            yield HOSTILE[at : at + 7]

    tab = Tab(browser, serve(AgentApp(router, playground=True)), width)
    tab.ready()
    tab.ask(script)
    tab.answered("three")
    tab.button("Raw events").click()
    text = tab.turns.last.locator(".answer > .text")
    expect(text).to_contain_text('<script>window.hacked = 1</script><img src=x onerror="')
    expect(text.locator("strong")).to_have_text("bold")
    expect(text.locator("em")).to_have_text("slanted")
    expect(text.locator(":not(pre) > code")).to_have_text("a < b")
    expect(text.locator("pre")).to_have_text("<script>window.hacked = 1</script>")
    expect(text.locator("ol")).to_have_attribute("start", "3")
    expect(text.locator(".heading")).to_have_text("A <b>heading</b>")
    expect(text).to_contain_text("[a trap](javascript:window.hacked=1)")
    links = [each.get_attribute("href") for each in tab.page.get_by_role("link").all()]
    assert links == ["#message", "https://example.com/a?b=c"]
    assert tab.page.locator("main :is(script, img, b)").count() == 0
    assert not tab.overflows()
    tab.page.evaluate("""() => {
        const made = document.createElement("script");
        made.textContent = "window.hacked = 2";
        document.body.append(made);
        const image = document.createElement("div");
        image.innerHTML = "<img src=x onerror='window.hacked = 3'>";
        document.body.append(image);
    }""")
    tab.page.wait_for_timeout(100)
    assert tab.page.evaluate("window.hacked") is None
    assert sum("Content Security Policy" in each for each in tab.faults) == 2
    tab.close("Content Security Policy", REFUSED)


@pytest.mark.parametrize(
    "piece",
    ["[", "[a", "[a](https://", "`a", "**a ", "*a", "a*", "- ", "```", "- x\n", "# h\n", "p\n\n"],
)
def test_a_long_text_is_rendered_in_linear_time(serve: Serve, browser: Browser, piece: str) -> None:
    """If the time were quadratic, it would be minutes."""
    tab = Tab(browser, serve(AgentApp(Held().router, playground=True)))
    tab.ready()
    seconds = tab.page.evaluate(
        """async ([piece, count]) => {
            const { MarkdownView } = await import("/playground/markdown.js");
            const begun = performance.now();
            new MarkdownView().update(piece.repeat(count));
            return (performance.now() - begun) / 1000;
        }""",
        [piece, 500_000 // len(piece)],
    )
    tab.close()
    assert seconds < 10


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
    tab.close()


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
    router = AgentRouter("odd")

    @router.stream
    async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "constructor", "id": "x_1"}
        yield "Ended."

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    tab.answered("Ended.")
    expect(tab.turns.last.locator("summary")).to_have_text("constructor")
    tab.close()


def test_an_approval_request_is_shown(serve: Serve, browser: Browser) -> None:
    router = AgentRouter("asking")

    @router.invoke
    async def ask(request: ResponsesRequest) -> ApprovalRequest:
        return ApprovalRequest("delete_file", {"path": "report.txt"})

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Delete it.")
    tab.answered("needs approval")
    expect(tab.turns.last.locator(".name")).to_have_text("delete_file")
    expect(tab.page.get_by_label("Arguments")).to_have_text('{\n  "path": "report.txt"\n}')
    tab.close()


def test_a_token_is_asked_for_and_kept_in_the_tab(serve: Serve, browser: Browser) -> None:
    app = AgentApp(Held().router, playground=True, authenticate=TOKENS)
    url = serve(app)
    for path in ("/", "/playground/app.js", "/playground/style.css"):
        assert fetch(url, "GET", path).status == 200
    guarded = ("/playground.json", "/playground", "/playground/", "/v1/models")
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
    told = json.dumps({"traces": {"calculator": page}})
    tab.page.route("**/playground.json", lambda route: route.fulfill(body=told))
    tab.page.goto(url)
    tab.ready()
    tab.ask("1 + 1")
    tab.answered("The answer is 2.")
    (trace,) = traces(response_id=tab.turn_id())
    link = tab.page.get_by_role("link", name="Trace in MLflow, in a new tab")
    expect(link).to_have_attribute("href", page + trace.info.trace_id)
    tab.close()


def test_the_page_is_there_where_the_app_could_not_start(serve: Serve) -> None:
    @asynccontextmanager
    async def broken(_: Any) -> AsyncIterator[None]:
        raise RuntimeError("It is broken.")
        yield

    host = Starlette(routes=[Mount("/", AgentApp(Held().router, playground=True, lifespan=broken))])
    url = serve(host)
    page = fetch(url, "GET", "/")
    assert page.status == 200
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert b"script>" not in page.body.replace(b"></script>", b"")
    assert fetch(url, "GET", "/playground.json").status == 503
    assert fetch(serve(AgentApp(Held().router)), "GET", "/").status == 404


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(serve: Serve, browser: Browser, scheme: str) -> None:
    agent, source = Held(), axe()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)), scheme=scheme)
    tab.ready()

    def look(state: str) -> None:
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 800})
            assert tab.violations(source) == [], (state, scheme, width)
            assert not tab.overflows(), (state, scheme, width)

    look("empty")
    tab.ask("Wait.")
    expect(tab.turns.last).to_contain_text("Begun, ", timeout=WAIT)
    look("streaming")
    agent.go.set()
    tab.answered("Begun, and ended.")
    for each in tab.page.locator("summary").all():
        each.click()
    for name in ("Raw events", "Trace", "Good answer"):
        tab.button(name).click()
    expect(tab.page.get_by_text("Saved")).to_be_visible(timeout=WAIT)
    tab.button("Token").click()
    look("finished")
    tab.ask("fail")
    expect(tab.page.get_by_role("alert")).to_be_visible(timeout=WAIT)
    look("error")
    tab.close()
