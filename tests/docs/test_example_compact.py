"""The example agent over several turns: by `previous_response_id`, and after a compaction."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import calculator
import openai
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Usage
from agent_asgi.testing import AgentClient
from tests.support.apps import started
from tests.support.openresponses_schema import validate, validate_response

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "12 * (3 + 4)"},
    {"role": "assistant", "content": "The answer is 84."},
    {"role": "user", "content": [{"type": "input_text", "text": "thank you"}]},
]


def with_client(talk: Callable[[AgentClient], Awaitable[None]]) -> None:
    """Talk to the example agent."""

    async def main() -> None:
        app = AgentApp(calculator.router)
        async with started(app):
            await talk(AgentClient(app))

    asyncio.run(main())


async def take_turn(client: AgentClient, text: str, **more: Any) -> dict[str, Any]:
    """Run a turn; return the response."""
    answer = await client.post("/v1/responses", {"input": text, **more})
    body: dict[str, Any] = answer.json()
    assert answer.status == 200, body
    validate_response(body)
    return body


async def compacted(client: AgentClient, **body: Any) -> dict[str, Any]:
    """Compact a conversation; return the result."""
    answer = await client.post("/v1/responses/compact", {"model": "calculator", **body})
    result: dict[str, Any] = answer.json()
    assert answer.status == 200, result
    validate("CompactResource", result)
    return result


def said(response: dict[str, Any]) -> str:
    """Return the text of a response's last item."""
    text: str = response["output"][-1]["content"][0]["text"]
    return text


def told(result: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of a result's compaction item."""
    (item,) = (each for each in result["output"] if each["type"] == "compaction")
    summary: dict[str, Any] = json.loads(b64decode(item["encrypted_content"]))
    return summary


def test_three_turns_by_previous_response_id() -> None:
    async def talk(client: AgentClient) -> None:
        first = await take_turn(client, "12 * 3")
        second = await take_turn(client, "and times 2?", previous_response_id=first["id"])
        third = await take_turn(client, "minus 2", previous_response_id=second["id"])
        assert said(first).endswith("The answer is 36.")
        assert said(second).endswith("The answer is 72.")
        assert said(third).endswith("The answer is 70.")

    with_client(talk)


def test_a_compaction_is_input_as_it_is() -> None:
    async def talk(client: AgentClient) -> None:
        result = await compacted(client, input=TALK)
        message, item = result["output"]
        assert (message["role"], message["content"][0]["text"]) == ("user", "thank you")
        assert item["id"].startswith("cmp_")
        assert told(result) == {"answered": "84", "messages": 3}
        usage = result["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (11, 6)
        assert usage["total_tokens"] == 17
        question = {"role": "user", "content": "and times 3?"}
        answer = await client.post("/v1/responses", {"input": [*result["output"], question]})
        assert said(answer.json()).endswith("The answer is 252.")

    with_client(talk)


def test_a_compaction_of_a_compaction_counts_on() -> None:
    async def talk(client: AgentClient) -> None:
        first = await compacted(client, input=TALK)
        more = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hello."}]
        second = await compacted(client, input=[*first["output"], *more])
        assert told(second)["answered"] == "84"
        assert told(second)["messages"] == 3 + 1 + 2

    with_client(talk)


def test_a_stored_conversation_is_compacted() -> None:
    async def talk(client: AgentClient) -> None:
        first = await take_turn(client, "1 / 3")
        result = await compacted(client, previous_response_id=first["id"], input="and now?")
        assert told(result) == {"answered": "1/3", "messages": 3}
        question = [*result["output"], {"role": "user", "content": "times 6"}]
        answer = await client.post("/v1/responses", {"input": question})
        follow_up = await take_turn(client, "plus 1", previous_response_id=answer.json()["id"])
        assert said(answer.json()).endswith("The answer is 2.")
        assert said(follow_up).endswith("The answer is 3.")

    with_client(talk)


@pytest.mark.parametrize(
    "content",
    ["", "gAAAAABpM0Yj-...=", "é", *(b64encode(each).decode() for each in (b"[]", b"\xff", b"{"))],
)
def test_a_compaction_of_somebody_else_says_nothing(content: str) -> None:
    async def talk(client: AgentClient) -> None:
        items = [*TALK[:2], {"type": "compaction", "encrypted_content": content}]
        question = [*items, {"role": "user", "content": "and times 3?"}]
        answer = await client.post("/v1/responses", {"input": question})
        assert said(answer.json()).endswith("The answer is 252.")

    with_client(talk)


def test_the_openai_client_compacts(serve: Callable[[Any], str]) -> None:
    url = serve(calculator.app) + "/v1"
    with openai.OpenAI(base_url=url, api_key="none") as client:
        talk: Any = TALK
        result = client.responses.compact(model="calculator", input=talk)
        # the client's types do not allow a user message here
        whole: Any = result.to_dict(mode="json", warnings=False)
        validate("CompactResource", whole)
        assert [each.type for each in result.output] == ["message", "compaction"]
        follow_up: Any = [*whole["output"], {"role": "user", "content": "and times 3?"}]
        answer = client.responses.create(model="calculator", input=follow_up)
        assert answer.output_text.endswith("The answer is 252.")


def test_a_model_compacts_for_itself(
    serve: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    router = AgentRouter("model")
    seen: list[Any] = []

    @router.compact
    async def shorten(request: ResponsesRequest) -> list[Any]:
        seen.append(request.input)
        return [{"type": "compaction", "encrypted_content": "only-mine"}, Usage(input_tokens=5)]

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_MODEL", "tiny")
    monkeypatch.setenv("OPENAI_BASE_URL", serve(AgentApp(router)))
    calculator.model_client.cache_clear()

    async def talk(client: AgentClient) -> None:
        result = await compacted(client, input=TALK)
        await calculator.model_client().close()
        (item,) = result["output"]
        assert item["encrypted_content"] == "only-mine"
        assert result["usage"]["input_tokens"] == 5
        assert len(seen[0]) == 3

    with_client(talk)
    calculator.model_client.cache_clear()
