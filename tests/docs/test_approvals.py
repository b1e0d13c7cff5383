"""The first agent of docs/approvals.md, after a restart that has emptied the memory store."""

import asyncio
import json
from typing import Any

import pytest

from agent_asgi.testing import AgentClient
from tests.support.pages import FENCE, ROOT


def started() -> Any:
    """Return the app of the page's first block, with a store of its own."""
    block = next(FENCE.finditer((ROOT / "docs" / "approvals.md").read_text()))
    names: dict[str, Any] = {"__name__": "files"}
    exec(compile(block["code"], "approvals.md", "exec"), names)  # code from the docs
    return names["app"]


def output_of(app: Any, items: list[Any]) -> list[Any]:
    """Return the output items that an app answers with."""
    answer = asyncio.run(AgentClient(app).post("/responses", {"input": items}))
    assert answer.status == 200, answer.body
    output: list[Any] = answer.json()["output"]
    return output


@pytest.mark.parametrize(
    ("changes", "path"),
    [({}, "reports/may.txt"), ({"agent_asgi:arguments": {"path": "/tmp/b"}}, "/tmp/b")],
)
def test_a_resent_conversation_is_answered_after_a_restart(
    changes: dict[str, Any], path: str
) -> None:
    conversation = [{"role": "user", "content": "Delete the report."}]
    conversation += output_of(started(), conversation)
    id_ = conversation[-1]["id"]
    answer = {"type": "mcp_approval_response", "approval_request_id": id_, "approve": True}
    (message,) = output_of(started(), [*conversation, answer | changes])
    assert message["content"][0]["text"] == f"{path} is deleted."
    conversation[-1]["arguments"] = json.loads(conversation[-1]["arguments"])  # as some clients do
    (message,) = output_of(started(), [*conversation, answer | changes])
    assert message["content"][0]["text"] == f"{path} is deleted."
