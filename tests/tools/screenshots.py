"""Retakes the screenshots of docs/playground.md: `python -m tests.tools.screenshots`."""

import operator
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Take screenshots of a chat with the example agent, in each color scheme and width."""
    sys.path.append(str(ROOT / "docs" / "examples"))
    folder = tempfile.mkdtemp()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ.pop("OPENAI_MODEL", None)
    import calculator  # traces to the database above

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


if __name__ == "__main__":
    main()
