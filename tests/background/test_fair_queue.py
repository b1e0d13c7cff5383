"""Background runs of several users: the burst of one does not delay the first runs of others."""

import threading
from typing import Any

import pytest

from agent_asgi import AgentRouter, Context, Limits, ResponsesRequest
from agent_asgi.background import postgres_queue
from tests.support.calling import Serve, client_of, ended, until
from tests.support.owners import OWNERS, as_user


@pytest.mark.parametrize("users", [True, False])
def test_users_take_turns(
    serve: Serve, store_url: str, users: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_queue, "PACE_SECONDS", 60.0)  # however slow the machine is
    router, order, gate = AgentRouter(), list[str](), threading.Event()

    @router.invoke
    def work(request: ResponsesRequest, context: Context) -> str:
        order.append(request.input_text)
        gate.wait(20)
        return "done"

    options: dict[str, Any] = {"middleware": OWNERS, "limits": Limits(worker_concurrency=1)}
    with client_of(serve, store_url, router, **options) as client:
        ids = []

        def begin(user: str, text: str) -> None:
            by = as_user(client, user) if users else client
            made = by.responses.create(model="agent", input=text, background=True)
            ids.append((by, made.id))

        begin("ann", "ann 0")
        until(lambda: order)
        for number in range(1, 7):
            begin("ann", f"ann {number}")
        for user in ("bob", "carl"):
            begin(user, f"{user} 0")
        gate.set()
        for by, id_ in ids:
            assert ended(by, id_).status == "completed"
    came = [text.partition(" ")[0] for text in order]
    if users:
        assert set(came[1:4]) >= {"bob", "carl"}, order
    else:
        assert came == ["ann"] * 7 + ["bob", "carl"]
    assert [text for text in order if text.startswith("ann")] == [f"ann {n}" for n in range(7)]
