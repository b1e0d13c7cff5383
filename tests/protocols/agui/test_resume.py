"""AG-UI: interrupts for approvals and questions, and the runs that answer them."""

import asyncio
import json
from typing import Any

import pytest

from agent_asgi import (
    AgentApp,
    ApprovalRequest,
    Context,
    FunctionCall,
    FunctionCallOutput,
    ResponsesRequest,
)
from agent_asgi.protocols import AGUI
from agent_asgi.testing import AgentClient
from tests.protocols.agui.talk import (
    OLD,
    RUN,
    Json,
    agent,
    app,
    events_of,
    kinds,
    messages_after,
    of_kind,
    turns,
)
from tests.support.apps import started
from tests.support.asking import ANN, BOB, TOKENS, bearer
from tests.support.calling import QUICK

seen: list[Any] = []


def eraser(request: ResponsesRequest, context: Context) -> list[Any]:
    """Ask before a file is erased; report what came with the answer."""
    seen.append(request.input)
    if not context.approvals:
        context.save_state(b"state")
        return ["Well. ", ApprovalRequest("erase", {"path": "a"})]
    answer = context.approvals[0]
    assert context.saved_state == b"state"
    if not answer.approve:
        return [f"Kept: {answer.reason}"]
    arguments = answer.arguments or {"path": "a"}
    return [
        FunctionCall("erase", arguments, "c1"),
        FunctionCallOutput("c1", f"{arguments['path']} is gone"),
        "Erased.",
    ]


def interrupts_of(events: list[Json]) -> list[Json]:
    """Return the interrupts at the end of a run."""
    outcome = events[-1]["outcome"]
    assert outcome["type"] == "interrupt"
    return list(outcome["interrupts"])


def resume(payload: Any, status: str = "resolved", *, history: bool = True) -> Any:
    """Return what makes the run input that answers all interrupts of a run."""

    def body(events: list[Json]) -> Json:
        entries = [
            {"interruptId": each["id"], "status": status, "payload": payload}
            for each in interrupts_of(events)
        ]
        messages = [*RUN["messages"], *messages_after(events)] if history else []
        return RUN | {"runId": "r2", "messages": messages, "resume": entries}

    return body


def test_an_approval_is_an_interrupt_of_a_call() -> None:
    (events,) = asyncio.run(turns(app(eraser), RUN))
    (interrupt,) = interrupts_of(events)
    (start,) = of_kind(events, "TOOL_CALL_START")
    assert start == {"toolCallId": interrupt["id"], "toolCallName": "erase"}
    assert interrupt["toolCallId"] == interrupt["id"]
    assert interrupt["reason"] == "tool_call"
    assert interrupt["message"] == "Approve the call of erase?"
    assert interrupt["responseSchema"]["required"] == ["approved"]


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("mode", ["mcp_call", "function_call"])
def test_an_approved_call_gets_its_result_in_the_next_run(mode: str, history: bool) -> None:
    made = app(eraser, own_tools=mode)
    asked, done = asyncio.run(turns(made, RUN, resume({"approved": True}, history=history)))
    (interrupt,) = interrupts_of(asked)
    (result,) = of_kind(done, "TOOL_CALL_RESULT")
    assert result["content"] == "a is gone"
    if history:  # else the call cannot be told from another of the tool
        assert result["toolCallId"] == interrupt["id"]
        assert "TOOL_CALL_START" not in kinds(done)
    assert done[-1]["outcome"] == {"type": "success"}


def test_an_answer_without_the_history_continues_the_response_that_asked() -> None:
    bodies: list[Json] = []

    def ask_twice(request: ResponsesRequest, context: Context) -> list[Any]:
        bodies.append(request.to_dict())
        return [ApprovalRequest("erase", {"n": len(bodies)})] if len(bodies) < 3 else ["Done."]

    answer = resume({"approved": True}, history=False)
    asyncio.run(turns(app(ask_twice), RUN | {"state": {"n": 1}}, answer, answer))
    roles = [[item["type"] for item in body["input"]] for body in bodies]
    pair = ["mcp_approval_request", "mcp_approval_response"]
    assert roles == [["message"], ["message", *pair], ["message", *pair, *pair]]
    assert [body["custom_inputs"]["state"] for body in bodies] == [{"n": 1}, {}, {}]
    assert bodies[1]["context"] == {"conversation_id": "t1"}


def test_arguments_may_be_edited() -> None:
    payload = {"approved": True, "editedArgs": {"path": "b"}}
    _, done = asyncio.run(turns(app(eraser), RUN, resume(payload)))
    assert of_kind(done, "TOOL_CALL_RESULT")[0]["content"] == "b is gone"


@pytest.mark.parametrize(
    ("payload", "status", "reason"),
    [
        ({"approved": False, "reason": "Mine."}, "resolved", "Mine."),
        (None, "cancelled", "No answer was given."),
    ],
)
def test_a_rejected_call_has_a_result_that_says_so(payload: Any, status: str, reason: str) -> None:
    asked, done = asyncio.run(turns(app(eraser), RUN, resume(payload, status)))
    (result,) = of_kind(done, "TOOL_CALL_RESULT")
    assert kinds(done)[:2] == ["RUN_STARTED", "TOOL_CALL_RESULT"]
    assert result["toolCallId"] == interrupts_of(asked)[0]["id"]
    assert result["content"] == f"The user did not approve the call. {reason}"
    text = "".join(each["delta"] for each in of_kind(done, "TEXT_MESSAGE_CONTENT"))
    assert text == f"Kept: {reason}"


