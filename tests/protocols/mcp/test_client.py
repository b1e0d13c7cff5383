"""MCP: the official Python client, in the modern era and the one before, against a real server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import mcp_types
import msgspec
import pydantic
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from agent_asgi import (
    AgentApp,
    AgentError,
    AgentRouter,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    Limits,
    Message,
    Reasoning,
    ResponsesRequest,
)
from agent_asgi.protocols import MCP
from tests.support.calling import Serve, until
from tests.support.traces import traces

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
PIXEL = "iVBORw0KGgo="
TABLE = "data:text/csv;base64,AA=="
FAILED = "The agent failed. The server's log has the reason."


class Sum(msgspec.Struct):
    """What is added."""

    a: int
    b: int


class Total(pydantic.BaseModel):
    """What comes of it."""

    total: int


def speaker() -> AgentRouter:
    router = AgentRouter("speaker", description="Says what it hears.")

    @router.stream
    async def speak(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        earlier = len(request.input) - len(request.new_input)
        yield f"You said: {request.input_text} ({earlier} before)"

    return router


def worker() -> AgentRouter:
    router = AgentRouter("worker")

    @router.stream
    async def work(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield Reasoning("hm")
        yield FunctionCall("look", {}, "c1")
        yield FunctionCallOutput("c1", "3")
        yield "Three."

    return router


def adder() -> AgentRouter:
    router = AgentRouter("adder", protocol="json")

    @router.invoke
    async def add(body: Sum) -> Total:
        return Total(total=body.a + body.b)

    return router


def counter() -> AgentRouter:
    router = AgentRouter("counter", protocol="json")

    @router.stream
    async def count(body: dict[str, Any]) -> AsyncIterator[Any]:
        for step in ("one", {"two": 2}):
            yield step

    return router


def painter() -> AgentRouter:
    router = AgentRouter("painter")

    @router.invoke
    async def paint(request: ResponsesRequest) -> Any:
        return [
            "Here it is.",
            {"type": "image_generation_call", "id": "ig_1", "result": PIXEL, "status": "completed"},
            Message(
                role="assistant",
                content=[
                    {"type": "output_text", "text": "And a file."},
                    {
                        "type": "output_file",
                        "filename": "a.csv",
                        "file_data": "data:text/csv;base64,AA==",
                    },
                    {"type": "output_image", "image_url": "https://a.example/x.png"},
                ],
            ),
        ]

    return router


def breaker() -> AgentRouter:
    router = AgentRouter("breaker")

    @router.invoke
    async def break_(request: ResponsesRequest) -> str:
        if request.input_text == "kindly":
            raise AgentError("No more today.", 429, "spent")
        raise RuntimeError("secret")

    return router


def eraser() -> AgentRouter:
    router = AgentRouter("eraser")

    @router.stream
    async def erase(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        if not context.approvals:
            context.save_state(b"state")
            yield ApprovalRequest("erase", {"path": "a"})
            return
        assert context.saved_state == b"state"
        yield "Erased." if context.approvals[0].approve else "Kept."

    return router


def app(**options: Any) -> AgentApp:
    """Return an app whose agents are tools."""
    routers = (speaker(), worker(), adder(), counter(), painter(), breaker(), eraser())
    return AgentApp(*routers, protocols=[MCP()], **options)


def with_client(url: str, mode: Any, use: Any, **options: Any) -> Any:
    """Connect a client and return what a function of it returns."""

    async def main() -> Any:
        async with asyncio.timeout(30), Client(f"{url}/mcp", mode=mode, **options) as client:
            return await use(client)

    return asyncio.run(main())


def call(url: str, mode: Any, name: str, **arguments: Any) -> mcp_types.CallToolResult:
    """Call a tool."""
    result: mcp_types.CallToolResult = with_client(
        url, mode, lambda client: client.call_tool(name, arguments)
    )
    return result


def texts(result: mcp_types.CallToolResult) -> list[str]:
    """Return the texts of a result."""
    return [each.text for each in result.content if isinstance(each, mcp_types.TextContent)]


@MODES
def test_each_agent_is_a_tool(serve: Serve, mode: str) -> None:
    listed = with_client(serve(app()), mode, lambda client: client.list_tools())
    tools = {tool.name: tool for tool in listed.tools}
    assert list(tools) == ["speaker", "worker", "adder", "counter", "painter", "breaker", "eraser"]
    assert tools["speaker"].description == "Says what it hears."
    assert tools["speaker"].input_schema["required"] == ["input"]
    assert tools["adder"].input_schema["properties"].keys() == {"a", "b"}
    assert tools["adder"].output_schema is not None
    assert tools["adder"].output_schema["properties"]["total"]["type"] == "integer"
    assert tools["counter"].input_schema == {"type": "object"}
    assert tools["counter"].output_schema is None


@MODES
def test_an_answer_can_be_continued(serve: Serve, mode: str) -> None:
    url = serve(app())
    first = call(url, mode, "speaker", input="hello")
    assert texts(first) == ["You said: hello (0 before)"]
    assert not first.is_error
    assert first.structured_content["text"] == "You said: hello (0 before)"
    id_ = first.structured_content["response_id"]
    second = call(url, mode, "speaker", input="again", previous_response_id=id_)
    assert texts(second) == ["You said: again (2 before)"]


@MODES
def test_progress_shows_the_steps(serve: Serve, mode: str) -> None:
    steps: list[Any] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, message))

    async def use(client: Client) -> Any:
        return await client.call_tool("worker", {"input": "x"}, progress_callback=heard)

    result = with_client(serve(app()), mode, use)
    assert texts(result) == ["Three."]
    assert steps == [(1, "Thinking"), (2, "Calling look"), (3, "Writing")]


@MODES
def test_a_json_agent_has_typed_arguments_and_results(serve: Serve, mode: str) -> None:
    url = serve(app())
    result = call(url, mode, "adder", a=1, b=2)
    assert (result.structured_content, texts(result)) == ({"total": 3}, ['{"total":3}'])
    refused = call(url, mode, "adder", a="one", b=2)
    assert refused.is_error
    assert texts(refused) == ["a: Expected `int`, got `str`"]


@MODES
def test_the_chunks_of_a_json_stream_are_progress(serve: Serve, mode: str) -> None:
    steps: list[Any] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    async def use(client: Client) -> Any:
        return await client.call_tool("counter", {}, progress_callback=heard)

    result = with_client(serve(app()), mode, use)
    assert steps == ["one", '{"two":2}']
    assert texts(result) == ['["one",{"two":2}]']


@MODES
def test_images_and_files(serve: Serve, mode: str) -> None:
    first, image, second, file, link = call(serve(app()), mode, "painter", input="x").content
    assert isinstance(first, mcp_types.TextContent)
    assert isinstance(second, mcp_types.TextContent)
    assert (first.text, second.text) == ("Here it is.", "And a file.")
    assert isinstance(image, mcp_types.ImageContent)
    assert (image.data, image.mime_type) == (PIXEL, "image/png")
    assert isinstance(file, mcp_types.EmbeddedResource)
    assert isinstance(file.resource, mcp_types.BlobResourceContents)
    assert (file.resource.blob, file.resource.mime_type) == ("AA==", "text/csv")
    assert isinstance(link, mcp_types.ResourceLink)


@MODES
def test_errors_tell_no_internals(serve: Serve, mode: str) -> None:
    url = serve(app())
    broken = call(url, mode, "breaker", input="x")
    assert broken.is_error
    assert texts(broken) == [FAILED]
    assert texts(call(url, mode, "breaker", input="kindly")) == ["No more today."]
    assert texts(call(url, mode, "speaker")) == ["input: a string is required."]
    unknown = call(url, mode, "speaker", input="x", previous_response_id="resp_none")
    assert unknown.is_error
    assert "resp_none" in texts(unknown)[0]

    async def use(client: Client) -> tuple[int, str]:
        with pytest.raises(MCPError) as raised:
            await client.call_tool("nobody", {"input": "x"})
        return raised.value.code, raised.value.message

    assert with_client(url, mode, use) == (-32602, "Unknown tool: nobody")


@pytest.mark.parametrize(("approve", "text"), [(True, "Erased."), (False, "Kept.")])
def test_an_approval_is_an_elicitation(serve: Serve, approve: bool, text: str) -> None:
    asked: list[Any] = []

    async def elicit(_: Any, params: Any) -> mcp_types.ElicitResult:
        asked.append(params)
        return mcp_types.ElicitResult(action="accept", content={"approve": approve})

    async def use(client: Client) -> Any:
        return await client.call_tool("eraser", {"input": "erase it"})

    result = with_client(serve(app()), "auto", use, elicitation_callback=elicit)
    assert texts(result) == [text]
    (params,) = asked
    assert params.message == 'Call erase with {"path":"a"}?'
    assert params.requested_schema["properties"]["approve"]["type"] == "boolean"


def test_a_declined_elicitation_is_a_rejection(serve: Serve) -> None:
    async def elicit(_: Any, params: Any) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult(action="decline")

    async def use(client: Client) -> Any:
        return await client.call_tool("eraser", {"input": "erase it"})

    result = with_client(serve(app()), "auto", use, elicitation_callback=elicit)
    assert texts(result) == ["Kept."]


@MODES
def test_a_client_that_cannot_be_asked_is_told_how_to_answer(serve: Serve, mode: str) -> None:
    result = call(serve(app()), mode, "eraser", input="erase it")
    assert result.is_error
    assert "POST /responses" in texts(result)[0]


def test_limits_and_traces_are_those_of_all_runs(serve: Serve) -> None:
    url = serve(app(limits=Limits(max_output_bytes=4)))
    cut = call(url, "auto", "speaker", input="hello")
    assert (cut.is_error, texts(cut)) == (True, ["The agent's output exceeds 4 bytes."])
    url = serve(app())
    before = len(traces(agent="worker"))
    call(url, "auto", "worker", input="hello")
    found = until(lambda: traces(agent="worker"), lambda found: len(found) > before)
    root = next(span for span in found[-1].data.spans if span.parent_id is None)
    assert root.inputs["input"] == "hello"


@MODES
def test_the_trace_in_meta_is_that_of_the_headers(serve: Serve, mode: str) -> None:
    router = AgentRouter("teller")
    parent = f"00-{'1' * 32}-{'2' * 16}-01"

    @router.invoke
    async def tell(request: ResponsesRequest, context: Context) -> str:
        return str(context.headers.get("traceparent"))

    async def use(client: Client) -> Any:
        meta: Any = {"traceparent": parent}
        return await client.call_tool("teller", {"input": "x"}, meta=meta)

    assert texts(with_client(serve(AgentApp(router, protocols=[MCP()])), mode, use)) == [parent]


@MODES
def test_leaving_cancels_the_run(serve: Serve, mode: str, caplog: Any) -> None:
    router = AgentRouter("sleeper")
    causes: list[Any] = []

    @router.stream
    async def sleep(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
        try:
            yield "Well"
            await asyncio.sleep(60)
        finally:
            causes.append(context.cancelled.cause)

    made = AgentApp(router, protocols=[MCP()])
    url = serve(made)

    async def main() -> None:
        async def heard(progress: float, total: float | None, message: str | None) -> None:
            begun.set()

        begun = asyncio.Event()
        async with Client(f"{url}/mcp", mode=mode) as client:
            task = asyncio.create_task(
                client.call_tool("sleeper", {"input": "x"}, progress_callback=heard)
            )
            await asyncio.wait_for(begun.wait(), 10)
            task.cancel()
            await asyncio.wait([task])

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
        until(lambda: causes)
    assert causes == ["client_disconnected"]
    assert not [each for each in caplog.records if each.name.startswith("agent_asgi")]


def test_a_state_without_answers_is_an_error(serve: Serve) -> None:
    router, begun = AgentRouter("listener"), list[str]()

    @router.invoke
    async def listen(request: ResponsesRequest) -> str:
        begun.append(request.input_text)
        return "x"

    async def use(client: Client) -> Any:
        return await client.call_tool("listener", {"input": "x"}, request_state="resp_1")

    result = with_client(serve(AgentApp(router, protocols=[MCP()])), "auto", use)
    assert (result.is_error, begun) == (True, [])
    assert texts(result)[0].startswith("inputResponses:")
