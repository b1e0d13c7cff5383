"""The page of docs/front-ends.md in a real Chromium."""

import page
from playwright.sync_api import expect

from tests.support.browsing import WAIT, chromium
from tests.support.calling import Serve


def test_the_plain_page_streams_and_continues(serve: Serve) -> None:
    url = serve(page.app)
    with chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(WAIT)
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.goto(url)
        field = tab.get_by_role("textbox", name="Message")
        for number, text in ((1, "Hi"), (3, "<b>And you?</b>")):
            field.fill(text)
            field.press("Enter")
            answer = tab.locator("main p").last
            expect(answer).to_have_text(f"{number}. You asked: {text}")
        assert faults == []
