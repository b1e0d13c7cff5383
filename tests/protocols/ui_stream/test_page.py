"""The page of docs/ui-stream.md in a real Chromium: ask, approve, reload in mid-run, stop."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import calculator
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent_asgi import AgentApp
from agent_asgi.protocols import UIStream
from tests.clients.packages import FOLDER, NODE
from tests.support.browsing import WAIT, chromium
from tests.support.calling import QUICK, Serve
from tests.support.pages import ROOT
from tests.support.ui_agents import agent

EXAMPLES = ROOT / "docs" / "examples"
MODULES = FOLDER / "node" / "node_modules"
HTML = (
    '<!doctype html><link rel="icon" href="data:,"><div id="root"></div>'
    '<script type="module" src="/page/chat.js"></script>'
)
WORDS = "".join(f"word {number} " for number in range(40)) + "end"
ENV = {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}", "NODE_PATH": str(MODULES)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle the page with AI SDK 7; return the folder."""
    folder = tmp_path_factory.mktemp("page")
    options = ["--bundle", "--jsx=automatic", "--log-level=warning", f"--outfile={folder}/chat.js"]
    options += ["--alias:ai=ai7", "--alias:@ai-sdk/react=ai7-react"]
    command = [str(MODULES / ".bin" / "esbuild"), str(EXAMPLES / "chat.jsx"), *options]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def page(browser: Browser, bundle: Path, serve: Serve) -> Iterator[Page]:
    """Open the page of an app whose runs can be resumed."""
    app = AgentApp(agent(), protocols=[UIStream(resume=True)], timeouts=QUICK)
    routes = [
        Route("/", lambda request: HTMLResponse(HTML)),
        Mount("/page", StaticFiles(directory=bundle)),
        Mount("/", app),
    ]
    url = serve(Starlette(routes=routes, lifespan=app.lifespan))
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    yield page
    page.close()
    assert faults == []


def ask(page: Page, text: str) -> None:
    """Type a message and send it."""
    field = page.get_by_role("textbox", name="Message")
    field.fill(text)
    field.press("Enter")


def ready(page: Page) -> None:
    """Wait until the chat is idle."""
    expect(page.locator("main")).to_have_attribute("data-status", "ready", timeout=WAIT)


def test_a_chat_in_a_browser(page: Page) -> None:
    last = page.get_by_role("article").last
    ready(page)
    ask(page, "own")
    expect(last).to_contain_text('look {"seen":true} output-available', timeout=WAIT)
    expect(last).to_contain_text("Seen.", timeout=WAIT)
    ready(page)

    ask(page, "approval")
    page.get_by_role("button", name="Approve").click()
    expect(last).to_contain_text('erase "erased" output-available', timeout=WAIT)
    expect(last).to_contain_text("Done.")
    ready(page)

    ask(page, "slow")
    expect(last).to_contain_text("word 3 ", timeout=WAIT)
    page.reload()
    expect(last).to_have_text(WORDS, timeout=WAIT)
    ready(page)
    expect(page.get_by_role("article")).to_have_count(6)

    ask(page, "slow")
    expect(last).to_contain_text("word 3 ", timeout=WAIT)
    page.get_by_role("button", name="Stop").click()
    ready(page)
    expect(last).not_to_contain_text("end")
    page.reload()
    ready(page)
    expect(page.get_by_role("article")).to_have_count(8)


def test_the_short_client_runs(serve: Serve, tmp_path: Path) -> None:
    app = AgentApp(calculator.router, protocols=[UIStream()])
    code = (EXAMPLES / "chat.mjs").read_text().replace("http://127.0.0.1:8000", serve(app))
    (tmp_path / "chat.mjs").write_text(code)
    for name, target in (("ai", "ai7"), ("@ai-sdk/react", "ai7-react"), ("react", "react")):
        link = tmp_path / "node_modules" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(MODULES / target)
    done = subprocess.run(
        [str(NODE), str(tmp_path / "chat.mjs")], capture_output=True, text=True, timeout=60, env=ENV
    )
    assert done.returncode == 0, done.stderr
    assert "The answer is 84." in done.stdout
