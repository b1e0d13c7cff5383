"""The agents of the A2A tests, each under its name, and plain requests to them."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    FunctionCall,
    FunctionCallOutput,
    Reasoning,
    ResponsesRequest,
    Usage,
    get_context,
)
from agent_asgi.protocols import A2A
from tests.support.asking import Reply, fetch

Json = dict[str, Any]
VERSION = {"a2a-version": "1.0"}


def echo(request: ResponsesRequest) -> Iterator[Any]:
    """Repeat all that the user has said, and call a tool that nobody sees."""
    call = FunctionCall("count", {})
    yield Reasoning("They say something.")
    yield call
    yield FunctionCallOutput(call.call_id, "1")
    said = [str(each["content"]) for each in request.messages if each["role"] == "user"]
    for number, text in enumerate(said):
        yield ", " if number else "You said: "
        yield text
    yield Usage(input_tokens=3, output_tokens=4)


def asker(request: ResponsesRequest) -> Iterator[Any]:
    """Ask for an approval, twice if the first answer wants it."""
    answers = get_context().approvals
    if not answers:
        yield "One moment. "
        yield ApprovalRequest("send_mail", {"to": "ann@example.com"})
    elif answers[-1].reason == "ask again":
        yield ApprovalRequest("send_mail", {"to": "bob@example.com"})
    else:
        yield f"The mail is {'sent' if answers[-1].approve else 'not sent'}."


def caller(request: ResponsesRequest) -> Iterator[Any]:
    """Call a function of the client's, and repeat its output."""
    outputs = [each["content"] for each in request.messages if each["role"] == "tool"]
    if outputs:
        yield f"It is {outputs[-1]}."
    else:
        yield FunctionCall("weather", {"city": "Paris"}, call_id="call_1", client=True)


async def slow(request: ResponsesRequest) -> AsyncIterator[str]:
    """Say numbers until the run is cancelled, or as many as the user wants."""
    for number in range(int(request.input_text or "600")):
        yield f"{number} "
        await asyncio.sleep(0.1)


def files(request: ResponsesRequest) -> Iterator[Any]:
    """Describe the parts of the newest message, and answer with a file, a citation and data."""
    content: Any = request.new_input[-1].content  # type: ignore[union-attr]  # a message
    citation = {"type": "url_citation", "url": "https://example.com", "title": "A"}
    text = json.dumps([part.type for part in content])
    yield {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": [citation]}],
    }
    yield {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}
    yield {"type": "acme:chart", "id": "chart_1", "points": [1, 2]}


def failing(request: ResponsesRequest) -> Iterator[str]:
    """Fail amid the output, or on purpose before it."""
    if request.input_text == "no":
        raise AgentError("There is no such city.", 400, "no_such_city")
    yield "I am "
    raise ValueError("the password is 1234")


HANDLERS = (echo, asker, caller, slow, files, failing)


def routers() -> list[AgentRouter]:
    """Create the routers."""
    made: list[AgentRouter] = []
    for handler in HANDLERS:
        made.append(AgentRouter(handler.__name__, description=f"The agent {handler.__name__}."))
        made[-1].stream(handler)
    return made


def app(**options: Any) -> AgentApp:
    """Create an app of all agents."""
    return AgentApp(*routers(), protocols=[A2A()], **options)


def message(*parts: str | Json, **fields: Any) -> Json:
    """Return a message of the user."""
    contents = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": contents, **fields}


def call(
    url: str,
    agent: str,
    method: str,
    params: Any = None,
    token: str | None = None,
    **options: Any,
) -> Json:
    """Call a method in JSON-RPC; return the response."""
    reply = post(url, agent, method, params, token, **options)
    assert reply.status == 200, reply
    found: Json = json.loads(reply.body)
    assert (found["jsonrpc"], found["id"]) == ("2.0", 7)
    return found


def post(
    url: str,
    agent: str,
    method: str,
    params: Any = None,
    token: str | None = None,
    headers: Json = VERSION,
) -> Reply:
    """Call a method in JSON-RPC; return the reply."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method}
    body |= {} if params is None else {"params": params}
    return fetch(url, "POST", f"/{agent}/a2a" if agent else "/a2a", token, body, headers)


def send(url: str, agent: str, *parts: str | Json, token: str | None = None, **fields: Any) -> Json:
    """Send a message, and return the task when it has ended."""
    result = call(url, agent, "SendMessage", {"message": message(*parts, **fields)}, token)
    assert "result" in result, result
    task: Json = result["result"]["task"]
    return task


def get(url: str, agent: str, id: str, token: str | None = None, **params: Any) -> Json:
    """Return a task."""
    result = call(url, agent, "GetTask", {"id": id, **params}, token)
    assert "result" in result, result
    task: Json = result["result"]
    return task


def frames(reply: Reply) -> list[Json]:
    """Return the results in a stream's frames."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"].startswith("text/event-stream"), reply
    lines = [line for line in reply.body.split(b"\n\n") if line.startswith(b"data: ")]
    found = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    return [frame.get("result", frame) for frame in found]


def text_of(task: Json) -> str:
    """Return the texts of a task's artifacts."""
    artifacts = task.get("artifacts", ())
    return "".join(part.get("text", "") for each in artifacts for part in each["parts"])


def state_of(task: Json) -> str:
    """Return a task's state, without the prefix."""
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


def reason_of(error: Json) -> tuple[int, str]:
    """Return the code and the reason of an error, in either binding."""
    details = error["data"] if "data" in error else error["details"]
    assert details[0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert details[0]["domain"] == "a2a-protocol.org"
    return error["code"], details[0]["reason"]
