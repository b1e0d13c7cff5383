"""The conversations of the playground: reopened, renamed, deleted, searched, edited, forked."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from agent_asgi import AgentApp, BearerTokens
from tests.endpoints.playground.agents import REFUSED, Echo, Held, Serve
from tests.support.asking import fetch
from tests.support.browsing import WAIT, WIDTHS, Tab


def entries(tab: Tab) -> Locator:
    """Return the titles in the list of conversations."""
    return tab.page.locator("#conversations .entry")


def open_list(tab: Tab) -> None:
    """Open the list of conversations if the page is narrow."""
    if not tab.page.locator("#sidebar").is_visible():
        tab.button("Conversations").click()


@pytest.mark.parametrize("single_user", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_conversations_are_reopened_renamed_and_deleted(
    serve: Serve, browser: Browser, width: int, single_user: bool
) -> None:
    agent = Echo()
    url = serve(AgentApp(agent.router, playground=True, single_user=single_user))
    tab = Tab(browser, url, width)
    tab.ready()
    tab.ask("one")
    tab.answered("[one]")
    tab.ask("two")
    tab.answered("[one] [two]")
    tab.button("New conversation").click()
    tab.ask("other")
    tab.answered("[other]")
    open_list(tab)
    assert entries(tab).all_inner_texts() == ["other", "one"]
    expect(entries(tab).first).to_have_attribute("aria-current", "true")
    entries(tab).last.click()
    expect(tab.turns).to_have_count(2)
    expect(tab.turns.first.locator(".question")).to_have_text("one")
    tab.ask("three")
    tab.answered("[one] [two] [three]")
    expect(tab.turns.first.get_by_role("button", name="Good answer")).to_be_visible()

    open_list(tab)
    tab.page.get_by_role("button", name="Rename one").press("Enter")
    tab.page.get_by_label("Title").fill("Numbers")
    tab.page.get_by_label("Title").press("Enter")
    expect(entries(tab).last).to_have_text("Numbers")
    tab.page.get_by_label("Search the conversations").fill("NUMB")
    expect(entries(tab)).to_have_count(1)
    tab.page.get_by_label("Search the conversations").fill("nothing like it")
    none = "No conversation has this text." if single_user else "No conversation with this title."
    expect(tab.page.get_by_text(none)).to_be_visible()
    tab.page.get_by_label("Search the conversations").fill("")

    tab.page.get_by_role("button", name="Delete other").press("Enter")
    tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(entries(tab)).to_have_count(2)
    tab.page.get_by_role("button", name="Delete Numbers").press("Enter")
    tab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(entries(tab)).to_have_count(1)
    expect(tab.turns).to_have_count(0)
    tab.page.reload()
    open_list(tab)
    expect(entries(tab)).to_have_text(["other"])
    tab.close()


@pytest.mark.parametrize("single_user", [False, True])
def test_a_message_is_edited_a_turn_retried_a_conversation_forked(
    serve: Serve, browser: Browser, single_user: bool
) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True, single_user=single_user)))
    tab.ready()
    for text in ("one", "two", "three"):
        tab.ask(text)
        tab.answered(f"[{text}]")
    tab.turns.nth(1).get_by_role("button", name="Fork the conversation here").click()
    expect(tab.turns).to_have_count(2)
    tab.ask("four")
    tab.answered("[one] [two] [four]")
    expect(entries(tab)).to_have_text(["one (fork)", "one"])

    entries(tab).last.click()
    expect(tab.turns).to_have_count(3)
    tab.turns.nth(1).locator(".question").hover()
    tab.turns.nth(1).get_by_role("button", name="Edit").click()
    tab.page.get_by_label("Edit the message").fill("zwei")
    tab.page.get_by_label("Edit the message").press("Enter")
    tab.answered("[one] [zwei]")
    expect(tab.turns).to_have_count(2)
    tab.ask("drei")
    tab.answered("[one] [zwei] [drei]")
    tab.turns.first.get_by_role("button", name="Retry").click()
    tab.answered("[one]")
    expect(tab.turns).to_have_count(1)
    tab.ask("again")
    tab.answered("[one] [again]")

    tab.message.press("ArrowUp")
    field = tab.page.get_by_label("Edit the message")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(field).to_have_count(0)
    entries(tab).first.click()
    expect(tab.turns).to_have_count(3)
    expect(tab.turns.last.locator(".answer")).to_contain_text("[one] [two] [four]")
    tab.close()


def test_two_tabs_and_a_reload_know_the_same_conversation(serve: Serve, browser: Browser) -> None:
    agents = [Echo(name) for name in ("first", "second")]
    app = AgentApp(*(each.router for each in agents), playground=True, single_user=True)
    url = serve(app)
    tab = Tab(browser, url)
    tab.ready()
    tab.page.get_by_role("combobox", name="Agent").select_option("second")
    tab.ask("one")
    tab.answered("[one]")
    other = Tab(browser, url)
    other.ready()
    entries(other).first.click()
    expect(other.turns.last.locator(".agent")).to_contain_text("second")
    other.ask("two")
    other.answered("[one] [two]")
    tab.page.reload()
    expect(tab.turns).to_have_count(1)
    entries(tab).first.click()
    expect(tab.turns).to_have_count(2)
    tab.button("Events").click()
    expect(tab.panel.get_by_text("response.completed")).to_be_visible()
    assert fetch(url, "GET", "/v1/conversations").body.count(b'"conversation"') == 1
    tab.close()
    other.close()


@pytest.mark.parametrize("single_user", [False, True])
def test_a_link_leads_to_a_response(serve: Serve, browser: Browser, single_user: bool) -> None:
    agent = Echo()
    url = serve(AgentApp(agent.router, playground=True, single_user=single_user))
    tab = Tab(browser, url)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.ready()
    for text in ("one", "two", "three"):
        tab.ask(text)
        tab.answered(f"[{text}]")
    tab.turns.nth(1).get_by_role("button", name="Copy a link to this response").click()
    expect(tab.page.get_by_text("Link copied")).to_be_visible()
    link = tab.page.evaluate("navigator.clipboard.readText()")
    other = Tab(browser, link)
    other.ready()
    expect(other.turns).to_have_count(3 if single_user else 2)
    expect(other.turns.nth(1)).to_have_class("turn selected")
    other.ask("four")
    other.answered("[four]")
    assert agent.bodies[-1]["input"] == "four"
    assert other.page.url == f"{url}/"
    tab.page.goto(f"{url}/#resp_of_nobody")
    expect(tab.page.get_by_text("There is no response")).to_be_visible()
    other.close()
    tab.close(REFUSED)


def test_a_conversation_that_the_server_has_forgotten_is_created_again(
    serve: Serve, browser: Browser
) -> None:
    agent = Echo()
    url = serve(AgentApp(agent.router, playground=True, single_user=True))
    tab = Tab(browser, url)
    tab.ready()
    tab.ask("one")
    tab.answered("[one]")
    id_ = fetch(url, "GET", "/v1/conversations").body.split(b'"id":"')[1].split(b'"')[0].decode()
    assert fetch(url, "DELETE", f"/v1/conversations/{id_}").status == 200
    tab.ask("two")
    tab.answered("[one] [two]")
    expect(entries(tab)).to_have_count(1)
    tab.close(REFUSED)


def test_a_failed_answer_keeps_its_trace_and_is_no_part(serve: Serve, browser: Browser) -> None:
    agent = Held()
    agent.go.set()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True, single_user=True)))
    tab.ready()
    tab.ask("fail")
    expect(tab.page.get_by_role("alert")).to_contain_text("agent_error", timeout=WAIT)
    tab.button("Trace").click()
    expect(tab.panel.locator(".trace code")).to_contain_text("tr-")
    tab.ask("Go on.")
    tab.answered("Begun, and ended.")
    assert "fail" not in str(agent.inputs[-1])
    tab.close()


def test_more_conversations_than_a_page_are_listed_and_searched(
    serve: Serve, browser: Browser
) -> None:
    token = BearerTokens({"secret": "ann"})
    url = serve(AgentApp(Echo().router, playground=True, authenticate=token))
    for number in range(60):
        items = [{"role": "user", "content": f"About {'whales' if number == 1 else 'birds'}"}]
        body: Any = {"metadata": {"title": f"Talk {number}"}, "items": items}
        assert fetch(url, "POST", "/v1/conversations", "secret", body).status == 200
    tab = Tab(browser, url)
    tab.page.get_by_label("Bearer token").fill("secret")
    tab.button("Save token").click()
    tab.ready()
    expect(entries(tab)).to_have_count(50)
    tab.page.get_by_label("Search the conversations").fill("talk 3")
    expect(entries(tab)).to_have_count(11)
    tab.page.get_by_label("Search the conversations").fill("WHALES")
    expect(entries(tab)).to_have_text(["Talk 1"])
    tab.page.get_by_role("button", name="Rename Talk 1").press("Enter")
    tab.page.get_by_label("Title").fill("Big ones")
    tab.page.get_by_label("Title").press("Enter")
    expect(entries(tab)).to_have_text(["Big ones"])
    tab.page.get_by_label("Search the conversations").fill("birds")
    expect(entries(tab)).to_have_count(50)
    tab.page.get_by_role("button", name="Show more").click()
    expect(entries(tab)).to_have_count(59)
    tab.page.get_by_label("Search the conversations").fill("")
    expect(entries(tab)).to_have_count(50)
    tab.page.get_by_role("button", name="Show more").click()
    expect(entries(tab)).to_have_count(60)
    expect(tab.page.get_by_role("button", name="Show more")).to_be_hidden()
    tab.close(REFUSED)


def test_a_search_asks_once_and_drops_the_answer_to_an_earlier_one(
    serve: Serve, browser: Browser
) -> None:
    url = serve(AgentApp(Echo().router, playground=True, single_user=True))
    for title in ("apples", "pears"):
        fetch(url, "POST", "/v1/conversations", body={"metadata": {"title": title}})
    tab = Tab(browser, url)
    tab.ready()
    asked: list[str] = []
    held: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query)["search"][0])
        if asked[-1] == "apples":
            held.append(route)
        else:
            route.continue_()

    tab.page.route(lambda link: "search=" in link, hold)
    search = tab.page.get_by_label("Search the conversations")
    with tab.page.expect_request(lambda request: "search=" in request.url):
        search.press_sequentially("apples", delay=10)
    search.fill("pears")
    expect(entries(tab)).to_have_text(["pears"])
    held[0].continue_()
    tab.page.wait_for_timeout(300)
    assert entries(tab).all_inner_texts() == ["pears"]
    assert asked == ["apples", "pears"]
    tab.close()
