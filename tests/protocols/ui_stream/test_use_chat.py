"""`Chat` of @ai-sdk/react, of AI SDK 5, 6 and 7, against a real server: what it shows."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.clients.harness import CLOSED
from tests.clients.packages import FOLDER, NODE
from tests.support.calling import Json
from tests.support.servers import serving
from tests.support.ui_agents import app

SECONDS = 90
STEP = {"type": "step-start"}
ERASE = {"type": "dynamic-tool", "toolName": "erase", "input": {"path": "/a"}}


def text(said: str) -> Json:
    return {"type": "text", "text": said, "state": "done"}


def answer(*parts: Json, **more: Any) -> Json:
    return {"parts": [STEP, *parts], "status": "ready", "errors": [], "calls": [], **more}


OWN = {
    "type": "dynamic-tool",
    "toolName": "look",
    "state": "output-available",
    "input": {"at": 1},
    "output": {"seen": True},
    "providerExecuted": True,
}


def weather(city: str) -> Json:
    state = {"state": "output-available", "input": {"city": city}, "output": f"sunny in {city}"}
    return {"type": "tool-get_weather", **state}


EXPECTED: dict[str, Any] = {
    "text": answer(text("Hello there.")),
    "reasoning": answer(
        {"type": "reasoning", "text": "Let me think.", "state": "done"}, text("Thought.")
    ),
    "own": answer(text("Let me look. "), OWN, STEP, text("Seen.")),
    "failing": answer(
        {
            "type": "dynamic-tool",
            "toolName": "look",
            "state": "output-error",
            "input": {},
            "errorText": "Too dark.",
            "providerExecuted": True,
        }
    ),
    "sources": answer(
        text("As said."), {"type": "source-url", "url": "https://example.org/a", "title": "A"}
    ),
    "picture": answer(
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="}
    ),
    "incomplete": answer(text("Cut")),
    "metadata": {
        "same": True,
        "trace": True,
        "usage": {
            "inputTokens": 3,
            "outputTokens": 2,
            "totalTokens": 5,
            "cachedInputTokens": 0,
            "reasoningTokens": 0,
        },
    },
    "data": {
        "parts": [STEP, {"type": "data-chart", "data": [1, 2]}],
        "data": [["data-progress", {"percent": 5}], ["data-chart", [1]], ["data-chart", [1, 2]]],
    },
    "files": [STEP, text("input_image input_file input_text")],
    "client": {
        "parts": [
            STEP,
            weather("Paris"),
            weather("Rome"),
            STEP,
            text("It is sunny in Paris and sunny in Rome."),
        ],
        "messages": 2,
        "errors": [],
    },
    "turns": [STEP, text("user assistant tool assistant user")],
    "regenerate": {"parts": [STEP, text("user")], "messages": 2, "same": False},
    "edit": {"parts": [STEP, text("user")], "messages": 2},
    "last": {"parts": [STEP, text("user assistant user")], "errors": []},
    "abort": {"status": "ready", "aborted": True, "errors": []},
    "resume": {
        "parts": [STEP, text("".join(f"word {n} " for n in range(40)) + "end")],
        "messages": 2,
        "errors": [],
        "after": "ready",
        "still": 2,
    },
    "stop": {"stopped": 204, "whole": False, "status": "ready", "errors": []},
}
APPROVALS: dict[str, Any] = {
    name: {
        "before": [
            STEP,
            text("May I? "),
            ERASE | {"state": "approval-requested", "providerExecuted": True},
        ],
        "after": [
            STEP,
            text("May I? "),
            ERASE | {"providerExecuted": True, "approved": name == "approve", **done},
            STEP,
            text(f"{said}. My reason."),
        ],
        "next": [STEP, text("user assistant tool assistant user")],
        "messages": 4,
        "calls": [],
        "errors": [],
    }
    for name, said, done in (
        ("approve", "Done", {"state": "output-available", "output": "erased"}),
        ("deny", "Kept", {"state": "output-denied"}),
    )
}
"""AI SDK 5 has no approvals."""


def seen(version: int, cells: list[str]) -> dict[str, Json]:
    """Return what a chat sees, by cell."""
    with serving(app()) as server:
        done = subprocess.run(
            [
                str(NODE),
                str(FOLDER / "node" / "driver.mjs"),
                f"use_chat:chat{version}",
                server.url,
                *cells,
            ],
            env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", "HTTP_PROXY": CLOSED},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"cell"')]
    assert len(lines) == len(cells), done.stderr[-2000:]
    return {line.pop("cell"): line for line in lines}


@pytest.mark.parametrize("version", [5, 6, 7])
def test_a_chat_shows_what_the_agent_does(version: int) -> None:
    expected = EXPECTED | (APPROVALS if version > 5 else {})
    cells = seen(version, [*expected, "error", "refused"])
    failed, refused = cells.pop("error")["seen"], cells.pop("refused")["seen"]
    assert cells == {cell: {"seen": outcome} for cell, outcome in expected.items()}
    assert failed["status"] == refused["status"] == "error"
    assert failed["parts"][1]["text"] == "Begun"
    assert "secret" not in str(failed["errors"])
    assert len(failed["errors"]) == len(refused["errors"]) == 1
    assert json.loads(refused["errors"][0])["error"]["message"] == "Too hot."
