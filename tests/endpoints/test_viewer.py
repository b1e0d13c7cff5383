"""The viewer at /docs in a real Chromium: it lists the operations and sends requests."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.endpoints.openapi import viewer
from tests.support.asking import ANN, TOKENS, WRONG, fetch
from tests.support.browsing import WAIT, Tab, axe, chromium

Serve = Callable[[Any], str]
REFUSED = "Failed to load resource: the server responded with a status of 401"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with chromium() as browser:
        yield browser


def agent(name: str = "tutor") -> AgentRouter:
    """Make an agent that repeats a text in two pieces."""
    router = AgentRouter(name, description="Repeats <b>you</b>.")

    @router.stream
    async def repeat(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "You said: "
        yield request.input_text

    return router


class Viewer(Tab):
    """The viewer in a tab of the browser.

    Attributes:
        hosts: The hosts that the page has sent requests to.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        super().__init__(browser, "about:blank")
        self.hosts: set[str] = set()
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.goto(f"{url}/docs")

    @property
    def operations(self) -> list[tuple[str, str]]:
        """The method and path of each listed operation."""
        expect(self.page.locator(".opblock").first).to_be_visible(timeout=WAIT)
        script = """blocks => blocks.map(block => [
            block.querySelector(".opblock-summary-method").textContent.toLowerCase(),
            block.querySelector(".opblock-summary-path").dataset.path])"""
        found = self.page.locator(".opblock").evaluate_all(script)
        return [(method, path) for method, path in found]

    def open(self, path: str) -> Locator:
        """Open the POST operation of a path."""
        block = self.page.locator(".opblock-post", has=self.page.locator(f'[data-path="{path}"]'))
        block.locator(".opblock-summary-control").click()
        return block

    def execute(self, block: Locator, example: str | None = None) -> tuple[str, str]:
        """Send an example; return the status and the body of the answer."""
        if example is not None:
            block.locator(".examples-select select").first.select_option(label=example)
        block.locator("button.execute").click()
        live = block.locator(".live-responses-table")
        expect(live).to_be_visible(timeout=WAIT)
        status = live.locator("tbody .response-col_status").first.inner_text()
        return status.split()[0], live.locator("pre").first.inner_text()


def test_it_lists_each_operation_of_the_document_once(serve: Serve, browser: Browser) -> None:
    url = serve(AgentApp(agent("tutor"), agent("coder")))
    paths = json.loads(fetch(url, "GET", "/openapi.json").body)["paths"]
    tab = Viewer(browser, url)
    expected = [(method, path) for path, methods in paths.items() for method in methods]
    assert sorted(tab.operations) == sorted(expected)
    expect(tab.page.locator(".info b")).to_have_count(2)  # an agent's description is Markdown
    assert tab.page.title() == "agents · API"
    tab.close()
    assert tab.hosts == {url.split("/")[2]}


@pytest.mark.parametrize("mount", ["", "/agents"])
def test_it_sends_requests_for_json_and_for_a_stream(
    serve: Serve, browser: Browser, mount: str
) -> None:
    app = AgentApp(agent())
    url = serve(Starlette(routes=[Mount("/agents", app)], lifespan=app.lifespan) if mount else app)
    tab = Viewer(browser, url + mount)
    block = tab.open("/v1/responses")
    status, body = tab.execute(block)
    assert status == "200"
    assert json.loads(body)["output"][0]["content"][0]["text"] == "You said: What is 12 * (3 + 4)?"
    block.locator(".btn-clear").click()
    status, body = tab.execute(block, "A stream of events")
    assert status == "200"
    assert body.count("event: response.output_text.delta") == 2
    assert body.rstrip().endswith("data: [DONE]")
    tab.close()
    assert tab.hosts == {url.split("/")[2]}


def test_it_asks_for_a_token_and_sends_it(serve: Serve, browser: Browser) -> None:
    url = serve(AgentApp(agent(), authenticate=TOKENS))
    tab = Viewer(browser, url)
    field = tab.page.get_by_role("textbox", name="Bearer token")
    expect(field).to_be_focused(timeout=WAIT)
    expect(tab.page.get_by_role("status")).to_have_text("Authentication required.")
    field.fill(WRONG)
    field.press("Enter")
    expect(tab.page.get_by_role("status")).to_have_text("The token is not valid.")
    field.fill(ANN)
    tab.button("Save token").click()
    block = tab.open("/v1/responses")
    expect(field).to_be_hidden()
    assert tab.execute(block)[0] == "200"
    tab.page.reload()  # the tab keeps the token
    assert tab.execute(tab.open("/v1/responses"), "A stream of events")[0] == "200"
    tab.close(REFUSED)
    assert tab.hosts == {url.split("/")[2]}


def test_the_playgrounds_token_is_the_viewers_too(serve: Serve, browser: Browser) -> None:
    url = serve(AgentApp(agent(), authenticate=TOKENS, playground=True))
    tab = Viewer(browser, url)
    tab.page.goto(url)
    tab.page.locator("#token").fill(ANN)
    tab.button("Save token").click()
    tab.ready()
    tab.page.goto(f"{url}/docs")
    assert tab.operations
    tab.close(REFUSED)


def test_the_token_form_is_accessible(serve: Serve, browser: Browser) -> None:
    tab = Viewer(browser, serve(AgentApp(agent(), authenticate=TOKENS)))
    expect(tab.page.get_by_role("textbox", name="Bearer token")).to_be_visible(timeout=WAIT)
    assert tab.violations(axe()) == []
    tab.close(REFUSED)


def test_the_page_says_that_the_server_does_not_answer(serve: Serve, browser: Browser) -> None:
    tab = Viewer(browser, serve(AgentApp(agent())))
    assert tab.operations
    tab.page.route("**/openapi.json", lambda route: route.abort())
    tab.page.reload()
    expect(tab.page.get_by_role("status")).to_contain_text("does not answer", timeout=WAIT)
    tab.page.unroute("**/openapi.json")
    tab.page.route("**/openapi.json", lambda route: route.fulfill(status=502, body="<html>"))
    tab.page.reload()
    expect(tab.page.get_by_role("status")).to_have_text("The server answered 502.", timeout=WAIT)
    tab.close("Failed to load resource")


def test_its_files_allow_nothing_from_elsewhere(serve: Serve) -> None:
    url = serve(AgentApp(agent(), authenticate=TOKENS))
    for path in viewer.PATHS:
        reply = fetch(url, "GET", path)
        assert reply.status == 200, path
        assert reply.headers["content-security-policy"] == viewer.POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in viewer.POLICY
    assert fetch(url, "GET", "/docs/swagger-ui.js").status == 401
    assert fetch(url, "GET", "/docs/swagger-ui.js", ANN).status == 404


def test_without_the_extra_it_is_named(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "PACKAGE", "a_package_that_is_not_installed")
    viewer._files.cache_clear()
    url = serve(AgentApp(agent()))
    try:
        for path in ("/docs", "/docs/viewer.js"):
            reply = fetch(url, "GET", path)
            assert reply.status == 404
            assert "agent-asgi[docs]" in reply.error["message"]
    finally:
        viewer._files.cache_clear()
    assert fetch(url, "GET", "/openapi.json").status == 200
