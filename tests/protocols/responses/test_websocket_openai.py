"""The OpenAI client over a WebSocket: `client.responses.connect()` against a real server."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import calculator
import openai
import pytest
from openai.types.responses.responses_server_event import ResponseWsError
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent_asgi import AgentApp
from tests.support.openresponses_schema import validate_event
from tests.support.stream_rules import TERMINAL, check_stream
from tests.support.traces import traces
from tests.support.weather_tool import TOOL
from tests.support.websocket_agent import Agent

Serve = Callable[[Any], str]
ENDS = (*TERMINAL, "error")


def client_of(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, timeout=10, max_retries=0)


@contextlib.contextmanager
def connected(url: str, key: str = "none", **options: Any) -> Iterator[Any]:
    """Open a connection with a new client."""
    with client_of(url, key) as client, client.responses.connect(**options) as made:
        yield made


def turn(connection: Any, input: Any, **fields: Any) -> list[Any]:
    """Run a turn; return its events."""
    connection.response.create(input=input, **fields)
    events: list[Any] = []
    for each in connection:
        events.append(each)
        if each.type in ENDS:
            break
    return events


def answer(connection: Any, input: Any, **fields: Any) -> Any:
    """Run a turn that completes; return its response."""
    events = turn(connection, input, **fields)
    assert events[-1].type == "response.completed"
    return events[-1].response


def code(connection: Any, input: Any, **fields: Any) -> tuple[int, str]:
    """Run a turn that is answered with a single error; return its status and code."""
    (event,) = turn(connection, input, **fields)
    assert isinstance(event, ResponseWsError)
    assert event.status is not None
    return event.status, str(event.error.code)


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_turns(serve: Serve, prefix: str) -> None:
    with connected(serve(calculator.app) + prefix) as connection:
        events = turn(connection, "12 * (3 + 4)", model="calculator")
        deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
        assert "".join(deltas).endswith("The answer is 84.")
        assert [each.sequence_number for each in events] == list(range(len(events)))
        first = events[-1].response
        second = answer(connection, "and times 3?", previous_response_id=first.id)
        assert second.output_text.endswith("The answer is 252.")


def test_turns_of_the_async_client(serve: Serve) -> None:
    url = serve(calculator.app)

    async def ask(connection: Any, input: str, **fields: Any) -> Any:
        await connection.response.create(input=input, store=False, **fields)
        async for event in connection:
            if event.type in ENDS:
                return event
        raise AssertionError("the connection is closed")

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            async with client.responses.connect() as connection:
                first = (await ask(connection, "7 squared")).response
                assert first.output_text.endswith("The answer is 49.")
                error = await ask(connection, "x", previous_response_id="resp_none")
                assert (error.type, error.status) == ("error", 400)
                fields = {"previous_response_id": first.id}
                second = (await ask(connection, "and times 3?", **fields)).response
                assert "147" in second.output_text
                await connection.close()
                with pytest.raises(ConnectionClosed):
                    await connection.recv()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_clients_own_tool(serve: Serve) -> None:
    with connected(serve(calculator.app)) as connection:
        question = "What's the weather in Paris?"
        first = answer(connection, question, tools=[TOOL], store=False)
        call = first.output[-1]
        assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        fields = {"tools": [TOOL], "store": False, "previous_response_id": first.id}
        assert "sunny" in answer(connection, [output], **fields).output_text


def test_the_handler_sees_call_and_output(serve: Serve) -> None:
    agent = Agent()
    with connected(serve(AgentApp(agent.router))) as connection:
        first = answer(connection, "call", store=False)
        output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
        second = answer(connection, [output], store=False, previous_response_id=first.id)
        assert agent.seen[-1] == ["call", "look", "42"]
        answer(connection, "and?", store=False, previous_response_id=second.id)
        assert agent.seen[-1] == ["call", "look", "42", "answer 3", "and?"]


def test_errors(serve: Serve) -> None:
    with connected(serve(AgentApp(Agent().router))) as connection:
        assert code(connection, "busy") == (429, "busy")
        assert code(connection, "fail") == (500, "agent_error")
        assert code(connection, "x", background=True) == (400, "invalid_request")
        assert code(connection, "x", top_p=7) == (400, "invalid_request")
        missing = code(connection, "x", previous_response_id="resp_none")
        assert missing == (400, "previous_response_not_found")
        assert answer(connection, "x").output_text == "answer 1"


def test_a_handler_that_fails_after_output(serve: Serve) -> None:
    with connected(serve(AgentApp(Agent().router))) as connection:
        connection.response.create(input="break")
        events = [json.loads(connection.recv_bytes())]
        while events[-1]["type"] not in ENDS:
            events.append(json.loads(connection.recv_bytes()))
        for each in events:
            validate_event(each)
        *before, last = events
        assert last["type"] == "response.failed"
        error = {**last["response"]["error"], "param": None, "type": "model_error"}
        number = last["sequence_number"]  # a stream has an `error` event here, a turn does not
        event = error | {"type": "error", "error": error, "sequence_number": number}
        check_stream([*before, event, last | {"sequence_number": number + 1}])
        assert answer(connection, "x").output_text == "answer 1"


def test_what_turns_leave_behind(serve: Serve) -> None:
    url = serve(AgentApp(Agent("ws-kept").router))
    with connected(url) as connection, client_of(url) as client:
        kept, other = answer(connection, "one"), answer(connection, "two", store=False)
        assert code(connection, "fail") == (500, "agent_error")
        found = client.responses.retrieve(kept.id)
        assert (found.id, found.output_text, found.status) == (kept.id, "answer 1", "completed")
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(other.id)
    first, second, third = traces(agent="ws-kept")
    assert first.data.spans[0].inputs == {"input": "one"}
    for trace, response in ((first, kept), (second, other)):
        assert trace.info.tags["agent_asgi.response_id"] == response.id
        assert trace.info.tags["agent_asgi.status"] == "completed"
        assert trace.data.spans[0].outputs["output"][0]["content"][0]["text"] == "answer 1"
    assert third.info.tags["agent_asgi.status"] == "failed"


def test_closing(serve: Serve) -> None:
    with connected(serve(AgentApp(Agent().router))) as connection:
        answer(connection, "x")
        connection.close()
        assert list(connection) == []
        with pytest.raises(ConnectionClosed):
            connection.recv()


class Keys(AuthenticationBackend):
    """Accepts any key except "nobody" as the user's name."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        name = conn.headers["authorization"].removeprefix("Bearer ")
        if name == "nobody":
            raise AuthenticationError("who are you?")
        return AuthCredentials(), SimpleUser(name)


def test_authentication(serve: Serve) -> None:
    agent = Agent()
    middleware = [Middleware(AuthenticationMiddleware, backend=Keys())]
    url = serve(AgentApp(agent.router, middleware=middleware))
    with pytest.raises(InvalidStatus, match="403"), connected(url, "nobody"):
        pass
    with connected(url, "ann") as ann, connected(url, "ann") as again, connected(url, "bob") as bob:
        first = answer(ann, "one")
        refusal = code(bob, "two", previous_response_id=first.id)
        assert refusal == (400, "previous_response_not_found")
        answer(again, "three", previous_response_id=first.id)
        assert agent.seen == [["one"], ["one", "answer 1", "three"]]


def test_request_id(serve: Serve) -> None:
    url = serve(AgentApp(Agent().router))
    for given in ({"x-request-id": "mine-1"}, {}):
        with connected(url, extra_headers=given) as connection:
            found = connection._connection.response.headers["x-request-id"]
            assert found == "mine-1" if given else found.startswith("req_")
