"""`GET /` without a playground: what is served, and how to get a playground."""

import asyncio
from typing import Any

from starlette.responses import PlainTextResponse

from agent_asgi import AgentApp, AgentRouter, BearerTokens, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer

TOKEN = "t-index"


def router(name: str, description: str | None = None) -> AgentRouter:
    router = AgentRouter(name, description=description)

    @router.invoke
    async def reply(request: ResponsesRequest) -> str:
        return "hi"

    return router


def get(app: Any, path: str = "/", **headers: str) -> Answer:
    return asyncio.run(AgentClient(app, headers).get(path))


def test_it_lists_the_agents_and_their_urls() -> None:
    answer = get(AgentApp(router("one", "Says <hi>"), router("two")))
    body = answer.json()
    assert [agent["name"] for agent in body["agents"]] == ["one", "two"]
    urls = {each["name"]: each["url"] for each in body["agents"][1]["protocols"]}
    assert urls["Responses"] == "/two/responses"
    assert body["docs"] == "/docs"
    assert "agent-asgi dev" in body["playground"]


def test_browsers_get_a_page() -> None:
    app = AgentApp(router("one", "Says <hi>"))
    page = get(app, accept="text/html,*/*;q=0.8")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "Says &lt;hi&gt;" in text
    assert 'href="/docs"' in text
    assert "/responses</code>" in text


def test_it_needs_authentication_as_agent_info_does() -> None:
    app = AgentApp(router("one"), authenticate=BearerTokens({TOKEN: "ann"}))
    assert get(app).status == 401
    assert get(app, authorization=f"Bearer {TOKEN}").status == 200


def test_a_fallback_and_a_playground_take_its_place() -> None:
    fallback = PlainTextResponse("front end")
    assert get(AgentApp(router("one"), fallback=fallback)).body == b"front end"
    assert b"<title>" in get(AgentApp(router("one"), playground=True)).body
