"""The paths of protocols: checked when they are set, each served once."""

from collections.abc import Callable
from typing import Any

import pytest

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import A2A, AGUI, MCP, AgentBricks, ChatCompletions, Protocol, UIStream


@pytest.mark.parametrize("protocol", [A2A, AGUI, MCP, AgentBricks, UIStream])
@pytest.mark.parametrize("path", ["", "/", "chat", "/chat/", "/chat/{id}", "/a b", "/chat?x=1"])
def test_a_path_that_is_none_is_refused(protocol: Callable[..., Protocol], path: str) -> None:
    with pytest.raises(ValueError, match="path must be like '/agents/chat', not "):
        protocol(path=path)


@pytest.mark.parametrize("protocol", [A2A, AGUI, MCP, AgentBricks, UIStream])
def test_a_path_of_another_type_is_refused(protocol: Callable[..., Protocol]) -> None:
    path: Any = 5
    with pytest.raises(TypeError, match="path must be str, not 5"):
        protocol(path=path)


@pytest.mark.parametrize(
    ("protocols", "message"),
    [
        ([AGUI("/chat"), UIStream(path="/chat")], "POST /chat is served twice: by AGUI and UI"),
        ([AGUI("/responses")], "POST /responses is served twice: by AGUI and Responses."),
        ([MCP("/feedback")], "POST /feedback is served twice: by Feedback and MCP."),
        ([ChatCompletions(), ChatCompletions()], "POST /chat/completions is served twice"),
    ],
)
def test_two_protocols_at_one_path_are_refused(protocols: list[Protocol], message: str) -> None:
    router = AgentRouter()
    router.invoke(lambda request: request.input_text)
    with pytest.raises(ValueError, match=message):
        AgentApp(router, protocols=protocols)
