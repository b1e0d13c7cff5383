"""The recipes that are looked at, in a real Chromium."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.docs.recipes.models import PARAGRAPHS
from tests.docs.recipes.running import RECIPES, recipe
from tests.docs.test_tutorial import Reader
from tests.support.browsing import WAIT, Tab, chromium
from tests.support.chat_model import text_of

PAUSE = 0.3
"""Seconds between two pieces of a paragraph."""
LONG = 180_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with chromium() as browser:
        yield browser


def opened(browser: Browser, reader: Reader) -> Page:
    """Open the page of a recipe."""
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.goto(f"http://127.0.0.1:{reader.port}/")
    return page


def research(page: Page, topic: str) -> None:
    """Ask for a report."""
    page.get_by_role("textbox", name="Topic").fill(topic)
    page.get_by_role("button", name="Research").click()


@pytest.mark.parametrize(
    ("serve", "number"),
    [
        ("agent-asgi serve research:app", signal.SIGKILL),
        ("agent-asgi dev research.py", signal.SIGINT),
    ],
)
def test_research_survives_a_reload_and_an_end(
    browser: Browser, tmp_path: Path, serve: str, number: signal.Signals
) -> None:
    with recipe("research", tmp_path, pause=PAUSE) as (reader, model):
        reader.serve(serve)
        page = opened(browser, reader)
        paragraphs = page.locator("main p")
        research(page, "Tides")
        expect(paragraphs.first).to_contain_text("The Moon", timeout=LONG)
        page.reload()
        expect(paragraphs.nth(1)).to_contain_text("Turbines turn", timeout=LONG)
        expect(page.get_by_role("link")).to_have_count(1)
        reader.end(number)
        expect(page.get_by_role("status")).to_have_text("Reconnecting", timeout=LONG)
        reader.serve(serve)
        expect(page.get_by_role("status")).to_have_text("completed", timeout=LONG)

        whole = [f"{text} {title}" for title, text in PARAGRAPHS.items()]
        expect(paragraphs).to_have_text(whole)
        page.reload()
        expect(page.get_by_role("status")).to_have_text("completed", timeout=LONG)
        expect(paragraphs).to_have_text(whole)
        systems = [text_of(body["messages"][0]) for body in model.bodies]
        assert len([each for each in systems if "queries" in each]) == 1
        assert len([each for each in systems if "About Tide." in each]) == 1


def test_research_can_be_stopped(browser: Browser, tmp_path: Path) -> None:
    with recipe("research", tmp_path, pause=PAUSE) as (reader, _):
        reader.serve("agent-asgi serve research:app")
        page = opened(browser, reader)
        research(page, "Tides")
        expect(page.locator("main p").first).to_contain_text("The", timeout=LONG)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("status")).to_have_text("cancelled", timeout=LONG)


def test_the_playground_shows_the_chart(browser: Browser, tmp_path: Path) -> None:
    with recipe("chart", tmp_path) as (reader, _):
        reader.serve("agent-asgi dev chart.py")
        tab = Tab(browser, f"http://127.0.0.1:{reader.port}/")
        tab.ready()
        tab.page.locator("#files").set_input_files(RECIPES / "visitors.png")
        tab.ask("Draw the visitors of each month.")
        tab.answered("3105")
        picture = tab.turns.last.locator(".answer img")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0
        tab.close()


def test_the_playground_shows_the_sources(browser: Browser, tmp_path: Path) -> None:
    with recipe("rag", tmp_path) as (reader, _):
        reader.env["HANDBOOK_URL"] = f"http://127.0.0.1:{reader.port}"
        reader.serve("agent-asgi dev rag.py")
        tab = Tab(browser, f"http://127.0.0.1:{reader.port}/")
        tab.ready()
        tab.ask("What may a hotel in Paris cost, and how do I get there by train?")
        expect(tab.turns.last).to_have_attribute("aria-busy", "false", timeout=LONG)
        tab.answered("220 euros a night, breakfast included")
        source = tab.turns.last.get_by_role("link", name="Hotels").first
        answer = tab.page.request.get(source.get_attribute("href") or "")
        assert "A hotel may cost up to 140 euros" in answer.text()
        tab.close()
