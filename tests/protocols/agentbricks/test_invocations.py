"""Invocations of Agent Bricks: answers, streams, background runs, retries, sessions."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    BearerTokens,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
)
from agent_asgi.protocols import AgentBricks
from agent_asgi.testing import AgentClient, Answer
from tests.support.apps import ask, started
from tests.support.asking import ANN, BOB, TOKENS, fetch
from tests.support.calling import until

Json = dict[str, Any]
PATH = "/api/invocations"
UNKNOWN = "0b6f9a4e-6c0f-4a3e-9d57-3a1f0c5a7c11"


def app_of(*routers: AgentRouter, **options: Any) -> AgentApp:
    return AgentApp(*routers, protocols=[AgentBricks()], **options)


def invocation(content: Any = "Hello there", **more: Any) -> Json:
    messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
    return {"id": str(uuid.uuid4()), "input": messages, **more}


def frames(body: bytes) -> list[tuple[int, str, Json]]:
    """Return the numbers, names and data of a stream's frames."""
    found = []
    for frame in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if line)
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def echo() -> AgentRouter:
    router = AgentRouter("echo")

    @router.stream
    async def echo(request: ResponsesRequest) -> AsyncIterator[str]:
        for word in request.input_text.split(" "):
            await asyncio.sleep(0)
            yield word + " "

    return router


