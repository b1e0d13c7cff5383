"""Idempotency keys of clients are never those of a task's further runs."""

import pytest

from agent_asgi.protocols.a2a.stored import key_of, task_id_of
from tests.store.test_store import make


@pytest.mark.parametrize("key", ["a2a:resp_1:1", "a2a:resp_1", None, "x"])
def test_a_key_of_a_client_names_no_task(key: str | None) -> None:
    assert task_id_of(make(key=key)) == ""


def test_a_key_of_a_task_cannot_be_sent() -> None:
    key = key_of("resp_1", 1)
    assert task_id_of(make(key=key)) == "resp_1"
    assert "\n" in key  # which no header may contain (RFC 9110, 5.5)