def test_an_approved_call_that_the_agent_does_not_show_has_an_empty_result() -> None:
    def quiet(request: ResponsesRequest, context: Context) -> list[Any]:
        return ["Done."] if context.approvals else [ApprovalRequest("erase")]

    asked, done = asyncio.run(turns(app(quiet), RUN, resume({"approved": True})))
    (result,) = of_kind(done, "TOOL_CALL_RESULT")
    assert (result["toolCallId"], result["content"]) == (interrupts_of(asked)[0]["id"], "")


def test_an_old_client_has_the_same_interrupt() -> None:
    (events,) = asyncio.run(turns(app(eraser), OLD))
    assert len(interrupts_of(events)) == 1


def test_the_agent_sees_the_question_before_and_a_pair_after() -> None:
    seen.clear()

    async def main() -> None:
        async with started(app(eraser)) as made:
            client = AgentClient(made)
            first = events_of(await client.post("/agui", RUN))
            second = resume({"approved": True})(first)
            third = events_of(await client.post("/agui", second), first)
            messages = [*second["messages"], *messages_after(third)]
            later = RUN | {"messages": [*messages, {"id": "u2", "role": "user", "content": "x"}]}
            events_of(await client.post("/agui", later))

    asyncio.run(main())
    types = [[item.type for item in items] for items in seen]
    assert types[1] == ["message", "message", "mcp_approval_request", "mcp_approval_response"]
    pair = ["function_call", "function_call_output"]
    assert types[2] == ["message", "message", *pair, "message", "message"]


def test_only_a_response_that_asks_is_stored() -> None:
    async def main() -> list[int]:
        said = AgentApp(agent(lambda *_: ["hi"]), protocols=[AGUI()], single_user=True)
        asks = AgentApp(agent(eraser), protocols=[AGUI()], single_user=True)
        counts = []
        for made in (said, asks):
            async with started(made):
                client = AgentClient(made)
                events_of(await client.post("/agui", RUN))
                counts.append(len((await client.get("/responses")).json()["data"]))
        return counts

    assert asyncio.run(main()) == [0, 1]


def test_an_answer_counts_once_and_an_unknown_one_is_refused() -> None:
    async def main() -> list[Json]:
        async with started(app(eraser)) as made:
            client = AgentClient(made)
            first = events_of(await client.post("/agui", RUN))
            body = resume({"approved": True})(first)
            events_of(await client.post("/agui", body), first)
            again = await client.post("/agui", body)
            entry = {"interruptId": "mcpr_none", "status": "resolved"}
            unknown = RUN | {"resume": [entry | {"payload": {"approved": True}}]}
            other = await client.post("/agui", unknown)
            assert (again.status, other.status) == (400, 400)
            return [each.json()["error"] for each in (again, other)]

    again, unknown = asyncio.run(main())
    assert (again["param"], again["code"]) == ("resume", "approval_already_answered")
    assert unknown["param"] == "resume"
    assert unknown["message"].startswith("resume: there is no approval request 'mcpr_none'")


def test_a_question_of_langgraph_is_an_interrupt() -> None:
    def graph(request: ResponsesRequest, context: Context) -> list[Any]:
        output = next((i for i in request.input if isinstance(i, FunctionCallOutput)), None)
        if output is None:
            return [FunctionCall("interrupt", {"question": "Which?"}, "c1", client=True)]
        return [f"You said {output.output}"]

    asked, done = asyncio.run(turns(app(graph), RUN, resume({"which": "blue"})))
    (interrupt,) = interrupts_of(asked)
    assert (interrupt["id"], interrupt["reason"]) == ("c1", "input_required")
    (result,) = of_kind(done, "TOOL_CALL_RESULT")
    assert json.loads(result["content"]) == {"which": "blue"}
    text = "".join(each["delta"] for each in of_kind(done, "TEXT_MESSAGE_CONTENT"))
    assert text == 'You said {"which":"blue"}'


def test_another_users_approval_is_as_one_that_does_not_exist(store_url: str) -> None:
    async def main() -> list[Json]:
        made = AgentApp(
            agent(eraser), protocols=[AGUI()], authenticate=TOKENS, store=store_url, timeouts=QUICK
        )
        async with started(made):
            ann, bob = (AgentClient(made, bearer(token)) for token in (ANN, BOB))
            first = events_of(await ann.post("/agui", RUN))
            body = resume({"approved": True}, history=False)(first)
            refused = await bob.post("/agui", body)
            assert refused.status == 400
            done = events_of(await ann.post("/agui", body))
            assert of_kind(done, "TOOL_CALL_RESULT")[0]["content"] == "a is gone"
            (entry,) = body["resume"]
            nothing = {**body, "resume": [entry | {"interruptId": "mcpr_" + "0" * 32}]}
            unknown = (await bob.post("/agui", nothing)).json()["error"]
            error = refused.json()["error"]
            assert (
                error["message"].replace(entry["interruptId"], "mcpr_" + "0" * 32)
                == (unknown["message"])
            )
            return [error, unknown]

    refused, unknown = asyncio.run(main())
    assert (refused["code"], refused["param"]) == (unknown["code"], unknown["param"])
