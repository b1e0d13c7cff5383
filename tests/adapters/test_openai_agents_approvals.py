"""Tools of the OpenAI Agents SDK that need approval, over restarts of the server."""

from collections.abc import AsyncIterator
from typing import Any

import agents
import openai
import pytest
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

from agent_asgi import AgentRouter, ResponsesRequest
from agent_asgi.adapters.openai_agents import outputs, resume
from tests.support.approving import answer, called, kinds, of_store, requests_of, respond
from tests.support.calling import error_of

WAYS = ["json", "stream", "background"]
ASKED = "mcp_approval_request"
USAGE = agents.Usage(requests=1, input_tokens=5, output_tokens=2, total_tokens=7)


@pytest.fixture(autouse=True)
def off_the_network() -> None:
    agents.set_trace_processors([])


@agents.function_tool(needs_approval=True)
def erase(path: str) -> str:
    """Erase a file."""
    return f"erased {path}"


@agents.function_tool
def look(path: str) -> str:
    """Look at a file."""
    return f"looked at {path}"


def step(*output: Any) -> ModelStep:
    return ModelStep(output=list(output), usage=USAGE)


def router_of(agent: agents.Agent[Any]) -> AgentRouter:
    router = AgentRouter("t-approvals")

    @router.stream
    async def run(request: ResponsesRequest) -> AsyncIterator[Any]:
        return outputs(agents.Runner.run_streamed(agent, await resume(agent, request)))

    return router


def eraser(*steps: Any) -> AgentRouter:
    """Return an agent that plays the given turns of its model."""
    return router_of(agents.Agent(name="e", model=ScriptedModel(steps), tools=[erase, look]))


def erasing(*paths: str) -> ModelStep:
    return step(*(function_call("erase", {"path": path}, call_id=f"c{path}") for path in paths))


def last_outputs(call: Any) -> Any:
    """Return the model's report of the outputs it got."""
    return [assistant_message(" ".join(str(each.get("output", "")) for each in call.input))]


@pytest.mark.parametrize("way", WAYS)
def test_approved_after_a_restart(postgres: str, way: str) -> None:
    with of_store(postgres, eraser(erasing("x"))) as client:
        first = respond(client, way, input="Erase x.")
    assert kinds(first) == [ASKED]
    (request,) = requests_of(first)
    assert (request["name"], request["arguments"]) == ("erase", '{"path":"x"}')
    assert request["server_label"] == "t-approvals"
    assert first["usage"]["total_tokens"] == 7
    with of_store(postgres, eraser(step(assistant_message("Done.")))) as client:
        second = respond(client, way, input=[answer(request, True)])
        assert called(second) == [("erase", '{"path":"x"}', "erased x")]
        assert second["output"][-1]["content"][0]["text"] == "Done."
        assert second["usage"]["total_tokens"] == 7
        with pytest.raises(openai.BadRequestError) as raised:
            respond(client, "json", input=[answer(request, True)])
        assert error_of(raised)[1] == "approval_already_answered"


