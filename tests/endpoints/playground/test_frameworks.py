"""`agent-asgi dev FILE` with each framework's agent, talked to in Chromium: a tool, an approval."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.endpoints.playground import examples
from tests.support.browsing import WAIT, Tab
from tests.support.developing import developing

FIRST = 6 * WAIT
"""How long the first answer may take, in milliseconds: a framework is imported for it."""


@pytest.mark.parametrize(
    ("code", "approved", "rejected"),
    [
        pytest.param(examples.PLAIN, "Erased.", "Kept it.", id="plain"),
        pytest.param(examples.OPENAI, "Erased.", "Kept it.", id="openai_agents"),
        pytest.param(examples.LANGGRAPH, "Erased.", "Kept it.", id="langgraph"),
        pytest.param(examples.PYDANTIC, "what you allow", "what you allow", id="pydantic_ai"),
        pytest.param(examples.MLFLOW, "Erased.", "Kept it.", id="mlflow"),
    ],
)
def test_an_example_s_tool_and_approval(
    tmp_path: Path, browser: Browser, code: str, approved: str, rejected: str
) -> None:
    (tmp_path / "example.py").write_text(code)
    with developing(tmp_path, "example.py") as dev:
        tab = Tab(browser, dev.url)
        tab.ready()
        for decision, text in (("Approve", approved), ("Reject", rejected)):
            tab.button("New conversation").click()
            tab.ask("Erase my notes if it is sunny.")
            call = tab.turns.last.locator("details.call, .called").filter(has_text="weather").first
            expect(call).to_contain_text("weather", timeout=FIRST)
            expect(tab.button(decision)).to_be_visible()
            expect(tab.turns.last).to_contain_text("erase")
            if decision == "Reject":
                tab.page.get_by_label("Reason").fill("I need them.")
            tab.button(decision).click()
            expect(tab.turns).to_have_count(2)
            tab.answered(text)
            expect(tab.turns.first).to_contain_text(f"{decision.lower()}ed".replace("eed", "ed"))
            expect(tab.page.get_by_role("alert").filter(has_text="rror")).to_have_count(0)
        tab.close()
        assert "Traceback" not in dev.log
