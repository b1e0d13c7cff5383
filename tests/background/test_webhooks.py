"""Webhooks: what reports the end of a background run, and how often it is tried."""

import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from agent_asgi import AgentApp, AgentError, AgentRouter, ResponsesRequest, Webhook
from agent_asgi.background import deliverer
from agent_asgi.background.outgoing import ForbiddenAddress, Outgoing, is_public
from agent_asgi.protocols import ChatCompletions
from agent_asgi.store import Record
from agent_asgi.store.base import Ending
from agent_asgi.store.delivery_store import Notice
from tests.support.asking import fetch
from tests.support.commands import command, running
from tests.support.receiver import Received, Receiver, receiving
from tests.support.servers import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLIENT = OpenAI(api_key="none", webhook_secret=SECRET)


@pytest.fixture
def receiver() -> Any:
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat attempts soon."""
    monkeypatch.setattr(deliverer, "WAITS", (0.1, 0.2))
    monkeypatch.setattr(deliverer, "POLL_SECONDS", 0.1)


def ender() -> AgentRouter:
    """Return an agent that ends as its input says."""
    router = AgentRouter("ender")

    @router.stream
    async def end(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield "So "
        if request.input_text == "failed":
            raise AgentError("It is closed.", 502)
        if request.input_text == "incomplete":
            yield {"type": "response.incomplete", "response": {"output": []}}
        if request.input_text == "cancelled":
            await asyncio.sleep(30)

    return router


def app_of(receiver: Receiver, *events: str, store: Any = None) -> AgentApp:
    options: dict[str, Any] = {"events": events} if events else {}
    webhook = Webhook(receiver.url, SECRET, allow_private=True, **options)
    return AgentApp(ender(), store=store, webhooks=[webhook])


def begin(url: str, text: str = "completed") -> str:
    """Begin a background run; return its id."""
    body = {"input": text, "background": True}
    id_: str = json.loads(fetch(url, "POST", "/responses", body=body).body)["id"]
    return id_


def unwrapped(request: Received) -> Any:
    """Verify a request with OpenAI's SDK; return its event."""
    return CLIENT.webhooks.unwrap(request.body, request.headers)


@pytest.mark.parametrize("status", ["completed", "failed", "incomplete", "cancelled"])
def test_each_end_is_reported(
    serve: Callable[[Any], str], store_url: str, receiver: Receiver, status: str
) -> None:
    url = serve(app_of(receiver, store=store_url))
    id_ = begin(url, status)
    if status == "cancelled":
        fetch(url, "POST", f"/responses/{id_}/cancel")
    (request,) = receiver.wait(1)
    event = unwrapped(request)
    assert (event.type, event.data.id) == (f"response.{status}", id_)
    assert event.id == request.headers["webhook-id"]
    assert abs(event.created_at - time.time()) < 60
    assert request.event.keys() == {"id", "object", "created_at", "type", "data"}
    with pytest.raises(InvalidWebhookSignatureError):
        CLIENT.webhooks.unwrap(request.body + b" ", request.headers)
    assert json.loads(fetch(url, "GET", f"/responses/{id_}").body)["status"] == status


class Broken(ChatCompletions):
    """A protocol that cannot tell its subscribers of an end."""

    receivers = (Webhook("https://hooks.example/", SECRET),)

    def notice(self, record: Record, ending: Ending) -> Notice:
        raise KeyError(record.id)


