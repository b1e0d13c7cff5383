"""The settings of a request that its response repeats."""

from typing import Any

import pytest

from agent_asgi.schema.requests import PromptRef, ReasoningOptions, ResponsesRequest, TextOptions
from agent_asgi.schema.responses import _ECHOED, echo

SETTINGS: dict[str, Any] = {
    **dict.fromkeys(_ECHOED, "x"),
    "prompt": PromptRef(id="x"),
    "tool_choice": "none",
    "text": TextOptions(verbosity="low"),
    "reasoning": ReasoningOptions(effort="low"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_echoed_even_if_it_is_the_only_one(name: str) -> None:
    plain, set_ = (
        echo(ResponsesRequest(input="x", **settings), "resp_1", "agent")
        for settings in ({}, {name: SETTINGS[name]})
    )
    assert getattr(set_, name) != getattr(plain, name)
