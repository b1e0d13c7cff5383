"""Names that databases handle badly: NUL, very long names, non-ASCII characters."""

from typing import Any

import httpx2
import pytest

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from tests.support.calling import QUICK, Serve

NAMES = ["a\0b", "x" * 10_000, "x" * 512, "\u202e\U0001f4a9", "'; DROP TABLE responses; --"]


@pytest.fixture
def client(serve: Serve, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client of an agent, once with each kind of store."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    router = AgentRouter()

    @router.invoke
    async def hello(request: ResponsesRequest) -> str:
        return "Hello."

    url = serve(AgentApp(router, store=store_url, timeouts=QUICK, single_user=True))
    with httpx2.Client(base_url=url, timeout=10) as made:
        yield made


def test_names_in_a_body(client: Any) -> None:
    for name in NAMES:
        id_ = "m1" if len(name) > 512 else name  # a longer one is refused
        message = {"role": "user", "content": name, "id": id_}
        fields: dict[str, Any] = {
            "model": name,
            "user": name,
            "custom_inputs": {"session_id": name},
        }
        for more in ({}, {"background": True}, {"conversation": id_.replace("\0", "")}):
            answer = client.post("/responses", json={"input": [message], **fields, **more})
            assert answer.status_code == 200, (name[:20], more, answer.text[:300])
        found = client.get(f"/responses/{answer.json()['id']}/input_items").json()
        listed = found["data"][0]["id"]
        assert listed == id_ or "\0" in id_  # which no database has
        asked = {"input": [{"type": "item_reference", "id": listed}]}
        assert client.post("/responses", json=asked).status_code == 200
        for id_ in (name, answer.json()["id"] + name):
            more = {"input": "x", "previous_response_id": id_}
            assert client.post("/responses", json=more).status_code == 400
            unknown = {"input": [{"type": "item_reference", "id": id_ + "?"}]}
            assert client.post("/responses", json=unknown).status_code == 400


def test_names_in_a_path(client: Any) -> None:
    for name in ("%00", "a%00b", "%ff", "x" * 10_000, "%F0%9F%92%A9", "%27"):
        for path in (name, f"{name}/input_items"):
            assert client.get(f"/responses/{path}").status_code == 404
        assert client.delete(f"/responses/{name}").status_code == 404
        assert client.post(f"/responses/{name}/cancel").status_code == 404


def test_names_in_a_header(client: Any) -> None:
    for name in (b"k" * 512, b"\xff\xfe", b"'", b""):
        for _ in range(2):
            headers = [(b"idempotency-key", name), (b"x-session-id", name)]
            answer = client.post("/responses", json={"input": "x"}, headers=headers)
            assert answer.status_code == 200, (name[:20], answer.text[:300])