def test_a_notice_that_cannot_be_made_loses_no_run(
    serve: Callable[[Any], str], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = Webhook(receiver.url, SECRET, allow_private=True)
    url = serve(AgentApp(ender(), webhooks=[webhook], protocols=[Broken()]))
    id_ = begin(url)
    assert receiver.wait(1)[0].event["data"]["id"] == id_
    stored = json.loads(fetch(url, "GET", f"/responses/{id_}").body)
    assert (stored["status"], stored["output"][0]["content"][0]["text"]) == ("completed", "So ")
    assert "subscribers are not notified" in caplog.text


def test_only_what_was_asked_for(serve: Callable[[Any], str], receiver: Receiver) -> None:
    url = serve(app_of(receiver, "response.failed"))
    fetch(url, "POST", "/responses", body={"input": "failed"})  # not in the background
    headers = {"idempotency-key": "k"}
    fetch(url, "POST", "/responses", body={"input": "failed"}, headers=headers)
    begin(url, "completed")
    id_ = begin(url, "failed")
    (request,) = receiver.wait(1)
    time.sleep(0.5)
    assert [each.event["data"]["id"] for each in receiver.requests] == [id_]
    assert request.event["type"] == "response.failed"


def test_it_is_tried_again_with_the_same_id(
    serve: Callable[[Any], str], store_url: str, receiver: Receiver
) -> None:
    receiver.answers = [500, 302]
    url = serve(app_of(receiver, store=store_url))
    begin(url)
    requests = receiver.wait(3)
    time.sleep(0.5)
    assert [each.path for each in requests] == ["/hook"] * 3  # no redirect is followed
    assert {each.headers["webhook-id"] for each in requests} == {requests[0].event["id"]}
    assert len({each.body for each in requests}) == 1
    unwrapped(requests[2])


@pytest.mark.parametrize(("answers", "attempts"), [([410], 1), ([500] * 9, 3)])
def test_it_is_given_up(
    serve: Callable[[Any], str],
    store_url: str,
    receiver: Receiver,
    answers: list[int],
    attempts: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.answers = list(answers)
    with caplog.at_level(logging.WARNING, "agent_asgi"):
        url = serve(app_of(receiver, store=store_url))
        begin(url)
        receiver.wait(attempts)
        time.sleep(0.6)
    assert len(receiver.requests) == attempts
    assert "is given up" in caplog.text
    assert SECRET not in caplog.text


def test_a_receiver_that_hangs_keeps_no_other_waiting(
    serve: Callable[[Any], str], receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        webhooks = [
            Webhook(url, SECRET, allow_private=True)
            for url in (f"http://127.0.0.1:{hanging.getsockname()[1]}/", receiver.url)
        ]
        url = serve(AgentApp(ender(), webhooks=webhooks))
        for _ in range(40):
            begin(url)
        receiver.wait(40, 10)


def test_nobody_there_is_tried_again(
    serve: Callable[[Any], str], caplog: pytest.LogCaptureFixture
) -> None:
    webhook = Webhook(f"http://127.0.0.1:{free_port()}/", SECRET, allow_private=True)
    with caplog.at_level(logging.WARNING, "agent_asgi"):
        begin(serve(AgentApp(ender(), webhooks=[webhook])))
        until = time.monotonic() + 20
        while "is given up" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
    assert "ConnectError" in caplog.text


def test_this_machine_is_not_called(
    serve: Callable[[Any], str], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = Webhook(f"https://localhost:{receiver.port}/", SECRET)
    with caplog.at_level(logging.WARNING, "agent_asgi"):
        begin(serve(AgentApp(ender(), webhooks=[webhook])))
        until = time.monotonic() + 20
        while "has no public address" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
    assert "'localhost' has no public address" in caplog.text
    assert receiver.requests == []


def test_an_app_delivers_its_own_webhooks_only(
    serve: Callable[[Any], str], tmp_path: Path, receiver: Receiver
) -> None:
    store = f"sqlite:///{tmp_path}/r.db"
    other = Webhook(receiver.url + "/other", SECRET, allow_private=True)
    serve(AgentApp(ender(), store=store, webhooks=[other]))
    begin(serve(app_of(receiver, store=store)))
    receiver.wait(1)
    time.sleep(0.5)
    assert [each.path for each in receiver.requests] == ["/hook"]


APP = """
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Webhook
from agent_asgi.background import deliverer

deliverer.WAITS, deliverer.LEASE_SECONDS, deliverer.POLL_SECONDS = (1.0,) * 9, 2.0, 0.2
router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return request.input_text

webhook = Webhook({url!r}, {secret!r}, allow_private=True)
app = AgentApp(router, store={store!r}, webhooks=[webhook])
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_it_survives_a_kill(
    kind: str, tmp_path: Path, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    store = "sqlite:///r.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    source = APP.format(url=receiver.url, secret=SECRET, store=store)
    (tmp_path / "served.py").write_text(source)
    receiver.answers = [503]
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port))
    with running(argv, tmp_path, port) as first:
        id_ = begin(f"http://127.0.0.1:{port}")
        receiver.wait(1)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(10)
    with running(argv, tmp_path, port):
        *_, last = receiver.wait(2)
        assert unwrapped(last).data.id == id_
        assert last.headers["webhook-id"] == receiver.requests[0].headers["webhook-id"]
        time.sleep(2.5)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d822", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Resolve names to one address after another; return the names that were asked for."""
    asked: list[str] = []
    rest = list(answers)
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop: Any, host: Any, port: Any, **options: Any) -> Any:
        if host is None or host.replace(".", "").isdigit():
            return await real(loop, host, port, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (rest.pop(0), port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    asked = resolving(monkeypatch, "127.0.0.1", "192.0.2.1")

    async def main() -> int:
        client = Outgoing(allow_private=True)
        try:
            return await client.post(f"http://hooks.example:{receiver.port}/x", {}, b"{}")
        finally:
            await client.close()

    assert asyncio.run(main()) == 200
    assert asked == ["hooks.example"]
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    async def getaddrinfo(loop: Any, host: Any, port: Any, **options: Any) -> Any:
        addresses = ("::1", "127.0.0.1")  # nobody listens at the first
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    real = asyncio.BaseEventLoop.getaddrinfo

    async def found(loop: Any, host: Any, port: Any, **options: Any) -> Any:
        ask = getaddrinfo if host == "hooks.example" else real
        return await ask(loop, host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", found)

    async def main() -> int:
        client = Outgoing(allow_private=True)
        try:
            return await client.post(f"http://hooks.example:{receiver.port}/x", {}, b"{}")
        finally:
            await client.close()

    assert asyncio.run(main()) == 200


def test_a_name_that_leads_into_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "169.254.169.254")

    async def main() -> None:
        client = Outgoing(allow_private=False)
        with pytest.raises(ForbiddenAddress, match="has no public address"):
            await client.post("https://metadata.example/latest", {}, b"{}")
        await client.close()

    asyncio.run(main())


def test_tls_keeps_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pem = tmp_path / "hooks.pem"
    options = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.example"
    names_in_it = ["-addext", "subjectAltName=DNS:hooks.example"]
    files = ["-keyout", str(pem), "-out", str(tmp_path / "cert.pem")]
    command_line = ["openssl", "req", *options.split(), *files, *names_in_it]
    subprocess.run(command_line, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", pem)
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    resolving(monkeypatch, "127.0.0.1", "127.0.0.1")

    async def main(name: str, port: int) -> int:
        client = Outgoing(allow_private=True)
        try:
            return await client.post(f"https://{name}:{port}/", {}, b"{}")
        finally:
            await client.close()

    with receiving(server) as receiver:
        assert asyncio.run(main("hooks.example", receiver.port)) == 200
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(main("other.example", receiver.port))
    assert names == ["hooks.example", "other.example"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "hooks.example"}, "is not an https URL"),
        ({"url": "ftp://hooks.example"}, "is not an https URL"),
        ({"url": "https://hooks.example:99999"}, "is not an https URL"),
        ({"url": "https://hooks..example"}, "is not an https URL"),
        ({"url": "http://hooks.example"}, "must be https"),
        ({"secret": "whsec_abc"}, "at least 16 bytes in base64"),
        ({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "must be whsec_"),
        ({"events": ["response.created"]}, "there is no event 'response.created'"),
        ({"events": "response.failed"}, "must be a list"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    arguments = {"url": "https://hooks.example", "secret": SECRET} | options
    with pytest.raises((ValueError, TypeError), match=message):
        Webhook(**arguments)


def test_one_webhook_for_each_url() -> None:
    webhook = Webhook("https://hooks.example", SECRET)
    with pytest.raises(ValueError, match="two webhooks have the URL"):
        AgentApp(ender(), webhooks=[webhook, webhook])
    with pytest.raises(TypeError, match="each webhook must be Webhook"):
        AgentApp(ender(), webhooks=["https://hooks.example"])  # type: ignore[list-item]  # on purpose
    assert SECRET not in repr(webhook)
