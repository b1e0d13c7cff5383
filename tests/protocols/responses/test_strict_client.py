"""What openai-python's types demand of a response and of its input items, validated strictly."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai._models import validate_type
from openai.types.responses import Response, ResponseItem

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from tests.support import calling
from tests.support.calling import Json, Serve, plain
from tests.support.upstream import tutor
from tests.support.websocket_client import connect, turn

ITEM: Any = ResponseItem
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
IMAGE = {"type": "input_image", "image_url": "https://x.example/y.png"}
INPUT: list[Json] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "input_text", "text": "hi"}, IMAGE]},
    {"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]},
    {"role": "assistant", "content": "ho"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    CALL,
    {"type": "function_call_output", "call_id": "c1", "output": [IMAGE]},
    {"type": "compaction", "encrypted_content": "x"},
]
PROMPT = {
    "id": "pmpt_1",
    "version": "2",
    "variables": {"name": "Ann", "image": IMAGE | {"detail": "low"}},
}


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=url, api_key="none", max_retries=0, _strict_response_validation=True
    )


def test_input_items_have_every_required_field(serve: Serve) -> None:
    with client_of(serve(AgentApp(tutor()))) as client:
        made = client.responses.create(input=INPUT)  # type: ignore[arg-type]  # plain dicts
        items = list(client.responses.input_items.list(made.id, order="asc", limit=3))
        for item in items:
            validate_type(type_=ITEM, value=plain(item))
    kinds = [item.type for item in items]
    assert kinds == [item.get("type", "message") for item in INPUT]
    user: Any = items[1]
    assert user.content[1].detail == "auto"
    assistant: Any = items[3]
    assert assistant.content[0].annotations == []
    output: Any = items[8]
    assert output.output[0].detail == "auto"


def test_input_items_keep_what_the_client_said(serve: Serve) -> None:
    cited = {"type": "file_path", "file_id": "file_1", "index": 1}
    text = {"type": "output_text", "text": "ho", "annotations": [cited]}
    given: Any = [
        {"role": "user", "content": [IMAGE | {"detail": "high"}]},
        {"role": "assistant", "content": [text]},
    ]
    with client_of(serve(AgentApp(tutor()))) as client:
        made = client.responses.create(input=given)
        first, second = map(plain, client.responses.input_items.list(made.id, order="asc"))
    assert first["content"][0]["detail"] == "high"
    assert second["content"][0]["annotations"] == [cited]


def test_the_prompt_is_echoed(serve: Serve) -> None:
    url = serve(AgentApp(tutor()))
    with client_of(url) as client:
        made = client.responses.create(input="x", prompt=PROMPT)  # type: ignore[call-overload]
        assert plain(made)["prompt"] == PROMPT
        assert plain(client.responses.retrieve(made.id))["prompt"] == PROMPT
        short = plain(client.responses.create(input="x", prompt={"id": "pmpt_1"}))
        assert short["prompt"] == {"id": "pmpt_1"}
        without = plain(client.responses.create(input="x"))
        assert without.get("prompt") is None
        for body in (made, short, without):
            value = body if isinstance(body, dict) else plain(body)
            validate_type(type_=Response, value=value)
        with pytest.raises(openai.BadRequestError, match=r"prompt\.id"):
            client.responses.create(input="x", prompt={"version": "1"})  # type: ignore[call-overload]
    with connect(url) as ws:
        assert turn(ws, "x", prompt=PROMPT)["prompt"] == PROMPT


@pytest.mark.parametrize("ending", ["completed", "incomplete"])
def test_a_response_is_valid_to_a_strict_client(serve: Serve, ending: str) -> None:
    router = AgentRouter()

    @router.stream
    async def reply(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "hi"
        if ending == "incomplete":
            yield {"output": [], "incomplete_details": {"reason": "max_output_tokens"}}

    with client_of(serve(AgentApp(router))) as client:
        made = client.responses.create(input="x")
        assert made.status == ending
        with client.responses.create(input="x", stream=True) as stream:
            assert list(stream)[-1].type == f"response.{ending}"


def test_what_a_strict_client_refuses(serve: Serve) -> None:
    """The two exceptions of docs/clients.md."""
    router = AgentRouter()

    @router.invoke
    async def reply(request: ResponsesRequest) -> str:
        if request.input_text == "fail":
            raise ValueError
        return "{}"

    form: Any = {"format": {"type": "json_schema", "name": "form", "schema": {"type": "object"}}}
    url = serve(AgentApp(router))
    with client_of(url) as client, calling.connect(url) as lenient:
        with pytest.raises(openai.APIResponseValidationError) as refused:
            client.responses.create(input="x", text=form)
        assert "text.format.ResponseFormatTextJSONSchemaConfig.schema" in str(
            refused.value.__cause__
        )
        failed = lenient.responses.create(input="fail", background=True)
        calling.ended(lenient, failed.id)
        with pytest.raises(openai.APIResponseValidationError) as refused:
            client.responses.retrieve(failed.id)
        assert "error.code" in str(refused.value.__cause__)
