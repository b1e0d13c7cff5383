"""Bodies that are more than JSON or less: encoded, with a byte order mark, with half an emoji."""

import gzip
import json
from typing import Any

import pytest

from agent_asgi import AgentApp
from agent_asgi.testing import Answer
from tests.support.apps import ask_unstarted
from tests.support.asking import Reply, fetch
from tests.support.calling import Serve
from tests.support.upstream import tutor
from tests.support.websocket_client import connect, envelope, read

PATHS = ["/responses", "/v1/responses", "/invocations", "/v1/chat/completions"]
BODY = {"input": "x", "messages": [{"role": "user", "content": "x"}]}
BOM = b"\xef\xbb\xbf"


def post(body: bytes, path: str = "/responses", **headers: str) -> Answer:
    return ask_unstarted(AgentApp(tutor()), path, body, headers)


@pytest.mark.parametrize("path", PATHS)
def test_an_encoded_body_is_refused_by_the_name_of_its_encoding(path: str) -> None:
    packed = gzip.compress(json.dumps(BODY).encode())
    answer = post(packed, path, **{"content-encoding": "gzip"})
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (415, "unsupported_content_encoding")
    assert "gzip" in error["message"]


def test_over_a_real_connection(serve: Serve) -> None:
    url = serve(AgentApp(tutor()))
    refused = fetch(url, "POST", "/responses", body=BODY, headers={"content-encoding": "br"})
    assert (refused.status, refused.error["code"]) == (415, "unsupported_content_encoding")
    taken: Reply = fetch(url, "POST", "/responses", body=BODY, headers={"content-encoding": ""})
    assert taken.status == 200


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_identity_is_no_encoding(encoding: str) -> None:
    answer = post(json.dumps(BODY).encode(), **{"content-encoding": encoding})
    assert answer.status == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_byte_order_mark_is_skipped(path: str) -> None:
    assert post(BOM + json.dumps(BODY).encode(), path).status == 200


def test_a_byte_order_mark_over_a_websocket(serve: Serve) -> None:
    with connect(serve(AgentApp(tutor()))) as ws:
        ws.send("\ufeff" + json.dumps({"type": "response.create", "input": "x"}))
        assert read(ws)[-1]["type"] == "response.completed"


HALVES = [
    rb'{"input": "a \ud83d b"}',
    rb'{"input": "\ud83d"}',
    rb'{"input": "\uDE00 b"}',
    rb'{"input": "\ud83dA"}',
    rb'{"input": "\\\ud83d"}',
    rb'{"input": "x", "unknown": {"\ud83d": 1}}',
    rb'{"input": "\ud83d\ude00\ud83d"}',
    b'{"input": "\xed\xa0\xbd"}',
    b'{"input": "x", "unknown": "\xed\xb8\x80"}',
]
OTHERS = [rb'{"input": "\ud83', rb'{"input": "\\ud83d', b'{"input": "\xff"}', b'{"input": "x']


@pytest.mark.parametrize("body", HALVES)
def test_half_an_emoji_is_named(body: bytes) -> None:
    for path in PATHS:
        chat = path.endswith("completions")
        answer = post(body.replace(b'"input"', b'"messages"') if chat else body, path)
        error = answer.json()["error"]
        assert (answer.status, error["code"]) == (400, "invalid_json")
        assert "half of a surrogate pair" in error["message"]
        assert "truncated" not in error["message"]


@pytest.mark.parametrize("body", OTHERS)
def test_other_broken_bodies_are_not_taken_for_one(body: bytes) -> None:
    answer = post(body)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert "surrogate" not in answer.json()["error"]["message"]


def test_half_an_emoji_over_a_websocket(serve: Serve) -> None:
    with connect(serve(AgentApp(tutor()))) as ws:
        ws.send(r'{"type": "response.create", "input": "\ud83d"}')
        assert envelope(ws) == (400, "invalid_json", None)


@pytest.mark.parametrize("path", PATHS)
def test_metadata_keys_have_at_most_64_characters(path: str) -> None:
    def status(metadata: Any) -> tuple[int, str]:
        answer = post(json.dumps(BODY | {"metadata": metadata}).encode(), path)
        return answer.status, (answer.json().get("error") or {}).get("param", "")

    assert status({"k" * 64: "v" * 512}) == (200, "")
    assert status({"k" * 65: "v"}) == (400, "metadata")
    assert status({"k": "v" * 513})[0] == 400
