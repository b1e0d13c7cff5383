"""`BearerTokens`: what it accepts, what it rejects, what it does not reveal."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.requests import HTTPConnection
from starlette.types import Scope

from agent_asgi import AgentApp, AgentRouter, BearerTokens, Context, ResponsesRequest
from agent_asgi.testing import AgentClient, Answer
from tests.support.asking import ANN, BOB, TOKENS, WRONG, bearer


def post(**headers: str) -> Answer:
    """Send a request to an agent that returns the authenticated user."""
    router = AgentRouter()

    @router.invoke
    async def who(request: ResponsesRequest, context: Context) -> str:
        return str(context.user)

    client = AgentClient(AgentApp(router, authenticate=TOKENS))
    return asyncio.run(client.post("/responses", {"input": "x"}, headers=headers))


def test_tokens_look_up_their_principal() -> None:
    for headers, name in ((bearer(ANN), "ann"), ({"authorization": f"bearer  {BOB}"}, "bob")):
        assert post(**headers).json()["output"][0]["content"][0]["text"] == name


@pytest.mark.parametrize(
    ("header", "code", "challenge"),
    [
        (None, "unauthenticated", "Bearer"),
        ("", "unauthenticated", "Bearer"),
        ("Bearer", "unauthenticated", "Bearer"),
        ("Basic YW5uOng=", "unauthenticated", "Bearer"),
        (ANN, "unauthenticated", "Bearer"),
        (f"Bearer {WRONG}", "invalid_token", 'Bearer error="invalid_token"'),
        (f"Bearer {ANN}x", "invalid_token", 'Bearer error="invalid_token"'),
        (f"Bearer {ANN[:-1]}", "invalid_token", 'Bearer error="invalid_token"'),
        ("Bearer \xff\x00", "invalid_token", 'Bearer error="invalid_token"'),
        (f"Bearer {ANN} {BOB}", "invalid_token", 'Bearer error="invalid_token"'),
    ],
)
def test_refusals(header: str | None, code: str, challenge: str) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = post(**headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.headers["x-request-id"].startswith("req_")
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("authentication_error", code, None)
    assert "secret" not in answer.body.decode()


def test_nothing_shows_a_token() -> None:
    assert repr(TOKENS) == "BearerTokens(2 tokens)"
    assert "secret" not in repr(vars(TOKENS))


@pytest.mark.parametrize(
    "tokens",
    [
        {},
        {"": "ann"},
        {"t": ""},
        {"a b": "ann"},
        {"t\n": "ann"},
        {"tö": "ann"},
        {"t": SimpleUser("")},
        {"t": UnauthenticatedUser()},
    ],
)
def test_bad_tokens(tokens: Any) -> None:
    with pytest.raises(ValueError) as raised:
        BearerTokens(tokens)
    assert "tö" not in str(raised.value)


def test_a_principal_of_no_shape() -> None:
    bad: Any = {"t": 3}
    with pytest.raises(TypeError, match="is_authenticated"):
        BearerTokens(bad)


TEXTS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1
)


@given(st.dictionaries(TEXTS, TEXTS.filter(lambda name: "=" not in name), min_size=1))
def test_tokens_from_the_environment(tokens: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENS", ", ".join(f"{name}={token}" for token, name in tokens.items()))
        read = BearerTokens.from_env("TOKENS")
    for token, name in tokens.items():
        principal = asyncio.run(read(HTTPConnection(_scope(f"Bearer {token}"))))
        assert principal is not None
        assert principal.display_name == name


def _scope(authorization: str) -> Scope:
    return {"type": "http", "headers": [(b"authorization", authorization.encode())]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "AGENT_ASGI_TOKENS is not set"),
        ("  ", "AGENT_ASGI_TOKENS is not set"),
        ("secret", "entry 1 is not"),
        ("ann=ok-secret,=secret", "entry 2 is not"),
        ("ann=", "entry 1 is not"),
        ("ann=secret,", "entry 2 is not"),
        ("ann=a secret", "entry 1 is not"),
        ("ann=secret,bob=secret", "entry 2 repeats a token"),
    ],
)
def test_a_bad_environment(text: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT_ASGI_TOKENS", raising=False)
    if text is not None:
        monkeypatch.setenv("AGENT_ASGI_TOKENS", text)
    with pytest.raises(ValueError, match=message) as raised:
        BearerTokens.from_env()
    assert "secret" not in str(raised.value)
