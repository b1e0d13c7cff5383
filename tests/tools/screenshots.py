"""Retakes the screenshots of docs/playground.md: `python -m tests.tools.screenshots`."""

import os
import sys
import tempfile
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

    from tests.support.browsing import SCHEMES, WIDTHS, Tab, chromium
    from tests.support.servers import Server

    IMAGES.mkdir(exist_ok=True)
    server = Server(calculator.app)
    try:
        with chromium() as browser:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    tab = Tab(browser, server.url, width, scheme)
                    talk(tab)
                    tab.page.screenshot(path=IMAGES / f"playground-{scheme}-{width}.png")
                    tab.close()
    finally:
        server.stop()


def talk(tab: Any) -> None:
    """Ask a question, and open the reasoning and a tool call."""
    tab.ready()
    tab.ask("What is 12 * (3 + 4)?")
    tab.answered("The answer is 84.")
    tab.page.get_by_text("Reasoning", exact=True).click()
    tab.page.locator("details.call summary").last.click()
    tab.button("Good answer").click()
    tab.page.get_by_text("Saved").wait_for()
    tab.message.focus()
    tab.page.mouse.move(0, 0)


if __name__ == "__main__":
    main()
