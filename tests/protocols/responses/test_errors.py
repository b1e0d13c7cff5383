"""Every error as a client sees it, JSON and streamed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from starlette.exceptions import HTTPException

from agent_asgi import AgentApp, AgentError, AgentRouter, Limits, ResponsesRequest, Timeouts
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask_unstarted

SECRET = "the database password is hunter2"


class Broken:
    """An agent that fails the way its input says, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.router = AgentRouter("broken")
        self.router.stream(self.fail)

    async def fail(self, request: ResponsesRequest) -> AsyncIterator[str]:
        self.runs += 1
        kind = request.input_text
        if kind == "late":
            yield "partial"
        if kind == "slow":
            await asyncio.sleep(10)
        if kind == "http":
            raise HTTPException(429, "Slow down.", headers={"retry-after": "7"})
        if kind.isdigit():
            raise AgentError(f"Status {kind}.", int(kind), f"code_{kind}")
        raise RuntimeError(SECRET)


def post(app: AgentApp, body: Any, path: str = "/responses") -> Answer:
    """Send one request; return the whole answer."""
    return ask_unstarted(app, path, body, {"x-request-id": "r-1"})


def echo(name: str = "echo") -> AgentRouter:
    """Make an agent that never fails."""
    router = AgentRouter(name)

    @router.invoke
    async def say(request: ResponsesRequest) -> str:
        return "fine"

    return router


MESSAGE = {"type": "message", "role": "user", "content": "x"}


@pytest.mark.parametrize("path", ["/responses", "/v1/responses", "/invocations"])
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b"[1]", "invalid_request", None),
        ({}, "invalid_request", "input"),
        ({"input": 5}, "invalid_request", "input"),
        ({"input": "x", "stream": "false"}, "invalid_request", "stream"),
        ({"input": [{"content": "x"}]}, "invalid_request", "input[0].type"),
        ({"input": [MESSAGE, {**MESSAGE, "role": "pope"}]}, "invalid_request", "input[1].role"),
        ({"input": [{"role": "user"}]}, "invalid_request", "input[0].content"),
        ({"input": "x", "temperature": 9}, "invalid_request", "temperature"),
        ({"input": "x", "tools": [{"type": "function"}]}, "invalid_request", "tools[0].name"),
        ({"input": "x", "background": True, "store": False}, "invalid_request", "background"),
        (
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            "item_not_found",
            "input[0].id",
        ),
    ],
)
def test_bad_requests(path: str, body: Any, code: str, param: str | None) -> None:
    answer = post(AgentApp(echo()), body, path)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["code"]) == (400, "invalid_request", code)
    assert error["param"] == param
    assert answer.headers["x-request-id"] == "r-1"
    assert "x-should-retry" not in answer.headers
    assert param is None or error["message"].startswith(param.removesuffix(".type"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "status", "code", "message"),
    [
        ({"input": [{**MESSAGE, "role": "pope"}]}, 400, "invalid_request", "Invalid enum value"),
        ({"input": "x", "temperature": 9}, 400, "invalid_request", "temperature: Expected"),
        (
            {"input": "x", "background": True, "store": False},
            400,
            "invalid_request",
            "background: a background run needs `store`",
        ),
        (
            {"input": "x", "previous_response_id": "resp_1"},
            400,
            "previous_response_not_found",
            "previous_response_id: response 'resp_1'",
        ),
        ({"input": "x" * 2000}, 413, "request_too_large", "exceeds 1000 bytes"),
    ],
)
def test_the_openai_client_is_told_what_is_wrong(
    serve: Callable[[Any], str],
    options: dict[str, Any],
    status: int,
    code: str,
    message: str,
    stream: bool,
) -> None:
    url = serve(AgentApp(echo(), limits=Limits(max_body_bytes=1000)))
    with openai.OpenAI(base_url=url, api_key="none") as client:
        ask: Any = client.responses.create
        with pytest.raises(openai.APIStatusError) as caught:
            ask(stream=stream, extra_headers={"x-request-id": "mine"}, **options)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert message in caught.value.message
    assert caught.value.request_id == "mine"


