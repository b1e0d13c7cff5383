"""Each run logs one line; every record names its request."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.authentication import AuthCredentials, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest, Timeouts, Usage
from agent_asgi.observability.logging import RequestIdFilter
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.calling import Serve, connect, ended, until

SECRET = "xyzzy-is-the-word"
HEADERS = {"authorization": f"Bearer {SECRET}", "x-request-id": "req_mine", "cookie": SECRET}


def talker(name: str = "talker") -> AgentRouter:
    router = AgentRouter(name)

    @router.stream
    async def talk(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield f"{SECRET} out"
        if "fail" in str(request.to_dict()):
            raise ValueError(SECRET)
        yield Usage(input_tokens=7, output_tokens=5)

    return router


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(each) for each in caplog.records if each.name == "agent_asgi.runs"]


class Everybody:
    """Authenticates every request as the same user."""

    async def authenticate(self, connection: HTTPConnection) -> Any:
        return AuthCredentials(), SimpleUser("ann")


@pytest.mark.parametrize("stream", [True, False])
def test_a_line_has_what_it_took_but_not_what_it_said(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:

    class WithUser(AuthenticationMiddleware):
        def __init__(self, app: Any) -> None:
            super().__init__(app, backend=Everybody())  # type: ignore[arg-type]  # duck-typed

    async def main() -> dict[str, Any]:
        async with started(AgentApp(talker(), middleware=[Middleware(WithUser)])) as app:
            body = {"input": f"{SECRET} in", "stream": stream, "user": "not ann"}
            answer = await AgentClient(app, HEADERS).post("/v1/responses", body)
            assert answer.headers["x-request-id"] == "req_mine"
            events = answer.events() if stream else [{"response": answer.json()}]
            return {**events[-1]["response"], "events": len(events) if stream else 0} | {
                "trace": answer.headers["x-mlflow-trace-id"]
            }

    with caplog.at_level(logging.INFO):
        response = asyncio.run(main())
    (line,) = lines(caplog)
    ours = {name: value for name, value in line.items() if name in LINE}
    assert ours == {
        "request_id": "req_mine",
        "response_id": response["id"],
        "agent": "talker",
        "trace_id": response["trace"],
        "principal": "ann",
        "cause": None,
        "error": None,
        "mode": "stream" if stream else "json",
        "status": "completed",
        "input_tokens": 7,
        "output_tokens": 5,
        "events": response["events"],
    }
    assert 0 < line["milliseconds"] < 30_000
    first = line["first_event_milliseconds"]
    assert (0 < first <= line["milliseconds"]) if stream else first is None
    told = [f"{each.name} {each.getMessage()} {vars(each)}" for each in caplog.records]
    assert not [each for each in told if SECRET in each and not each.startswith("mlflow")]


LINE = {
    *("request_id", "response_id", "trace_id", "principal", "agent", "mode", "status", "cause"),
    *("error", "events", "input_tokens", "output_tokens"),
}


def test_a_line_says_why_a_run_ended_early(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter("early")

    @router.stream
    async def wait(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "begun"
        if request.input:
            await asyncio.sleep(30)

    async def main() -> None:
        async with started(AgentApp(router, timeouts=Timeouts(run=0.2))) as app:
            async with AgentClient(app).stream("/responses", {"input": "x", "stream": True}) as s:
                async for _ in s.bodies():
                    break
            await AgentClient(app).post("/responses", {"input": "x"})
        async with started(AgentApp(talker("failing"))) as app:
            await AgentClient(app).post("/responses", {"input": "fail"})

    with caplog.at_level(logging.INFO, logger="agent_asgi.runs"):
        asyncio.run(main())
    assert [(each["status"], each["cause"], each["error"]) for each in lines(caplog)] == [
        ("cancelled", "client_disconnected", None),
        ("failed", "timeout", "timeout"),
        ("failed", None, "agent_error"),
    ]


def test_nothing_is_logged_of_runs_above_info(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with started(AgentApp(talker())) as app:
            await AgentClient(app).post("/responses", {"input": "x"})

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert not lines(caplog)


def test_each_record_says_which_request_it_is_of(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    own = logging.getLogger("of-a-user")
    caplog.handler.addFilter(RequestIdFilter())
    ids: list[str] = []

    @asynccontextmanager
    async def lifespan(app: AgentApp) -> AsyncIterator[None]:
        own.warning("starting")
        yield
        own.warning("ending")

    router = AgentRouter("threaded")

    @router.invoke
    def work(request: ResponsesRequest, context: Context) -> Iterator[str]:
        own.warning("in a thread")
        ids.append(context.request_id)
        yield "one"
        raise ValueError

    url = serve(AgentApp(router, lifespan=lifespan))
    with caplog.at_level(logging.INFO), connect(url) as client:
        for number in range(3):
            name = {"x-request-id": f"req_{number}"}
            with suppress(openai.InternalServerError):
                done = client.responses.create(
                    input="x", extra_headers=name, background=number == 2
                )
        assert ended(client, done.id).status == "failed"
        until(lambda: len(lines(caplog)) == 3)
    assert ids == ["req_0", "req_1", "req_2"]
    found = {(each.name, each.getMessage()): vars(each)["request_id"] for each in caplog.records}
    assert found["of-a-user", "starting"] == "-"
    of = [vars(each)["request_id"] for each in caplog.records if each.name == "of-a-user"]
    assert of == ["-", "req_0", "req_1", "req_2"]
    failed = [vars(each)["request_id"] for each in caplog.records if "failed." in each.message]
    assert failed == ["req_0", "req_1", "req_2"]
    assert [each["request_id"] for each in lines(caplog)] == ["req_0", "req_1", "req_2"]
    assert [each["mode"] for each in lines(caplog)] == ["json", "json", "background"]
    caplog.handler.removeFilter(caplog.handler.filters[-1])


def test_a_run_keeps_the_id_of_its_request_in_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[int, str]] = []
    router = AgentRouter("kept")

    @router.stream
    async def slow(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
        yield "begun"
        seen.append((context.attempt, context.request_id))
        if context.attempt == 1:
            await asyncio.sleep(30)

    def app() -> AgentApp:
        timeouts = Timeouts(drain=0.1, heartbeat=0.2, stalled=1, rescue=0.2)
        return AgentApp(router, store=f"sqlite:///{tmp_path}/r.db", timeouts=timeouts)

    async def begin() -> None:
        async with started(app()) as first:
            client = AgentClient(first, {"x-request-id": "req_kept"})
            await client.post("/responses", {"input": "x", "background": True})
            while not seen:
                await asyncio.sleep(0.02)

    async def go_on() -> None:
        async with started(app()):
            for _ in range(500):
                if len(lines(caplog)) == 2:
                    break
                await asyncio.sleep(0.02)

    with caplog.at_level(logging.INFO, logger="agent_asgi.runs"):
        asyncio.run(begin())
        asyncio.run(go_on())
    assert seen == [(1, "req_kept"), (2, "req_kept")]
    assert [(each["request_id"], each["status"]) for each in lines(caplog)] == [
        ("req_kept", "given_back"),
        ("req_kept", "completed"),
    ]


@pytest.mark.parametrize("kind", ["async", "sync", "stream"])
def test_an_unannotated_handler_is_told_to_annotate(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    router = AgentRouter()

    async def reply(request):  # type: ignore[no-untyped-def]  # as MLflow's examples have it
        return request.input

    def reply_in_a_thread(request):  # type: ignore[no-untyped-def]  # as above
        return request.input

    async def reply_in_parts(request):  # type: ignore[no-untyped-def]  # as above
        yield request.input

    if kind == "stream":
        router.stream(reply_in_parts)
    else:
        router.invoke(reply if kind == "async" else reply_in_a_thread)
    answer = asyncio.run(AgentClient(AgentApp(router)).post("/invocations", {"input": "x"}))
    assert answer.status == 500
    assert b"annotation" not in answer.body
    (message,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert "no annotation" in message
    assert "ResponsesAgentRequest" in message


def test_another_failure_gets_no_such_hint(caplog: pytest.LogCaptureFixture) -> None:
    router = AgentRouter()

    @router.invoke
    async def reply(request):  # type: ignore[no-untyped-def]  # as above
        return {}.input  # type: ignore[attr-defined]  # another dict

    asyncio.run(AgentClient(AgentApp(router)).post("/invocations", {"input": "x"}))
    (message,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert message == "Handler 'reply' of agent 'agent' failed."