def test_several_approved_and_rejected(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    seen = function_call("look", {"path": "z"}, call_id="cz")
    asking = ModelStep(output=[*erasing("x", "y").output, seen], usage=USAGE)
    with of_store(url, eraser(asking)) as client:
        first = respond(client, "stream", input="Erase x and y.")
    assert kinds(first) == ["mcp_call", ASKED, ASKED]
    one, other = requests_of(first)
    with of_store(url, eraser(ModelStep.respond(last_outputs))) as client:
        body: Any = {"input": [answer(one, False, reason="not mine"), answer(other, True)]}
        second = respond(client, "stream", previous_response_id=first["id"], **body)
    assert [output for _, _, output in called(second)] == ["not mine", "erased y"]
    text = second["output"][-1]["content"][0]["text"]
    assert ("not mine" in text, "erased y" in text) == (True, True)


def test_what_is_not_answered_is_asked_again(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    router = eraser(erasing("x", "y"), step(assistant_message("Done.")))
    with of_store(url, router) as client:
        one, _ = requests_of(respond(client, "json", input="Erase x and y."))
        second = respond(client, "json", input=[answer(one, True)])
        assert called(second) == [("erase", '{"path":"x"}', "erased x")]
        (again,) = requests_of(second)
        assert again["arguments"] == '{"path":"y"}'
        third = respond(client, "json", input=[answer(again, True)])
        assert called(third) == [("erase", '{"path":"y"}', "erased y")]


def test_with_a_handoff(tmp_path: Any) -> None:
    def router(first: list[Any], second: list[Any]) -> AgentRouter:
        last = agents.Agent(name="second", model=ScriptedModel(second), tools=[erase])
        return router_of(agents.Agent(name="first", model=ScriptedModel(first), handoffs=[last]))

    url = f"sqlite:///{tmp_path}/store.db"
    handoff = step(function_call("transfer_to_second", {}, call_id="ch"))
    with of_store(url, router([handoff], [erasing("x")])) as client:
        first = respond(client, "json", input="Erase x.")
    assert kinds(first) == ["mcp_call", ASKED]
    (request,) = requests_of(first)
    with of_store(url, router([], [step(assistant_message("Done."))])) as client:
        second = respond(client, "json", input=[answer(request, True)])
    assert called(second) == [("erase", '{"path":"x"}', "erased x")]


def test_within_an_agent_that_is_a_tool(tmp_path: Any) -> None:
    def router(outer: list[Any], inner: list[Any]) -> AgentRouter:
        worker = agents.Agent(name="worker", model=ScriptedModel(inner), tools=[erase])
        tool = worker.as_tool("work", "Works")
        return router_of(agents.Agent(name="boss", model=ScriptedModel(outer), tools=[tool]))

    url = f"sqlite:///{tmp_path}/store.db"
    work = step(function_call("work", {"input": "x"}, call_id="cw"))
    with of_store(url, router([work], [erasing("x")])) as client:
        first = respond(client, "json", input="Erase x.")
    assert kinds(first) == [ASKED]
    (request,) = requests_of(first)
    done = step(assistant_message("Done."))
    with of_store(url, router([done], [step(assistant_message("It is."))])) as client:
        second = respond(client, "json", input=[answer(request, True)])
    assert called(second) == [("work", '{"input":"x"}', "It is.")]


def test_a_tool_that_asks_only_at_times() -> None:
    async def asks(_: Any, arguments: dict[str, Any], __: str) -> bool:
        return bool(arguments["path"] == "x")

    @agents.function_tool(needs_approval=asks)
    def wipe(path: str) -> str:
        return f"wiped {path}"

    call = step(function_call("wipe", {"path": "y"}, call_id="cy"))
    model = ScriptedModel([call, step(assistant_message("Done."))])
    router = router_of(agents.Agent(name="e", model=model, tools=[wipe]))
    with of_store("memory://", router) as client:
        first = respond(client, "stream", input="Wipe y.")
        assert called(first) == [("wipe", '{"path":"y"}', "wiped y")]


def test_a_message_in_place_of_an_answer_goes_on_without_the_call() -> None:
    steps = [erasing("x"), ModelStep.respond(last_outputs)]
    with of_store("memory://", eraser(*steps)) as client:
        first = respond(client, "json", input="Erase x.")
        body: Any = {"input": "Never mind.", "previous_response_id": first["id"]}
        assert kinds(respond(client, "json", **body)) == ["message"]


def test_a_message_after_the_answer_reaches_the_model() -> None:
    def texts(call: Any) -> Any:
        return [assistant_message(str([each.get("content") for each in call.input]))]

    with of_store("memory://", eraser(erasing("x"), ModelStep.respond(texts))) as client:
        (request,) = requests_of(respond(client, "json", input="Erase x."))
        note: Any = {"role": "user", "content": "Then rest."}
        second = respond(client, "json", input=[answer(request, True), note])
        assert "Then rest." in second["output"][-1]["content"][0]["text"]


def test_changed_arguments_and_unstored_responses_are_refused() -> None:
    with of_store("memory://", eraser(erasing("x"), erasing("x"))) as client:
        (request,) = requests_of(respond(client, "json", input="Erase x."))
        changed: Any = answer(request, True, **{"agent_asgi:arguments": {"path": "y"}})
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input=[changed])
        assert error_of(raised)[2] == "input[0].agent_asgi:arguments"
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(input="Erase x.", store=False)
        assert error_of(raised)[2] == "store"