@pytest.fixture
def tutor() -> AgentRouter:
    """Return an agent that thinks, calls its tool, and answers."""
    router = AgentRouter("tutor")

    @router.stream
    async def tutor(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield Reasoning("Hm.")
        call = FunctionCall("add", {"a": 1, "b": 2})
        yield call
        yield FunctionCallOutput(call.call_id, "3")
        yield "It is 3."

    return router


def test_one_answer(echo: AgentRouter) -> None:
    body = invocation()
    answer = ask(app_of(echo), PATH, body)
    assert answer.status == 200
    output = [{"role": "assistant", "content": "Hello there "}]
    assert answer.json() == {
        "id": body["id"],
        "status": "completed",
        "output": {"output": output, "status": "completed"},
    }


def test_a_stream_is_numbered_from_1_and_has_no_done(echo: AgentRouter) -> None:
    answer = ask(app_of(echo), PATH, invocation(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    started, *deltas, message, completed = frames(answer.body)
    assert started == (1, "run.started", {"type": "run.started"})
    assert [(number, name) for number, name, _ in deltas] == [(2, "delta"), (3, "delta")]
    assert [data["content"] for _, _, data in deltas] == ["Hello ", "there "]
    assert all(data["id"].startswith("msg_") for _, _, data in deltas)
    said = {"type": "message", "message": {"role": "assistant", "content": "Hello there "}}
    assert message == (4, "message", said)
    assert completed == (5, "run.completed", {"type": "run.completed"})
    assert b"[DONE]" not in answer.body


def test_reasoning_and_calls_are_messages(tutor: AgentRouter) -> None:
    app = app_of(tutor)
    answer = ask(app, PATH, invocation(stream=True))
    messages = [data["message"] for _, name, data in frames(answer.body) if name == "message"]
    thought, called, result, said = messages
    assert thought["content"][0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    (call,) = called["tool_calls"]
    assert (call["name"], call["args"]) == ("add", {"a": 1, "b": 2})
    assert result | {"tool_call_id": ""} == {
        "role": "tool",
        "name": "add",
        "tool_call_id": "",
        "content": "3",
    }
    assert result["tool_call_id"] == call["id"]
    assert said == {"role": "assistant", "content": "It is 3."}
    again = ask(app, PATH, invocation()).json()["output"]["output"]
    assert [message["role"] for message in again] == ["assistant", "assistant", "tool", "assistant"]
    assert again[3] == said


def test_a_call_is_written_before_its_tool_is_executed() -> None:
    router, waits = AgentRouter("slow"), asyncio.Event()

    @router.stream
    async def slow(request: ResponsesRequest) -> AsyncIterator[Any]:
        call = FunctionCall("look_up", {"word": "x"})
        yield call
        await waits.wait()
        yield FunctionCallOutput(call.call_id, error="it is away")

    async def main() -> list[Json]:
        async with asyncio.timeout(20), started(app_of(router)) as app:
            client = AgentClient(app)
            body = b""
            async with client.stream(PATH, invocation(stream=True)) as answer:
                async for frame in answer.frames():
                    body += frame + b"\n\n"
                    if b"look_up" in body:
                        waits.set()
            return [data["message"] for _, name, data in frames(body) if name == "message"]

    called, result = asyncio.run(main())
    assert called["tool_calls"][0]["args"] == {"word": "x"}
    assert result["content"] == "it is away"


def test_a_background_run_and_its_events(
    echo: AgentRouter, serve: Callable[[Any], str], store_url: str
) -> None:
    url = serve(app_of(echo, store=store_url))
    body = invocation("a b c", background=True, stream=True)
    accepted = fetch(url, "POST", PATH, body=body)
    assert accepted.status == 202
    one = f"{PATH}/{body['id']}"
    state = json.loads(accepted.body)
    assert state.pop("status") in ("queued", "active")
    assert state == {"id": body["id"], "status_url": one, "events_url": f"{one}/events"}
    whole = frames(fetch(url, "GET", f"{one}/events").body)
    assert [number for number, _, _ in whole] == [1, 2, 3, 4, 5, 6]
    assert (whole[0][1], whole[-1][1]) == ("run.started", "run.completed")
    assert frames(fetch(url, "GET", f"{one}/events?after=2").body) == whole[2:]
    header = {"last-event-id": "3"}
    assert frames(fetch(url, "GET", f"{one}/events", headers=header).body) == whole[3:]
    done = json.loads(fetch(url, "GET", one).body)
    assert done["status"] == "completed"
    assert done["output"]["output"] == [{"role": "assistant", "content": "a b c "}]
    plain = json.loads(fetch(url, "POST", PATH, body=invocation(background=True)).body)
    assert "events_url" not in plain


def test_one_id_is_one_run(serve: Callable[[Any], str], store_url: str) -> None:
    router, calls = AgentRouter("counter"), []

    @router.invoke
    async def counter(request: ResponsesRequest) -> str:
        calls.append(request.input_text)
        return "done"

    url = serve(app_of(router, store=store_url))
    body = invocation()
    first = fetch(url, "POST", PATH, body=body)
    assert fetch(url, "POST", PATH, body=body).body == first.body
    reordered = dict(reversed(body.items()))
    assert fetch(url, "POST", PATH, body=reordered).body == first.body
    streamed = frames(fetch(url, "POST", PATH, body=body | {"stream": True}).body)
    assert [name for _, name, _ in streamed] == ["run.started", "delta", "message", "run.completed"]
    assert streamed[2][2]["message"]["content"] == "done"
    other = fetch(url, "POST", PATH, body=invocation("Other") | {"id": body["id"]})
    assert (other.status, other.error["code"]) == (409, "idempotency_key_reused")
    assert len(calls) == 1


def test_the_same_id_at_two_agents_and_of_two_owners(
    echo: AgentRouter, tutor: AgentRouter, serve: Callable[[Any], str]
) -> None:
    url = serve(app_of(echo, tutor, authenticate=TOKENS))
    body = invocation()
    for agent, said in (("echo", "Hello there "), ("tutor", "It is 3.")):
        answer = fetch(url, "POST", f"/{agent}{PATH}", ANN, body)
        assert json.loads(answer.body)["output"]["output"][-1]["content"] == said
        assert fetch(url, "GET", f"/{agent}{PATH}/{body['id']}", ANN).status == 200
        assert fetch(url, "GET", f"/{agent}{PATH}/{body['id']}", BOB).status == 404
        assert fetch(url, "GET", f"/{agent}{PATH}/{body['id']}/events", BOB).status == 404
    mine = invocation("Mine") | {"id": body["id"]}
    assert fetch(url, "POST", f"/echo{PATH}", BOB, mine).status == 200
    assert fetch(url, "POST", f"/echo{PATH}", body=body).status == 401
    assert fetch(url, "POST", PATH, ANN, body).status == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 422, "id"),
        ({"id": "x"}, 422, "id"),
        ({"id": str(uuid.uuid4()), "colour": 1}, 422, "colour"),
        ({"id": str(uuid.uuid4()), "session_id": ""}, 422, "session_id"),
        ({"id": str(uuid.uuid4()), "stream": "yes"}, 422, "stream"),
        (invocation([{"role": "wizard", "content": ""}]), 400, "input[0].role"),
        (invocation(["Hello"]), 400, "input[0]"),
        (invocation({"messages": [{"role": "tool", "content": ""}]}), 400, "input.messages[0]"),
        (invocation({"resume": {}}), 400, "session_id"),
        (invocation({"resume": {}}, session_id="s"), 400, "input.resume"),
    ],
)
def test_a_wrong_field_is_named(echo: AgentRouter, body: Json, status: int, param: str) -> None:
    answer = ask(app_of(echo), PATH, body)
    assert (answer.status, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize("path", ["/x", f"/{UNKNOWN}", "/x/events", f"/{UNKNOWN}/events"])
def test_an_unknown_invocation(echo: AgentRouter, path: str) -> None:
    async def main() -> Answer:
        async with started(app_of(echo)) as app:
            return await AgentClient(app).get(PATH + path)

    answer = asyncio.run(main())
    assert (answer.status, answer.json()["error"]["code"]) == (404, "invocation_not_found")


def test_what_fails_tells_no_internals() -> None:
    router = AgentRouter("broken")

    @router.stream
    async def broken(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "So "
        if request.input_text == "politely":
            raise AgentError("The library is closed.", 502, "closed")
        raise RuntimeError("secret")

    async def main() -> None:
        async with started(app_of(router)) as app:
            client = AgentClient(app)
            failed = await client.post(PATH, body := invocation())
            assert failed.status == 500
            assert b"secret" not in failed.body
            state = (await client.get(f"{PATH}/{body['id']}")).json()
            assert state["status"] == "failed"
            assert "secret" not in state["error"]
            polite = await client.post(PATH, invocation("politely", stream=True))
            error = {"type": "error", "code": "closed", "message": "The library is closed."}
            *_, told, end = frames(polite.body)
            assert told[1:] == ("error", error)
            assert end[1:] == ("run.failed", {"type": "run.failed"})

    asyncio.run(main())


def test_a_cancelled_run_has_failed(serve: Callable[[Any], str], store_url: str) -> None:
    router, ids = AgentRouter("cleaner"), list[str]()

    @router.stream
    async def cleaner(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        yield ApprovalRequest("delete", {"path": "a"})
        ids.append(context.response_id)
        await asyncio.sleep(60)

    url = serve(app_of(router, store=store_url))
    body = invocation(background=True, stream=True)
    path = f"{PATH}/{body['id']}"
    fetch(url, "POST", PATH, body=body)
    until(lambda: ids)
    assert fetch(url, "POST", f"/responses/{ids[0]}/cancel").status == 200
    events = [data for _, _, data in frames(fetch(url, "GET", f"{path}/events").body)]
    assert events == [
        {"type": "run.started"},
        {"type": "error", "code": "cancelled", "message": "The run was cancelled."},
        {"type": "run.failed"},
    ]
    assert json.loads(fetch(url, "GET", path).body)["status"] == "failed"


def test_a_session_remembers(serve: Callable[[Any], str], store_url: str) -> None:
    router = AgentRouter("counter")

    @router.invoke
    async def counter(request: ResponsesRequest, context: Context) -> str:
        return f"{len(request.input)} {context.session_id}"

    url = serve(app_of(router, store=store_url, single_user=True))
    texts = []
    for _ in range(3):
        answer = fetch(url, "POST", PATH, body=invocation("More", session_id="s1"))
        texts.append(json.loads(answer.body)["output"]["output"][0]["content"])
    assert texts == ["1 s1", "3 s1", "5 s1"]


def test_other_input(echo: AgentRouter) -> None:
    router = AgentRouter("mirror")

    @router.invoke
    async def mirror(request: ResponsesRequest) -> str:
        return json.dumps([request.input_text, request.custom_inputs, len(request.input)])

    def mirrored(value: Any) -> Any:
        answer = ask(app_of(router), PATH, invocation() | {"input": value})
        return json.loads(answer.json()["output"]["output"][0]["content"])

    assert mirrored("Hi") == ["Hi", None, 1]
    assert mirrored(7) == ["7", None, 1]
    assert mirrored({"question": "Hi"}) == ["", {"question": "Hi"}, 0]
    message = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    assert mirrored({"messages": [message], "actor": "ann"}) == ["Hi", {"actor": "ann"}, 1]


def test_history_in_the_form_of_the_templates() -> None:
    router = AgentRouter("reader")

    @router.invoke
    async def reader(request: ResponsesRequest) -> str:
        return json.dumps(request.messages)

    history = [
        {"role": "user", "content": "Add 1 and 2, and 3 and 4."},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "add", "args": {"a": 1}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "add", "args": {"a": 3}}]},
        {"role": "tool", "name": "add", "content": "3"},
        {"role": "tool", "name": "add", "content": "7"},
        {"role": "assistant", "content": "3 and 7."},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
        },
    ]
    answer = ask(app_of(router), PATH, invocation(history))
    read = json.loads(answer.json()["output"]["output"][0]["content"])
    calls = [call for each in read for call in each.get("tool_calls", ())]
    outputs = {each["tool_call_id"]: each["content"] for each in read if each["role"] == "tool"}
    assert [outputs[call["id"]] for call in calls] == ["3", "7"]
    assert read[-1]["content"][0]["image_url"]["url"] == "https://x/y.png"


