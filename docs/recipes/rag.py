"""Answers questions about a handbook and cites its passages: agent-asgi dev rag.py"""

import math
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Document
from openai import AsyncOpenAI
from starlette.staticfiles import StaticFiles

from agent_asgi import AgentApp, AgentRouter, Citation, Output, ResponsesRequest
from agent_asgi.adapters.chat_completions import outputs

FOLDER = Path(__file__).parent / "handbook"
URL = os.environ.get("HANDBOOK_URL", "http://127.0.0.1:8000")
MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
INSTRUCTIONS = """Answer from these passages of the handbook only. After each statement, name its
passage, like [1]. If the passages do not answer the question, say so.

"""
MARKER = re.compile(r"\s*\[(\d+)\]|(?P<unfinished>\s*\[\d*$|\s+$)")

router = AgentRouter("handbook", description="Answers questions about the handbook")
client = AsyncOpenAI()


def words(text: str) -> list[str]:
    return [word.rstrip("s") for word in re.findall(r"\w+", text.lower()) if len(word) > 3]


def passages() -> list[Document]:
    """Read each paragraph of the handbook; its first line is the title."""
    texts = [(file, file.read_text().strip().split("\n\n")) for file in FOLDER.glob("*.txt")]
    return [
        Document(text, {"title": text.partition("\n")[0], "doc_uri": f"{URL}/{file.name}"})
        for file, paragraphs in sorted(texts)
        for text in paragraphs
    ]


@mlflow.trace(span_type="RETRIEVER")
def search(question: str, limit: int = 3) -> list[Document]:
    """Return the passages that share the most and the rarest words with the question."""
    scores: dict[int, float] = {}
    found = passages()
    known = [words(passage.page_content) for passage in found]
    for word in set(words(question)):
        fitting = [number for number, each in enumerate(known) if word in each]
        for number in fitting:
            rarity = math.log(1 + len(known) / len(fitting))
            scores[number] = scores.get(number, 0) + rarity
    best = sorted(scores, key=lambda number: -scores[number])
    return [found[number] for number in best[:limit]]


async def cited(parts: AsyncIterator[Any], sources: list[Document]) -> AsyncIterator[Output]:
    """Turn each [1] in the model's text into a citation, even if it is split between tokens."""
    text = ""
    async for part in parts:
        if not isinstance(part, str):
            yield part
            continue
        text += part
        while (marker := MARKER.search(text)) and marker["unfinished"] is None:
            yield text[: marker.start()]
            text = text[marker.end() :]
            if 0 < int(marker[1]) <= len(sources):
                source = sources[int(marker[1]) - 1].metadata
                yield Citation(source["doc_uri"], source["title"])
        complete = marker.start() if marker else len(text)
        yield text[:complete]
        text = text[complete:]
    yield text


@router.stream
async def answer(request: ResponsesRequest) -> AsyncIterator[Output]:
    sources = search(request.input_text)
    numbered = [f"[{number}] {each.page_content}" for number, each in enumerate(sources, 1)]
    system = {"role": "system", "content": INSTRUCTIONS + "\n\n".join(numbered)}
    chat: dict[str, Any] = {"model": MODEL, "messages": [system, *request.messages]}
    stream = await client.chat.completions.create(**chat, stream=True)
    return cited(outputs(stream), sources)


app = AgentApp(router, fallback=StaticFiles(directory=FOLDER), playground=True)
