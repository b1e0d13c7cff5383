"""Takes the pictures of README and docs/ from the running product; `make pictures` runs it."""

import operator
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
HEIGHT = 470
"""Pixels of the side panel in the picture of a trace."""


def main() -> None:
    """Take screenshots of a chat with the example agent, in each color scheme and width."""
    sys.path.append(str(ROOT / "docs" / "examples"))
    os.chdir(tempfile.mkdtemp())  # so that no picture shows a path
    os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
    os.environ.pop("OPENAI_MODEL", None)
    import calculator

    from agent_asgi import AgentApp
    from tests.support.apps import sets_tracing_up
    from tests.support.browsing import SCHEMES, WIDTHS, Tab, chromium
    from tests.support.calling import until
    from tests.support.servers import serving

    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser:
        for scheme in SCHEMES:
            for width in WIDTHS:
                app = AgentApp(calculator.router, playground=True, single_user=True, debug=True)
                with serving(app) as server:
                    until(partial(sets_tracing_up, app), operator.not_, 60)
                    tab = Tab(browser, server.url, width, scheme)
                    talk(tab)
                    tab.page.screenshot(path=IMAGES / f"playground-{scheme}-{width}.png")
                    if tab.panel.is_visible():
                        take_trace(tab, IMAGES / f"trace-{scheme}.png")
                    tab.close()


def talk(tab: Any) -> None:
    """Ask, open a tool call, and on a wide page the trace."""
    tab.ready()
    for text, told in (("10 km in miles", "6.2"), ("What is 12 * (3 + 4)?", "84")):
        tab.button("New conversation").click()
        tab.ask(text)
        tab.answered(told)
    tab.ask("and times 2?")
    tab.answered("The answer is 168.")
    tab.page.locator("details.call summary").last.click()
    tab.button("Good answer").click()
    tab.page.get_by_text("Saved").wait_for()
    if tab.panel.is_visible():
        tab.button("Trace").click()
        tab.panel.locator("ul.spans .name").first.wait_for()
    tab.message.focus()
    tab.page.mouse.move(0, 0)


def take_trace(tab: Any, path: Path) -> None:
    """Take a picture of a trace: the spans of a run, one of them open."""
    tab.ask("What is (12 + 9) * 4 / 2?")
    tab.answered("The answer is 42.")
    tab.button("Trace").click()
    spans = tab.panel.locator("ul.spans .name")
    expect(spans).to_have_count(4)
    spans.nth(1).click()
    box = tab.panel.bounding_box()
    tab.page.screenshot(path=path, clip={**box, "height": HEIGHT})


if __name__ == "__main__":
    main()
