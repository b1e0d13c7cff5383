"""README's first agent, asked twice in one conversation by each protocol: text, never a repr."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_asgi.testing import parse_frame
from tests.support.calling import connect as openai_client
from tests.support.pages import FENCE, ROOT
from tests.support.websocket_client import connect, turn

FIRST, SECOND = "What is 12 * 3?", "And times 2?"
ANSWERS = [f"You asked: {FIRST}", f"You asked: {SECOND}"]
Talk = Callable[[str], list[str]]


PAGES = ["README.md", "docs/index.md"]


@pytest.fixture(params=PAGES)
def url(request: pytest.FixtureRequest, serve: Callable[[Any], str]) -> str:
    """Serve the first agent of a page."""
    names: dict[str, Any] = {"__name__": "tutor"}
    exec(compile(first_agent(request.param), request.param, "exec"), names)  # code from the docs
    return serve(names["app"])


def first_agent(page: str) -> str:
    """Return the code of a page's first agent with a handler."""
    blocks = FENCE.finditer((ROOT / page).read_text())
    return next(block["code"] for block in blocks if "@router.stream" in block["code"])


def by_responses(url: str) -> list[str]:
    client = openai_client(url)
    first = client.responses.create(model="tutor", input=FIRST)
    second = client.responses.create(model="tutor", input=SECOND, previous_response_id=first.id)
    return [first.output_text, second.output_text]


def by_a_stream_of_responses(url: str) -> list[str]:
    client, previous = openai_client(url), None
    texts = []
    for question in (FIRST, SECOND):
        with client.responses.stream(
            model="tutor", input=question, previous_response_id=previous
        ) as stream:
            final = stream.get_final_response()
        texts.append(final.output_text)
        previous = final.id
    return texts


def by_chat_completions(url: str) -> list[str]:
    client = openai_client(url)
    messages: list[Any] = [{"role": "user", "content": FIRST}]
    first = client.chat.completions.create(model="tutor", messages=messages)
    said = first.choices[0].message.content
    messages += [
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "text", "text": SECOND}]},
    ]
    chunks = client.chat.completions.create(model="tutor", messages=messages, stream=True)
    return [str(said), "".join(chunk.choices[0].delta.content or "" for chunk in chunks)]


def by_invocations(url: str) -> list[str]:
    items: list[Any] = [{"role": "user", "content": FIRST}]
    with urllib.request.urlopen(_invocation(url, input=items)) as answer:
        (message,) = json.load(answer)["output"]
    items += [message, {"role": "user", "content": SECOND}]
    with urllib.request.urlopen(_invocation(url, input=items, stream=True)) as answer:
        events = filter(None, map(parse_frame, answer.read().split(b"\n\n")))
        deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    return [message["content"][0]["text"], "".join(deltas)]


def _invocation(url: str, **body: Any) -> urllib.request.Request:
    content = {"content-type": "application/json"}
    return urllib.request.Request(f"{url}/invocations", json.dumps(body).encode(), content)


def by_websocket(url: str) -> list[str]:
    with connect(url) as socket:
        first = turn(socket, FIRST)
        second = turn(socket, SECOND, previous_response_id=first["id"])
    return [response["output"][0]["content"][0]["text"] for response in (first, second)]


@pytest.mark.parametrize(
    "talk",
    [
        by_responses,
        by_a_stream_of_responses,
        by_chat_completions,
        by_invocations,
        by_websocket,
    ],
)
def test_the_second_answer_is_text_too(url: str, talk: Talk) -> None:
    assert talk(url) == ANSWERS


@pytest.mark.parametrize("page", PAGES)
def test_the_terminal_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    (tmp_path / "tutor.py").write_text(first_agent(page))
    blocks = list(FENCE.finditer((ROOT / page).read_text()))
    place = next(i for i, block in enumerate(blocks) if block["how"] == "prints")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = os.environ | {"PATH": path, "OTEL_SDK_DISABLED": "true"}
    command = ["bash", "-c", blocks[place - 1]["code"]]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == blocks[place]["code"]
