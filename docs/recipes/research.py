"""Researches a topic in Wikipedia, and survives reloads and crashes: agent-asgi dev research.py"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
from openai import AsyncOpenAI
from starlette.responses import FileResponse
from starlette.routing import Route, Router

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Citation,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Output,
    Reasoning,
    ResponsesRequest,
)
from agent_asgi.adapters.chat_completions import outputs

WIKIPEDIA = os.environ.get("WIKIPEDIA_URL", "https://en.wikipedia.org/w/api.php")
MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
PAGE = Path(__file__).parent / "research.html"
PLAN = "Write three short search queries to research the topic, one a line, without numbers."
WRITE = "Write one paragraph of a report about {topic}, from this article only:\n\n{article}"

router = AgentRouter("research", description="Writes a report about a topic")
client = AsyncOpenAI()


async def complete(system: str, text: str, **options: Any) -> Any:
    messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return await client.chat.completions.create(model=MODEL, messages=messages, **options)


async def find_article(query: str) -> dict[str, Any]:
    """Return the title, address and introduction of the article that fits best."""
    search = {"action": "query", "format": "json", "generator": "search", "gsrlimit": 1}
    fields = {"prop": "extracts|info", "exintro": 1, "explaintext": 1, "inprop": "url"}
    params: dict[str, Any] = {**search, **fields, "gsrsearch": query}
    headers = {"user-agent": "agent-asgi-recipe/1.0"}
    async with httpx2.AsyncClient(timeout=20, headers=headers) as http:
        answer = await http.get(WIKIPEDIA, params=params)
    pages: dict[str, Any] = answer.raise_for_status().json().get("query", {}).get("pages", {})
    return next(iter(pages.values()), {"title": query, "extract": "", "fullurl": ""})


def finished(context: Context, kind: str) -> list[dict[str, Any]]:
    """Return the items that an earlier attempt finished before its server died."""
    ends = [each for each in context.previous_events if each["type"].endswith("output_item.done")]
    items = [each["item"] for each in ends if each["item"]["type"] == kind]
    return [item for item in items if item.get("phase") != "commentary"]


@router.stream
async def research(request: ResponsesRequest, context: Context) -> AsyncIterator[Output]:
    topic, plans = request.input_text, finished(context, "reasoning")
    if plans:
        plan = plans[0]["summary"][0]["text"]
    else:
        plan = (await complete(PLAN, topic)).choices[0].message.content
        yield Reasoning(plan)
    for query in plan.splitlines()[len(finished(context, "message")) :]:
        call = FunctionCall("find_article", {"query": query})
        yield call
        article = await find_article(query)
        yield FunctionCallOutput(call.call_id, article["title"])
        system = WRITE.format(topic=topic, article=article["extract"])
        async for output in outputs(await complete(system, query, stream=True)):
            yield output
        yield Citation(article["fullurl"], article["title"])


page = Router([Route("/", lambda _: FileResponse(PAGE))])
app = AgentApp(router, store="sqlite:///research.db", fallback=page)