def approver() -> AgentRouter:
    """Return an agent that asks before it deletes two files."""
    router = AgentRouter("cleaner")

    @router.stream
    async def cleaner(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        if not context.approvals:
            yield ApprovalRequest("delete", {"path": "a"})
            yield ApprovalRequest("delete", {"path": "b"})
            return
        for answer in context.approvals:
            said = answer.arguments or ("yes" if answer.approve else answer.reason)
            yield f"{said} "

    return router


def test_an_interrupt_is_resumed(serve: Callable[[Any], str], store_url: str) -> None:
    url = serve(app_of(approver(), store=store_url, authenticate=TOKENS))
    asked = fetch(url, "POST", PATH, ANN, invocation(session_id="s1"))
    output = json.loads(asked.body)["output"]
    assert output["status"] == "interrupted"
    (interrupt,) = output["output"]
    first, second = interrupt["value"]["action_requests"]
    again = invocation(session_id="s2", stream=True)
    names = [name for _, name, _ in frames(fetch(url, "POST", PATH, ANN, again).body)]
    assert names == ["run.started", "interrupt", "run.completed"]
    assert (first["name"], first["args"]) == ("delete", {"path": "a"})
    assert second["args"] == {"path": "b"}
    assert interrupt["id"] == first["call_id"]

    def resume(token: str, *decisions: Json, **more: Any) -> Any:
        body = invocation({"resume": {"decisions": decisions}}, session_id="s1") | more
        return fetch(url, "POST", PATH, token, body)

    approve = {"type": "approve"}
    assert resume(ANN, approve).error["param"] == "input.resume.decisions"
    unsure = resume(ANN, {"type": "perhaps"}, approve)
    assert unsure.error["param"] == "input.resume.decisions[0].type"
    assert resume(BOB, approve, approve).error["param"] == "input.resume"
    id_ = str(uuid.uuid4())
    edit = {"type": "edit", "edited_action": {"name": "delete", "args": {"path": "c"}}}
    reject = {"type": "reject", "message": "no"}
    done = resume(ANN, edit, reject, id=id_)
    assert json.loads(done.body)["output"]["output"][0]["content"] == "{'path': 'c'} no "
    assert resume(ANN, edit, reject, id=id_).body == done.body  # a retry
    assert resume(ANN, edit, reject).status == 400


def test_a_question_is_answered(serve: Callable[[Any], str]) -> None:
    router = AgentRouter("asker")

    @router.invoke
    async def asker(request: ResponsesRequest) -> Any:
        outputs = [item for item in request.new_input if isinstance(item, FunctionCallOutput)]
        if outputs:
            return f"You said {outputs[0].output}"
        return FunctionCall("interrupt", {"question": "Which?"}, client=True)

    url = serve(app_of(router, single_user=True))
    asked = json.loads(fetch(url, "POST", PATH, body=invocation(session_id="s")).body)
    assert asked["output"]["status"] == "interrupted"
    assert asked["output"]["output"][-1]["value"] == {"question": "Which?"}
    resumed = invocation({"resume": "this one"}, session_id="s")
    answer = json.loads(fetch(url, "POST", PATH, body=resumed).body)
    assert answer["output"]["output"][0]["content"] == 'You said "this one"'


def test_a_path_of_its_own(echo: AgentRouter) -> None:
    app = AgentApp(echo, protocols=[AgentBricks(path="/bricks")])
    assert ask(app, "/bricks", invocation()).status == 200
    with pytest.raises(ValueError, match="path must be like"):
        AgentBricks(path="bricks")


def test_tokens_are_needed(echo: AgentRouter) -> None:
    app = app_of(echo, authenticate=BearerTokens({"secret-token-1": "ann"}))
    assert ask(app, PATH, invocation()).status == 401


def test_an_error_names_the_session(echo: AgentRouter) -> None:
    for session in ("s" * 600, "a\0b"):
        error = ask(app_of(echo), PATH, invocation(session_id=session)).json()["error"]
        assert error["param"] == "session_id"
        assert error["message"].startswith("session_id:")
        assert "conversation" not in error["message"]


def test_a_failed_background_invocation_is_started_again(serve: Callable[[Any], str]) -> None:
    router = AgentRouter("failing")

    @router.invoke
    async def fail(request: ResponsesRequest) -> str:
        raise AgentError("It is closed.", 502)

    url = serve(app_of(router))
    for stream in (False, True):
        body = invocation(background=True, stream=stream)
        state = fetch(url, "POST", PATH, body=body)
        path = f"{PATH}/{body['id']}"
        until(lambda: json.loads(fetch(url, "GET", path).body)["status"] == "failed")  # noqa: B023
        again = fetch(url, "POST", PATH, body=body)
        assert (state.status, again.status) == (202, 202)
        found = json.loads(again.body)
        assert (found["status"], found["error"]) == ("failed", "It is closed.")
        assert found["status_url"] == path
        waited = fetch(url, "POST", PATH, body=body | {"background": False, "stream": False})
        assert (waited.status, waited.error["message"]) == (500, "It is closed.")
