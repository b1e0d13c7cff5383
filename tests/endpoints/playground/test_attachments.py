"""Images, files and audio, into the playground and out of it."""

import base64
from typing import Any

from playwright.sync_api import Browser, expect

from agent_asgi import AgentApp
from tests.endpoints.playground.agents import Echo, Serve, saying
from tests.support.browsing import Tab

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
WAV = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
FILES: list[Any] = [
    {"name": "dot.png", "mimeType": "image/png", "buffer": base64.b64decode(PNG)},
    {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"},
    {"name": "hum.wav", "mimeType": "audio/wav", "buffer": base64.b64decode(WAV)},
]


def test_files_are_attached_sent_and_shown(serve: Serve, browser: Browser) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True, single_user=True)))
    tab.ready()
    tab.page.locator("#files").set_input_files([*FILES, {**FILES[1], "name": "extra.txt"}])
    names = tab.page.get_by_role("list", name="Attachments").locator("li > span")
    expect(names).to_have_text(["dot.png", "notes.txt", "hum.wav", "extra.txt"])
    tab.page.get_by_role("button", name="Remove extra.txt").click()
    tab.ask("See these.")
    tab.answered("[See these.]")
    (message,) = agent.bodies[-1]["input"]
    text = base64.b64encode(b"hello").decode()
    assert message["content"] == [
        {"type": "input_text", "text": "See these."},
        IMAGE,
        {
            "type": "input_file",
            "filename": "notes.txt",
            "file_data": f"data:text/plain;base64,{text}",
        },
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
    ]
    expect(names).to_have_count(0)

    def see() -> None:
        asked = tab.turns.first.locator(".asked")
        expect(asked.locator("img")).to_have_js_property("naturalWidth", 1)
        expect(asked.locator("audio")).to_have_count(1)
        link = asked.get_by_role("link", name="notes.txt")
        href = f"data:application/octet-stream;base64,{text}"
        expect(link).to_have_attribute("href", href)
        expect(link).to_have_attribute("download", "notes.txt")

    see()
    tab.page.reload()
    see()
    tab.button("Retry").click()
    tab.answered("[See these.]")
    assert len(agent.bodies[-1]["input"][0]["content"]) == 4
    see()
    tab.page.locator("#conversations .entry").click()
    see()
    tab.close()


def test_files_are_dropped_and_pasted(serve: Serve, browser: Browser) -> None:
    agent = Echo()
    tab = Tab(browser, serve(AgentApp(agent.router, playground=True)))
    tab.ready()
    tab.page.evaluate(
        """() => {
            const files = (name) => {
                const data = new DataTransfer();
                data.items.add(new File(["x"], name, { type: "text/plain" }));
                return data;
            };
            const drop = new DragEvent("drop", { dataTransfer: files("a.txt"), cancelable: true });
            window.dispatchEvent(drop);
            const clipboardData = files("b.txt");
            const paste = new ClipboardEvent("paste", { clipboardData, cancelable: true });
            document.getElementById("message").dispatchEvent(paste);
        }"""
    )
    tab.page.get_by_role("button", name="Remove b.txt").wait_for()
    big: Any = {"name": "big.bin", "mimeType": "application/x", "buffer": b"x" * (7 << 20)}
    tab.page.locator("#files").set_input_files([big])
    expect(tab.page.get_by_role("alert")).to_contain_text("big.bin is not attached")
    tab.message.press("Enter")
    tab.answered("[]")
    names = [each["filename"] for each in agent.bodies[-1]["input"][0]["content"]]
    assert sorted(names) == ["a.txt", "b.txt"]
    tab.close()


def test_media_of_an_answer_are_shown(serve: Serve, browser: Browser) -> None:
    router = saying(
        [
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG},
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "Here."},
                    {"type": "output_audio", "data": WAV, "format": "wav", "transcript": "Hum."},
                    {"type": "output_file", "filename": "a.html", "file_data": "PGI+"},
                    {"type": "output_image", "image_url": "https://images.example/a.png"},
                ],
            },
        ]
    )
    tab = Tab(browser, serve(AgentApp(router, playground=True)))
    tab.ready()
    tab.ask("Go.")
    tab.answered("Here.")
    answer = tab.turns.last.locator(".answer")
    expect(answer.locator("img")).to_have_js_property("naturalWidth", 1)
    expect(answer.get_by_text("Hum.")).to_be_visible()
    link = answer.get_by_role("link", name="a.html")
    expect(link).to_have_attribute("href", "data:application/octet-stream;base64,PGI+")
    expect(answer.get_by_role("button", name="from images.example")).to_be_visible()
    tab.close()
