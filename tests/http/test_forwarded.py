"""`ForwardedUser`: whose word counts."""

import asyncio
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Context, ForwardedUser, ResponsesRequest
from tests.support.asking import fetch
from tests.support.servers import serving

USER = (b"x-forwarded-user", b" ann ")


def user_of(peer: str | None, *headers: tuple[bytes, bytes], **options: Any) -> str | None:
    """Return the user of a request from a peer."""
    client = None if peer is None else (peer, 4711)
    scope = {"type": "http", "headers": list(headers), "client": client}
    return asyncio.run(ForwardedUser(**options)(HTTPConnection(scope)))


@pytest.mark.parametrize(
    ("peer", "user"),
    [
        ("10.1.2.3", "ann"),
        ("::ffff:10.1.2.3", "ann"),
        ("192.0.2.7", "ann"),
        ("2001:db8::1", "ann"),
        ("192.0.2.8", None),
        ("2001:db9::1", None),
        ("testclient", None),
        (None, None),
    ],
)
def test_only_proxies_are_believed(peer: str | None, user: str | None) -> None:
    proxies = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
    assert user_of(peer, USER, proxies=proxies) == user


def test_odd_headers() -> None:
    proxies = ["127.0.0.1"]
    assert user_of("127.0.0.1", proxies=proxies) is None
    assert user_of("127.0.0.1", (b"x-forwarded-user", b" "), proxies=proxies) is None
    assert user_of("127.0.0.1", USER, USER, proxies=proxies) is None
    similar = [(b"x-forwarded-user", name.encode()) for name in ("J\u00e0", "J\u00c5")]
    assert len({user_of("127.0.0.1", each, proxies=proxies) for each in similar}) == 2
    email = (b"x-forwarded-email", b"ann@example.com")
    assert user_of("127.0.0.1", USER, email, header="X-Forwarded-Email", proxies=proxies) == (
        "ann@example.com"
    )


def test_a_wrong_peer_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    by_header = ForwardedUser(proxies=["10.0.0.1"])
    scope = {"type": "http", "headers": [USER], "client": ("192.0.2.8", 1)}
    for _ in range(3):
        assert asyncio.run(by_header(HTTPConnection(scope))) is None
    (record,) = caplog.records
    assert "from '192.0.2.8' is ignored: that is not the connection" in record.getMessage()


def test_behind_a_real_server() -> None:
    router = AgentRouter()

    @router.invoke
    async def who(request: ResponsesRequest, context: Context) -> str:
        return str(context.user)

    headers = {"x-forwarded-user": "ann"}
    for proxies, status in ((["127.0.0.0/8"], 200), (["10.0.0.0/8"], 401)):
        app = AgentApp(router, authenticate=ForwardedUser(proxies=proxies))
        with serving(app) as server:
            body = {"input": "x"}
            reply = fetch(server.url, "POST", "/responses", body=body, headers=headers)
            assert reply.status == status
            assert fetch(server.url, "POST", "/responses", body=body).status == 401
            for spoof in ("10.0.0.1", "10.0.0.1:5", "192.0.2.1, 10.0.0.1"):  # uvicorn believes it
                spoofed = headers | {"x-forwarded-for": spoof}
                reply = fetch(server.url, "POST", "/responses", body=body, headers=spoofed)
                assert reply.status == 401
        with serving(app, proxy_headers=False) as server:
            reply = fetch(server.url, "POST", "/responses", body=body, headers=spoofed)
            assert reply.status == status


@pytest.mark.parametrize("proxies", [[], ["proxy.example.com"], ["10.0.0.1/8"]])
def test_bad_proxies(proxies: list[str]) -> None:
    with pytest.raises(ValueError):
        ForwardedUser(proxies=proxies)


def test_proxies_of_a_wrong_type() -> None:
    wrong: Any = "10.0.0.1"
    with pytest.raises(TypeError, match="proxies must be list or tuple"):
        ForwardedUser(proxies=wrong)
