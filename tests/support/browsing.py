"""A real Chromium for the playground's tests: pages that record their errors, and axe."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.machine import lacking

WEB = Path(__file__).parent / "web"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""No sandbox, for containers; no background network traffic."""
WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")
WAIT = 30_000
"""How long a test waits for something to appear, in milliseconds."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium."""
    path = shutil.which("chromium")
    if path is None:
        lacking("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


def axe() -> str:
    """Return the source of axe-core as pinned in web/package.json, from npm or its cache."""
    version = json.loads((WEB / "package.json").read_text())["dependencies"]["axe-core"]
    folder = Path(tempfile.gettempdir()) / f"agent_asgi-axe-{version}-{os.getuid()}"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        with tempfile.TemporaryDirectory() as fresh:
            shutil.copy(WEB / "package.json", fresh)
            npm = [str(Path(sys.executable).parent / "npm"), "install", "--no-audit", "--no-fund"]
            done = subprocess.run(npm, cwd=fresh, capture_output=True, text=True, timeout=120)
            if done.returncode:
                lacking(f"axe-core: {done.stderr[-300:]}")
            with contextlib.suppress(OSError):  # another process was faster
                Path(fresh, "node_modules").rename(folder.with_suffix(f".{os.getpid()}"))
                folder.mkdir(exist_ok=True)
                folder.with_suffix(f".{os.getpid()}").rename(folder / "node_modules")
    return script.read_text()


class Tab:
    """The playground in a tab of the browser.

    Args:
        browser: The browser.
        url: URL of the app.
        width: Width of the window, in pixels.
        scheme: `light` or `dark`.

    Attributes:
        faults: Errors on the console, including what the page's policy blocked.
        foreign: URLs of other origins that the page has asked for.
    """

    def __init__(
        self, browser: Browser, url: str, width: int = 1400, scheme: Any = "light"
    ) -> None:
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        self.page.set_default_timeout(WAIT)
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.page.on("request", lambda request: self._see(url, request.url))
        self.page.on("console", lambda told: self._hear(told.type, told.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(url)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def _see(self, own: str, url: str) -> None:
        origin = "://".join(urlsplit(own)[:2]) + "/"
        if own.startswith("http") and not url.startswith((origin, "data:")):
            self.foreign.append(url)

    @property
    def panel(self) -> Locator:
        """The side panel."""
        return self.page.get_by_role("complementary", name="Side panel")

    def leave_panel(self) -> None:
        """Close the side panel if it covers the conversation."""
        close = self.page.get_by_role("button", name="Close the side panel")
        if close.is_visible():
            close.click()

    @property
    def message(self) -> Locator:
        """The message input field."""
        return self.page.get_by_role("textbox", name="Message")

    @property
    def turns(self) -> Locator:
        """The turns of the conversation."""
        return self.page.get_by_role("article")

    def button(self, name: str) -> Locator:
        """Return the last button with a name."""
        return self.page.get_by_role("button", name=name, exact=True).last

    def ready(self) -> None:
        """Wait until the agents are listed."""
        expect(self.page.locator("#agent option").first).to_be_attached(timeout=WAIT)

    def ask(self, text: str) -> None:
        """Type a message and send it."""
        self.message.fill(text)
        self.message.press("Enter")

    def answered(self, text: str) -> None:
        """Wait until the last turn has ended with a text."""
        expect(self.turns.last).to_have_attribute("aria-busy", "false", timeout=WAIT)
        expect(self.turns.last.locator(".answer")).to_contain_text(text)

    def turn_id(self) -> str:
        """Return the id of the last turn's response."""
        saved = self.page.evaluate("sessionStorage.getItem('agent_asgi.conversation')")
        id_: str = json.loads(saved)["turns"][-1]["id"]
        return id_

    def violations(self, source: str) -> list[str]:
        """Run axe on the current page; return the violations."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(source)
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in found]

    def overflows(self) -> bool:
        """Return whether the page is wider than the window."""
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide

    def close(self, *allowed: str) -> None:
        """Close the tab; fail if a request left the origin, or on a fault that is not allowed."""
        self.page.close()
        assert self.foreign == []
        assert [each for each in self.faults if not any(some in each for some in allowed)] == []