def test_unknown_paths_and_methods_have_the_same_form() -> None:
    app = AgentApp(echo())
    missing = post(app, {}, "/nowhere")
    assert (missing.status, missing.json()["error"]["type"]) == (404, "not_found")
    wrong = asyncio.run(AgentClient(app).get("/feedback"))
    assert (wrong.status, wrong.json()["error"]["message"]) == (405, "Method Not Allowed")
    assert wrong.headers["x-request-id"].startswith("req_")


def test_too_large() -> None:
    app = AgentApp(echo(), limits=Limits(max_body_bytes=100))
    answer = post(app, {"input": "x" * 200})
    assert (answer.status, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("model", "status"), [("three", 404), (None, 400), ("two", 200)])
def test_models_of_several_agents(serve: Callable[[Any], str], model: Any, status: int) -> None:
    url = serve(AgentApp(echo("one"), echo("two")))
    with openai.OpenAI(base_url=url, api_key="none") as client:
        if status == 200:
            assert client.responses.create(model=model, input="x").model == "two"
            return
        with pytest.raises(openai.APIStatusError) as caught:
            client.responses.create(model=model, input="x")
    assert caught.value.status_code == status
    assert caught.value.param == "model"
    assert caught.value.code == ("model_not_found" if status == 404 else "invalid_request")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("400", openai.BadRequestError, "code_400"),
        ("401", openai.AuthenticationError, "code_401"),
        ("403", openai.PermissionDeniedError, "code_403"),
        ("404", openai.NotFoundError, "code_404"),
        ("409", openai.ConflictError, "code_409"),
        ("429", openai.RateLimitError, "code_429"),
        ("503", openai.InternalServerError, "code_503"),
        ("http", openai.RateLimitError, "too_many_requests"),
        ("now", openai.InternalServerError, "agent_error"),
        ("slow", openai.InternalServerError, "timeout"),
    ],
)
def test_a_handlers_error_has_its_class_and_runs_once(
    serve: Callable[[Any], str],
    kind: str,
    error: type[openai.APIStatusError],
    code: str,
    stream: bool,
) -> None:
    broken = Broken()
    url = serve(AgentApp(broken.router, timeouts=Timeouts(run=0.3)))
    with openai.OpenAI(base_url=url, api_key="none") as client:  # with the default retries
        ask: Any = client.responses.create
        with pytest.raises(error) as caught:
            ask(input=kind, stream=stream, extra_headers={"x-request-id": "mine"})
    assert caught.value.code == code
    assert caught.value.request_id == "mine"
    assert broken.runs == 1
    assert SECRET not in str(caught.value.body)
    if kind == "http":
        assert caught.value.response.headers["retry-after"] == "7"
        assert "Slow down." in caught.value.message
    if kind == "now":
        assert caught.value.type == "model_error"


def test_an_error_in_mid_stream(serve: Callable[[Any], str]) -> None:
    broken = Broken()
    url = serve(AgentApp(broken.router))
    with openai.OpenAI(base_url=url, api_key="none") as client:
        got = []
        with (
            pytest.raises(openai.APIError) as caught,
            client.responses.create(input="late", stream=True) as stream,
        ):
            got += [event.type for event in stream]
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "agent_error"
    assert broken.runs == 1


@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_the_frames_of_an_error_in_mid_stream(path: str) -> None:
    answer = post(AgentApp(Broken().router), {"input": "late", "stream": True}, path)
    *_, error, failed = answer.events()
    assert error["type"] == "error"
    assert error["error"]["code"] == error["code"] == "agent_error"
    assert failed["type"] == "response.failed"
    assert failed["response"]["output"][0]["status"] == "in_progress"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert SECRET.encode() not in answer.body


def test_debug_tells_the_exception() -> None:
    answer = post(AgentApp(Broken().router, debug=True), {"input": "now"})
    assert answer.json()["error"]["message"] == f"RuntimeError: {SECRET}"
    assert json.loads(answer.body)["error"]["code"] == "agent_error"
