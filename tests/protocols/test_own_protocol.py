"""A custom protocol (docs/protocols.md): the framework provides everything around it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import ask as example
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter, BearerTokens, Limits, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, started
from tests.support.asking import fetch

TOKEN = "ann-7c1e-secret"


def frames(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(b"data: ")) for line in body.split(b"\n\n") if line]


def app_of(router: AgentRouter, **options: Any) -> AgentApp:
    return AgentApp(router, protocols=[example.Ask()], **options)


@pytest.fixture
def echo() -> AgentRouter:
    router = AgentRouter("echo")

    @router.stream
    async def echo(request: ResponsesRequest) -> AsyncIterator[str]:
        for word in request.input_text.split(" "):
            await asyncio.sleep(0)
            yield word + " "

    return router


def test_one_json_answer(echo: AgentRouter) -> None:
    answer = ask(app_of(echo), "/ask", {"question": "Hello there"})
    assert answer.status == 200
    assert answer.json() | {"id": ""} == {"id": "", "status": "completed", "say": "Hello there "}


def test_a_stream(echo: AgentRouter) -> None:
    answer = ask(app_of(echo), "/ask", {"question": "Hello there", "stream": True})
    begun, *said, end = frames(answer.body)
    assert begun["id"].startswith("resp_")
    assert said == [{"say": "Hello "}, {"say": "there "}]
    assert end == {"status": "completed"}


def test_a_background_run_is_followed_from_any_event(
    echo: AgentRouter, serve: Callable[[Any], str], store_url: str
) -> None:
    url = serve(app_of(echo, store=store_url))
    accepted = json.loads(
        fetch(url, "POST", "/ask", body={"question": "a b c", "background": True}).body
    )
    path = f"/ask/{accepted['id']}"
    whole = frames(fetch(url, "GET", f"{path}?stream=true").body)
    assert whole[0] == {"id": accepted["id"]}
    assert whole[1:] == [{"say": "a "}, {"say": "b "}, {"say": "c "}, {"status": "completed"}]
    # created, queued, in progress, item and part added come before the first text
    assert frames(fetch(url, "GET", f"{path}?stream=true&starting_after=5").body) == whole[2:]
    stored = json.loads(fetch(url, "GET", path).body)
    assert stored == {"id": accepted["id"], "status": "completed", "say": "a b c "}


def test_another_process_follows_it(echo: AgentRouter, tmp_path: Any) -> None:
    store = f"sqlite:///{tmp_path}/responses.db"

    async def background() -> str:
        app = app_of(echo, store=store)
        async with app.lifespan():
            answer = await AgentClient(app).post("/ask", {"question": "a b", "background": True})
            until = time.monotonic() + 20
            while time.monotonic() < until:
                found = await AgentClient(app).get(f"/ask/{answer.json()['id']}")
                if found.json()["status"] == "completed":
                    break
                await asyncio.sleep(0.02)
            return str(answer.json()["id"])

    async def follow(id_: str) -> Answer:
        app = app_of(echo, store=store)
        async with app.lifespan():
            return await AgentClient(app).get(f"/ask/{id_}?stream=true")

    id_ = asyncio.run(background())
    assert frames(asyncio.run(follow(id_)).body)[-2:] == [{"say": "b "}, {"status": "completed"}]


def test_two_mounts_deep_under_authentication(
    echo: AgentRouter, serve: Callable[[Any], str]
) -> None:
    app = app_of(echo, authenticate=BearerTokens({TOKEN: "ann"}))
    inner = Starlette(routes=[Mount("/inner", app)])
    url = serve(Starlette(routes=[Mount("/outer", inner)], lifespan=app.lifespan))
    assert fetch(url, "POST", "/outer/inner/ask", body={"question": "hi"}).status == 401
    answer = fetch(url, "POST", "/outer/inner/ask", TOKEN, {"question": "hi"})
    assert (answer.status, json.loads(answer.body)["say"]) == (200, "hi ")
    stored = f"/outer/inner/ask/{json.loads(answer.body)['id']}"
    assert fetch(url, "GET", stored, TOKEN).status == 200
    assert fetch(url, "GET", stored).status == 401


class Tagged(example.Ask):
    """The protocol at a path of the user's, with a header on its streams."""

    headers = ((b"x-stream", b"v1"),)

    def __init__(self, path: str) -> None:
        self.paths = (path,)
        self.stored_path = path + "/{id}"


def test_a_path_and_headers_of_its_own(echo: AgentRouter, serve: Callable[[Any], str]) -> None:
    app = AgentApp(echo, protocols=[Tagged("/say"), Tagged("/tell")])
    url = serve(app)
    for path in ("/say", "/tell"):
        plain = fetch(url, "POST", path, body={"question": "hi"})
        assert (plain.status, plain.headers.get("x-stream")) == (200, None)
        streamed = fetch(url, "POST", path, body={"question": "hi", "stream": True})
        assert streamed.headers["x-stream"] == "v1"
        body = {"question": "hi", "stream": True, "background": True}
        detached = fetch(url, "POST", path, body=body)
        assert detached.headers["x-stream"] == "v1"
        stored = f"{path}/{frames(detached.body)[0]['id']}?stream=true"
        assert fetch(url, "GET", stored).headers["x-stream"] == "v1"
    assert fetch(url, "POST", "/ask", body={"question": "hi"}).status == 404


def test_limits_hold(echo: AgentRouter) -> None:
    app = app_of(echo, limits=Limits(max_body_bytes=64))
    assert ask(app, "/ask", {"question": "x" * 100}).status == 413


def test_a_wrong_field_is_named(echo: AgentRouter) -> None:
    answer = ask(app_of(echo), "/ask", {"question": 7})
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "question"


def test_what_fails_has_the_usual_error() -> None:
    router = AgentRouter("broken")

    @router.invoke
    async def broken(request: ResponsesRequest) -> str:
        raise RuntimeError("secret")

    answer = ask(app_of(router), "/ask", {"question": "hi"})
    assert answer.status == 500
    assert "secret" not in answer.body.decode()


def test_its_routes_are_reserved(echo: AgentRouter) -> None:
    with pytest.raises(ValueError, match="'ask' is reserved"):
        AgentApp(echo, AgentRouter("ask"), protocols=[example.Ask()])


def test_an_end_that_its_encoder_cannot_write_is_stored_as_failed(echo: AgentRouter) -> None:
    class Broken(example.AskEncoder):
        def write(self, event: Any, buffer: bytearray) -> None:
            if event.type == "response.completed":
                raise ValueError("no such word")
            super().write(event, buffer)

    class BrokenAsk(example.Ask):
        def encoder(self, request: ResponsesRequest, response: Any) -> Broken:
            return Broken(response)

    async def main() -> Answer:
        async with started(AgentApp(echo, protocols=[BrokenAsk()])) as app:
            client = AgentClient(app)
            answer = await client.post("/ask", {"question": "a", "stream": True})
            first, *_, last = frames(answer.body)
            assert last == {"status": "failed"}
            return await client.get(f"/responses/{first['id']}")

    stored = asyncio.run(main()).json()
    assert (stored["status"], stored["error"]["code"]) == ("failed", "agent_error")
