"""The page of the playground: its files, its keys, its drawers, and what axe finds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp
from agent_asgi.endpoints.playground.endpoint import POLICY
from tests.endpoints.playground.agents import Echo, Held, Serve
from tests.endpoints.playground.test_answers import Deleter
from tests.support.asking import fetch
from tests.support.browsing import SCHEMES, WAIT, WIDTHS, Tab, axe


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
    assert b"style=" not in page.body
    assert fetch(url, "GET", "/playground.json").status == 503
    assert fetch(url, "GET", "/playground/traces/resp_1").status == 503
    without = fetch(serve(AgentApp(Held().router)), "GET", "/")
    assert without.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(serve: Serve, browser: Browser, scheme: str) -> None:
    agent, source = Held(), axe()
    app = AgentApp(agent.router, Deleter().router, playground=True, single_user=True, debug=True)
    tab = Tab(browser, serve(app), scheme=scheme)
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
    for each in tab.page.locator("#log summary").all():
        each.click()
    tab.button("Good answer").click()
    expect(tab.page.get_by_text("Saved")).to_be_visible(timeout=WAIT)
    tab.button("Token").click()
    for name in ("Settings", "Trace", "Events", "Code"):
        tab.panel.get_by_role("tab", name=name).click()
        if name == "Trace":
            expect(tab.panel.locator("ul.spans .name").first).to_be_visible(timeout=WAIT)
        for each in tab.panel.locator("summary:visible").all()[:3]:
            each.click()
        look(name)
    tab.page.get_by_role("combobox", name="Agent").select_option("deleter")
    tab.ask("Delete it.")
    tab.answered("needs approval")
    tab.button("Edit the arguments").click()
    look("approval")
    tab.page.get_by_role("combobox", name="Agent").select_option("held")
    tab.ask("fail")
    expect(tab.page.get_by_role("alert")).to_be_visible(timeout=WAIT)
    look("error")
    tab.page.keyboard.press("Tab")
    tab.button("Keys ?").click()
    look("keys")
    tab.page.keyboard.press("Escape")
    tab.page.set_viewport_size({"width": 400, "height": 800})
    for name in ("Conversations", "Side panel"):
        tab.button(name).click()
        assert tab.violations(source) == [], name
        tab.page.keyboard.press("Escape")
    tab.close()


def test_everything_is_done_by_keys(serve: Serve, browser: Browser) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    for text in ("one", "two"):
        tab.ask(text)
        tab.answered(f"[{text}]")
    press = tab.page.keyboard.press
    tab.page.get_by_role("tab", name="Settings").focus()
    press("?")
    expect(tab.page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("Escape")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    press("k")
    expect(tab.turns.first).to_be_focused()
    press("3")
    expect(tab.panel.get_by_role("tab", name="Events")).to_be_focused()
    press("e")
    field = tab.page.get_by_label("Edit the message")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(tab.turns.first.get_by_role("button", name="Edit")).to_be_focused()
    press("p")
    expect(tab.panel).to_be_hidden()
    press("p")
    press("s")
    expect(tab.page.get_by_label("Search the conversations")).to_be_focused()
    press("Tab")
    press("j")
    expect(tab.turns.last).to_be_focused()
    press("r")
    tab.answered("[two]")
    expect(tab.message).to_be_focused()
    assert len(agent.bodies) == 3
    tab.message.fill("n?")
    expect(tab.turns).to_have_count(2)
    tab.turns.last.focus()
    press("n")
    expect(tab.turns).to_have_count(0)
    tab.button("Token").focus()
    press("/")
    expect(tab.message).to_be_focused()
    tab.button("Keys ?").click()
    tab.page.get_by_label("Single keys work outside of fields").uncheck()
    press("Escape")
    press("/")
    expect(tab.message).not_to_be_focused()
    tab.close()


def test_the_columns_are_drawers_on_a_narrow_page(serve: Serve, browser: Browser) -> None:
    tab = Tab(browser, serve(AgentApp(Echo().router, playground=True)), 400)
    tab.ready()
    sidebar = tab.page.get_by_role("navigation", name="Conversations")
    expect(sidebar).to_be_hidden()
    tab.button("Conversations").click()
    expect(sidebar).to_be_visible()
    expect(sidebar.get_by_role("button", name="Close the conversations")).to_be_focused()
    tab.page.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(tab.button("Conversations")).to_be_focused()
    tab.button("Conversations").click()
    tab.page.mouse.click(390, 400)
    expect(sidebar).to_be_hidden()
    tab.button("Side panel").click()
    expect(tab.panel).to_be_visible()
    tab.leave_panel()
    expect(tab.panel).to_be_hidden()
    tab.page.set_viewport_size({"width": 1400, "height": 800})
    expect(tab.panel).to_be_visible()
    expect(sidebar).to_be_visible()
    boxes = [each.bounding_box() for each in (sidebar, tab.page.locator("main"), tab.panel)]
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 3
    tab.button("Side panel").click()
    expect(tab.panel).to_be_hidden()
    tab.close()


def test_examples_are_asked_and_agents_told_apart(serve: Serve, browser: Browser) -> None:
    agents = [Echo("first", examples=["one", "two"]), Echo("second")]
    tab = Tab(browser, serve(AgentApp(*(each.router for each in agents), playground=True)))
    tab.ready()
    tab.page.get_by_role("list", name="Examples").get_by_role("button", name="two").click()
    tab.answered("[two]")
    tab.page.get_by_role("combobox", name="Agent").select_option("second")
    tab.ask("three")
    tab.answered("[three]")
    marks = tab.page.locator(".agent .mark")
    assert [each.get_attribute("class") for each in marks.all()] == [
        "mark colour-0",
        "mark colour-1",
    ]
    expect(marks).to_have_text(["F", "S"])
    tab.close()
