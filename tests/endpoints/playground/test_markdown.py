"""Markdown in the playground: what it shows, what it never becomes, and how long it takes."""

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Citation,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
)
from tests.clients.packages import NODE
from tests.endpoints.playground.agents import REFUSED, Held, Serve, saying
from tests.support.browsing import WIDTHS, Tab
from tests.support.pages import ROOT

SCRIPT = "<img src=x onerror='window.hacked = 1'>"
HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">

# A <b>heading</b>

- **bold** and *slanted*
- `a < b` & [a page](https://example.com/a?b=c)
- [a trap](javascript:window.hacked=1)

3. three

```html
<script>window.hacked = 1</script>
```"""
RICH = """## Results

| tool | ms |
|:-----|---:|
| `ab` \\| c | **12** |
| plot | 3 |

1. first
   - nested
     ```python
     print("a")

     print("b")
     ```
2. second
   goes on

- [x] done

> quoted
> - in a list

See https://example.com/a_(b). ~~gone~~ ***both***

---
![a cat](https://images.example/cat.png) ![dot](data:image/png;base64,iVBORw0KGgo=)"""
BIDI = "safe \u202etxt.exe\u202c name"
HUGE = {
    "brackets": "[" * 50_000 + "](" * 25_000,
    "table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 20_000,
    "deep list": "".join(f"{'  ' * depth}- x\n" for depth in range(500)),
    "quotes": "> " * 20_000 + "x",
    "marks": "*a _b ~~c " * 10_000,
    "one line": "x" * 500_000,
}


@pytest.mark.parametrize("width", WIDTHS)
def test_markup_in_a_token_never_runs(serve: Serve, browser: Browser, width: int) -> None:
    router = saying(
        [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": HOSTILE}]},
            FunctionCall(call_id="c1", name=SCRIPT, arguments=json.dumps({"a": SCRIPT})),
            FunctionCallOutput(call_id="c1", output=SCRIPT),
            {"type": f"acme:{SCRIPT}", "id": "x_1", "html": SCRIPT},
            *(HOSTILE[at : at + 7] for at in range(0, len(HOSTILE), 7)),
        ],
        description=SCRIPT,
        examples=[SCRIPT],
    )
    tab = Tab(browser, serve(AgentApp(router, playground=True, debug=True)), width)
    tab.ready()
    tab.ask(SCRIPT)
    tab.answered("three")
    for name in ("Events", "Trace"):
        tab.button(name).click()
        tab.leave_panel()
    text = tab.turns.last.locator(".message > .text")
    expect(text).to_contain_text('<script>window.hacked = 1</script><img src=x onerror="')
    expect(text.locator("strong")).to_have_text("bold")
    expect(text.locator("em")).to_have_text("slanted")
    expect(text.locator(":not(pre) > code")).to_have_text("a < b")
    expect(text.locator("pre")).to_have_text("<script>window.hacked = 1</script>")
    expect(text.locator("ol")).to_have_attribute("start", "3")
    expect(text.locator(".heading")).to_have_text("A <b>heading</b>")
    expect(text).to_contain_text("[a trap](javascript:window.hacked=1)")
    links = [each.get_attribute("href") for each in tab.page.get_by_role("link").all()]
    assert links == ["#message", "https://example.com/a?b=c"]
    assert tab.page.locator("body :is(script, img, b, iframe, object)").count() == 0
    assert not tab.overflows()
    tab.page.evaluate("""() => {
        const made = document.createElement("script");
        made.textContent = "window.hacked = 2";
        document.body.append(made);
        const image = document.createElement("div");
        image.innerHTML = "<img src=x onerror='window.hacked = 3'>";
        document.body.append(image);
    }""")
    tab.page.wait_for_timeout(100)
    assert tab.page.evaluate("window.hacked") is None
    assert sum("Content Security Policy" in each for each in tab.faults) == 2
    tab.close("Content Security Policy", REFUSED)


def test_what_markdown_has_is_shown(serve: Serve, browser: Browser) -> None:
    pieces = [RICH[at : at + 5] for at in range(0, len(RICH), 5)]
    tab = Tab(browser, serve(AgentApp(saying(pieces), playground=True)))
    tab.ready()
    tab.ask("Go.")
    tab.answered("Results")
    text = tab.turns.last.locator(".message > .text")
    assert text.locator("th").all_inner_texts() == ["tool", "ms"]
    assert text.locator("td").all_inner_texts()[-2:] == ["plot", "3"]
    expect(text.locator("td.right").first).to_have_text("12")
    expect(text.locator("ol > li")).to_have_count(2)
    expect(text.locator("ol > li").last).to_have_text("second\ngoes on")
    expect(text.locator("ol ul li")).to_contain_text("nested")
    expect(text.locator("ol ul pre")).to_have_text('print("a")\n\nprint("b")')
    expect(text.locator("ol ul figcaption span")).to_have_text("python")
    expect(text.get_by_text("☑ done")).to_be_visible()
    expect(text.locator("blockquote li")).to_have_text("in a list")
    link = text.get_by_role("link", name="https://example.com/a_(b)")
    expect(link).to_have_attribute("href", "https://example.com/a_(b)")
    expect(text.locator("del")).to_have_text("gone")
    expect(text.locator("em > strong")).to_have_text("both")
    expect(text.locator("hr")).to_have_count(1)
    expect(text.locator("img")).to_have_count(1)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text.locator("figure").get_by_role("button", name="Copy").click()
    expect(text.get_by_role("button", name="Copied")).to_be_visible()
    assert tab.page.evaluate("navigator.clipboard.readText()") == 'print("a")\n\nprint("b")'
    tab.close()


def test_an_image_from_elsewhere_is_loaded_when_the_user_asks(
    serve: Serve, browser: Browser
) -> None:
    url = serve(AgentApp(saying(["![a cat](https://images.example/cat.svg)"]), playground=True))
    tab = Tab(browser, url)
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    tab.page.route(
        "https://images.example/*",
        lambda route: route.fulfill(body=svg, content_type="image/svg+xml"),
    )
    tab.ready()
    tab.ask("Go.")
    tab.answered("Load the image “a cat” from images.example")
    assert tab.foreign == []
    tab.page.get_by_role("button", name="Load the image").click()
    image = tab.turns.last.get_by_role("img", name="a cat")
    expect(image).to_have_js_property("naturalWidth", 9)
    assert tab.foreign == ["https://images.example/cat.svg"]
    tab.foreign.clear()
    tab.close()


def test_a_streamed_text_does_not_flicker(serve: Serve, browser: Browser) -> None:
    """Of what is still open no marks are shown, and what is finished stays the same node."""
    tab = Tab(browser, serve(AgentApp(Held().router, playground=True)))
    tab.ready()
    shown = tab.page.evaluate(
        """async () => {
            const { MarkdownView } = await import("/playground/markdown.js");
            const view = new MarkdownView();
            const text = "A **bold** b, `code`, [a link](https://a.example/b).\\n\\n- one\\n- two";
            const seen = [];
            let first = null;
            for (let end = 1; end <= text.length; end++) {
                view.update(text.slice(0, end), end < text.length);
                first ??= view.node.firstChild;
                if (view.node.firstChild !== first) throw new Error("replaced");
                seen.push(view.node.textContent);
            }
            return seen;
        }"""
    )
    assert not any(mark in text for text in shown for mark in ("*", "`", "](", "https"))
    tab.close()


def test_the_order_of_letters_cannot_be_turned(serve: Serve, browser: Browser) -> None:
    text = f"{BIDI} `{BIDI}`\n\n```\n{BIDI}\n```"
    router = saying([FunctionCall("open", {"file": BIDI}), text])
    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask(BIDI)
    tab.answered("safe \\u202Etxt.exe")
    assert "\u202e" not in tab.page.locator("body").inner_text()
    tab.close()


def test_citations_are_numbered_sources(serve: Serve, browser: Browser) -> None:
    router = saying(
        [
            "It is 🌍 blue.",
            Citation("https://a.example/sky_(blue)", "The sky", 6, 7),
            " It is wide.",
            Citation("https://b.example/", "Width"),
            Citation("https://a.example/sky_(blue)", "The sky"),
        ]
    )
    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    tab.answered("It is 🌍1 blue. It is wide.21")
    sources = tab.turns.last.get_by_role("group", name="Sources")
    links = sources.get_by_role("link")
    assert [each.get_attribute("href") for each in links.all()] == [
        "https://a.example/sky_(blue)",
        "https://b.example/",
    ]
    expect(sources.locator("li").first).to_have_text("The sky a.example")
    tab.close()


def test_structured_output_is_a_table_or_a_tree(serve: Serve, browser: Browser) -> None:
    rows = [{"city": "Oslo", "at": {"x": 1}}, {"city": "Rome", "hot": True}]
    for value, cells in ((rows, 6), ({"answer": 84, "steps": ["3 + 4"]}, 0)):
        router = saying([json.dumps(value)])
        tab = Tab(browser, serve(AgentApp(router, playground=True)))
        tab.ready()
        tab.ask("Go.")
        tab.answered("Structured output")
        shown = tab.turns.last.locator(".structured")
        expect(shown.locator("td")).to_have_count(cells)
        expect(shown.locator(".leaf").first).to_have_text("Oslo" if cells else "84")
        shown.get_by_role("button", name="JSON", exact=True).click()
        assert json.loads(shown.locator("pre").inner_text()) == value
        tab.close()


def test_what_is_open_stays_so_when_the_turn_ends(serve: Serve, browser: Browser) -> None:
    router, go = AgentRouter("pausing"), threading.Event()

    @router.stream
    async def answer(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield '{"answer": 84}'
        yield FunctionCall("look", {})
        while not go.is_set():
            await asyncio.sleep(0.01)
        yield "Ended."

    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    shown = tab.turns.last.locator(".structured")
    shown.get_by_role("button", name="JSON", exact=True).click()
    go.set()
    tab.answered("Ended.")
    expect(shown.locator("pre")).to_be_visible()
    tab.close()


@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_answer_is_harmless(serve: Serve, browser: Browser, kind: str) -> None:
    """If the time were quadratic, it would be minutes."""
    tab = Tab(browser, serve(AgentApp(saying([HUGE[kind], "\n\nEnded."]), playground=True)), 400)
    tab.ready()
    tab.ask("Go.")
    tab.answered("Ended.")
    assert not tab.overflows()
    tab.message.fill("still there")
    tab.close()


def test_parsing_is_linear_and_loses_nothing() -> None:
    folder = ROOT / "agent_asgi" / "endpoints" / "playground"
    script = Path(__file__).with_name("markdown.mjs")
    done = subprocess.run(
        [str(NODE), str(script), str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
