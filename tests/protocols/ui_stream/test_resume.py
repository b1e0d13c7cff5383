"""A run that can be resumed: it goes on without its client, is followed again, and is stopped."""

import asyncio
import http.client
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentRouter,
    Context,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
)
from tests.support.asking import ANN, BOB, TOKENS, bearer, fetch
from tests.support.calling import QUICK, Json, Serve, until
from tests.support.servers import Server
from tests.support.ui_chat import (
    CHAT,
    PATH,
    agents,
    app_of,
    body,
    chunks_of,
    fold,
    text_of,
    tool,
    tools_of,
    user,
)

Answer = http.client.HTTPResponse
OPEN: list[http.client.HTTPConnection] = []
STREAM = f"{PATH}/{CHAT}/stream"
STOP = f"{PATH}/{CHAT}/stop"


class Slow:
    """An agent that says a word, waits for `go`, and says another.

    Attributes:
        causes: Why its runs ended before that.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.causes: list[str | None] = []
        self.router = AgentRouter("slow")
        self.router.stream(self._answer)

    async def _answer(self, request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        yield FunctionCall("look", {}, "c1")
        yield FunctionCallOutput("c1", "seen")
        yield "Begun, "
        self.begun.set()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.causes.append(context.cancelled.cause)
            raise
        yield "ended."


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Close the test's connections at its end."""
    yield
    while OPEN:
        OPEN.pop().close()


def send(
    url: str, method: str, path: str, token: str | None = None, sent: Json | None = None
) -> Answer:
    """Send a request; return the answer as soon as it begins."""
    OPEN.append(http.client.HTTPConnection(url.removeprefix("http://"), timeout=15))
    OPEN[-1].request(method, path, json.dumps(sent), bearer(token))
    return OPEN[-1].getresponse()


def begin(url: str, sent: Json, token: str | None = None) -> bytes:
    """Send a chat, read until the agent waits, and leave."""
    answer = send(url, "POST", PATH, token, sent)
    assert answer.status == 200, answer.read()
    got = b""
    while b"Begun" not in got:
        got += answer.read1()
    answer.close()
    OPEN.pop().close()
    return got


def follow(url: str, token: str | None = None, path: str = STREAM) -> Answer:
    """Follow a chat's run, which is active."""
    answer = send(url, "GET", path, token)
    assert answer.status == 200
    return answer


def test_a_client_that_comes_back_gets_the_whole_message(serve: Serve, store_url: str) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, store=store_url, timeouts=QUICK))
    assert fetch(url, "GET", STREAM).status == 204
    begin(url, body(user("x")))
    answers = [follow(url) for _ in range(2)]
    slow.go.set()
    for answer in answers:
        assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
        found = chunks_of(answer.read())
        assert text_of(found) == "Begun, ended."
        assert tools_of(found)[0]["output"] == "seen"
        assert found[0]["messageId"].startswith("resp_")
    until(lambda: fetch(url, "GET", STREAM).status, lambda status: status == 204)
    assert slow.causes == []


def test_another_server_follows_and_stops_it(serve: Serve, postgres: str) -> None:
    slow = Slow()
    one, two = (
        serve(app_of(slow.router, resume=True, store=postgres, timeouts=QUICK)) for _ in range(2)
    )
    begin(one, body(user("x")))
    answer = follow(two)
    assert fetch(two, "POST", STOP).status == 204
    found = chunks_of(answer.read())
    assert found[-1] == {"type": "abort"}
    assert slow.causes == ["client_cancelled"]


def test_leaving_cancels_a_run_that_cannot_be_resumed(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router))
    begin(url, body(user("x")))
    until(lambda: slow.causes, lambda causes: causes == ["client_disconnected"])
    assert fetch(url, "GET", STREAM).status == 204
    assert fetch(url, "POST", STOP).status == 404


def test_stop(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, timeouts=QUICK))
    assert fetch(url, "POST", STOP).status == 204
    begin(url, body(user("x")))
    answer = follow(url)
    assert fetch(url, "POST", STOP).status == 204
    found = chunks_of(answer.read())
    assert fold(found)["abort"]
    assert [chunk["type"] for chunk in found[-2:]] == ["text-end", "abort"]
    assert slow.causes == ["client_cancelled"]
    assert fetch(url, "GET", STREAM).status == 204


