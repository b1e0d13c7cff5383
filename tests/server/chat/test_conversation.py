"""What a chat shows and sends, against a real server."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter, ApprovalRequest, ResponsesRequest
from tests.server.chat.conftest import Say
from tests.support import talker

Serve = Callable[[Any], str]


@pytest.fixture
def url(serve: Serve) -> str:
    return serve(talker.app)


def test_each_turn_continues_the_one_before(url: str, say: Say) -> None:
    assert say(url, "Hi", "", "you", "/new", "again") == (
        "Turn 1: Hi\nTurn 2: you\n(a new conversation)\nTurn 1: again\n"
    )


def test_reasoning_and_tools_are_shown(url: str, say: Say) -> None:
    lines = say(url, "tool").splitlines()
    assert lines[:2] == ["Let me look.", 'look({"at":"the sky"})']
    assert lines[2].startswith("look = blueblue")
    assert lines[2].endswith("... (1207 characters)")
    assert lines[3:] == ['reach({"at":"the sky"})', "reach failed: too high", "It is blue."]


def test_the_pair_of_a_call_and_its_output_asks_nothing(serve: Serve, say: Say) -> None:

    router = AgentRouter("pairs", own_tools="function_call")

    @router.stream
    async def use(request: ResponsesRequest) -> Any:
        return talker.use_tools()

    lines = say(serve(AgentApp(router)), "tool").splitlines()
    assert [line.partition("(")[0] for line in lines[1:5:2]] == ["look", "reach"]
    assert lines[-1] == "It is blue."


def test_the_user_executes_the_clients_tools(url: str, say: Say) -> None:
    assert say(url, "ask me", '{"city": "Oslo"}', "next") == (
        'where_are_you({"unit":"city"})\nYou are {"city": "Oslo"}.\nTurn 2: next\n'
    )


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y", "approve=True reason=None"),
        ("No", "approve=False reason=None"),
        ("I need it", "approve=False reason=I need it"),
    ],
)
def test_the_user_is_asked_for_approval(url: str, say: Say, typed: str, answer: str) -> None:
    shown = say(url, "delete", "", typed)
    assert shown == f'Run delete_file({{"path":"a.txt"}})?\n{answer}\n'


def test_an_approval_shows_all_that_it_approves(serve: Serve, say: Say) -> None:
    router = AgentRouter("agent")
    arguments = {"note": "x" * 1_100, "command": "rm -rf /"}

    @router.stream
    async def ask(request: ResponsesRequest) -> Any:
        yield ApprovalRequest("safe()?\ny", arguments)

    shown = say(serve(AgentApp(router)), "go")
    assert shown.startswith("Run safe()?\\ny(")
    assert '"command":"rm -rf /"' in shown


def test_an_end_of_the_input_leaves_a_question_open(url: str, say: Say) -> None:
    assert say(url, "delete") == 'Run delete_file({"path":"a.txt"})?\n'


def test_sources_are_shown(url: str, say: Say) -> None:
    assert say(url, "cite") == "Paris.\n[Paris] https://example.com/paris\n"


def test_text_cannot_control_the_terminal(url: str, say: Say) -> None:
    assert say(url, "escape") == "[2Jred31m\n"


def test_a_failure_ends_a_chat_without_a_terminal(url: str, say: Say) -> None:
    shown = say(url, "Hi", "fail", "never sent", ends=1)
    assert shown == "Turn 1: Hi\nError: It is broken. (broken)\n"


def test_another_agent(url: str, say: Say) -> None:
    shown = say(url, "Hi", "/agent parrot", "Hi", "/agent owl")
    assert shown.splitlines() == [
        "Turn 1: Hi",
        "(a new conversation with parrot)",
        "Hi, Hi",
        "Agents: talker, parrot",
    ]
    assert say(url, "Hi", options=("--agent", "parrot")) == "Hi, Hi\n"


def test_events_as_json(url: str, say: Say) -> None:
    *events, text = say(url, "/raw", "Hi", "/raw", "you").splitlines()
    types = [json.loads(event)["type"] for event in events]
    assert (types[0], types[-1]) == ("response.created", "response.completed")
    assert text == "Turn 2: you"


def test_the_trace(url: str, say: Say) -> None:
    before, answer, trace = say(url, "/trace", "Hi", "/trace").splitlines()
    assert (before, answer) == ("The last answer has no trace.", "Turn 1: Hi")
    assert trace.startswith("Trace tr-")


def test_commands(url: str, say: Say) -> None:
    shown = say(url, "/help", "/nothing", " /etc/hosts", "/quit", "never sent")
    assert "/agent NAME" in shown
    assert shown.endswith("There is no command /nothing. /help lists them.\nTurn 1: /etc/hosts\n")