def test_a_second_message_waits_for_the_first(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, timeouts=QUICK))
    begin(url, body(user("x")))
    reply = fetch(url, "POST", PATH, body=body(user("y")))
    assert (reply.status, reply.error["code"]) == (409, "conversation_locked")
    slow.go.set()


def test_a_chat_is_its_owners_alone(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, authenticate=TOKENS, timeouts=QUICK))
    begin(url, body(user("x")) | {"id": "short"}, ANN)
    for rest in ("stream", "stop"):
        method = "GET" if rest == "stream" else "POST"
        assert fetch(url, method, f"{PATH}/short/{rest}").status == 401
        assert fetch(url, method, f"{PATH}/short/{rest}", BOB).status == 204
    answer = follow(url, ANN, f"{PATH}/short/stream")
    slow.go.set()
    assert text_of(chunks_of(answer.read())) == "Begun, ended."
    assert slow.causes == []


def test_without_users_only_an_id_that_nobody_guesses_resumes(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, timeouts=QUICK))
    begin(url, body(user("x")) | {"id": "talk"})
    assert fetch(url, "GET", f"{PATH}/talk/stream").status == 204
    assert fetch(url, "POST", f"{PATH}/talk/stop").status == 204
    assert slow.causes == []
    slow.go.set()


@pytest.mark.parametrize("id_", ["%00", "x" * 600, "a%2Fb", "%FF", "%F0%9F%98%80"])
def test_an_id_that_no_chat_can_have(serve: Serve, store_url: str, id_: str) -> None:
    url = serve(app_of(Slow().router, resume=True, single_user=True, store=store_url))
    for method, rest in (("GET", "stream"), ("POST", "stop")):
        assert fetch(url, method, f"{PATH}/{id_}/{rest}").status in (204, 400, 404)


def test_a_background_run_of_responses_is_followed(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, single_user=True, timeouts=QUICK))
    sent = {"input": "x", "background": True, "conversation": CHAT}
    assert fetch(url, "POST", "/responses", body=sent).status == 200
    answer = follow(url)
    slow.go.set()
    assert text_of(chunks_of(answer.read())) == "Begun, ended."


def test_another_agents_run_is_not_followed(serve: Serve) -> None:
    slow, other = Slow(), AgentRouter("other")
    other.invoke(lambda request: "x")
    url = serve(app_of(slow.router, other, resume=True, timeouts=QUICK))
    begin(url, body(user("x"), model="slow"))
    assert fetch(url, "GET", f"/other{STREAM}").status == 204
    answers = [follow(url, path=path) for path in (f"/slow{STREAM}", STREAM)]
    slow.go.set()
    assert [text_of(chunks_of(answer.read())) for answer in answers] == ["Begun, ended."] * 2


def test_a_run_that_continues_a_message_is_followed_from_that_messages_start(serve: Serve) -> None:
    slow = Slow()
    url = serve(app_of(slow.router, resume=True, timeouts=QUICK))
    part = tool("theirs", "c1", "output-available", output="sun")
    more: list[Json] = [
        {"type": "text", "text": "Let me see."},
        {"type": "reasoning", "text": "hm", "providerMetadata": {"p": {"a": 1}}},
        {"type": "data-x", "id": "d1", "data": {"n": 1}},
        {"type": "source-url", "sourceId": "s1", "url": "u", "title": None},
        part,
    ]
    got = begin(url, body(user("x"), agents(*more)))
    assert b"Let me see." not in got, "this client has the message"
    answer = follow(url)
    slow.go.set()
    message = fold(chunks_of(answer.read()))
    assert message["start"]["messageId"] == "a1"
    assert [each["type"] for each in message["parts"]] == [
        *("step-start", "text", "reasoning", "data-x", "source-url", "tool"),
        *("step-start", "tool", "step-start", "text"),
    ]
    assert message["parts"][5]["output"] == "sun"


def test_a_run_goes_on_when_its_server_dies(postgres: str) -> None:
    first, second = Slow(), Slow()
    app: AgentApp = app_of(first.router, resume=True, store=postgres, timeouts=QUICK)
    server = Server(app)
    begin(server.url, body(user("x")))
    server.stop()  # it releases the run
    other = Server(app_of(second.router, resume=True, store=postgres, timeouts=QUICK))
    try:
        assert second.begun.wait(15)
        answer = follow(other.url)
        second.go.set()
        assert text_of(chunks_of(answer.read())).endswith("Begun, ended.")
    finally:
        other.stop()
