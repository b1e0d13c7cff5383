"""`JwtTokens` against a real issuer: what it accepts, what it refuses, when it fetches keys."""

import asyncio
import base64
import builtins
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from agent_asgi import AgentApp, AgentRouter, Context, JwtTokens, ResponsesRequest
from agent_asgi.errors import Unavailable
from agent_asgi.http import jwt_keys
from agent_asgi.http.jwt_tokens import ALGORITHMS
from agent_asgi.testing import AgentClient, Answer
from tests.support.asking import bearer, fetch
from tests.support.issuer import AUDIENCE, DISCOVERY, Issuer, issuing

Serve = Callable[[Any], str]
REFUSED = 401, 'Bearer error="invalid_token"'


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def whoami(**options: Any) -> AgentRouter:
    """Make an agent that returns its user and the claims of the token."""
    router = AgentRouter(**options)

    @router.invoke
    async def who(request: ResponsesRequest, context: Context) -> str:
        return f"{context.user} {context.state['claims'].get('role', '')}".strip()

    return router


def post(tokens: JwtTokens, token: str, *more: str, **options: Any) -> Answer:
    """Send requests with tokens to an agent; return the last answer."""

    async def main() -> Answer:
        client = AgentClient(AgentApp(whoami(**options), authenticate=tokens))
        for each in (token, *more):
            answer = await client.post("/responses", {"input": "x"}, headers=bearer(each))
        return answer

    return asyncio.run(main())


def refusal(answer: Answer) -> tuple[int, str]:
    """Return the status and the challenge."""
    return answer.status, answer.headers["www-authenticate"]


def said(answer: Answer) -> str:
    """Return what the agent said."""
    assert answer.status == 200, answer.body
    text: str = answer.json()["output"][0]["content"][0]["text"]
    return text


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def none_algorithm(issuer: Issuer) -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'one'})}.{part(issuer.claims())}."


def confused(issuer: Issuer) -> str:
    """Return a token signed by HS256 with the public key, as an attacker can make it."""
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(issuer.claims())}"
    digest = hmac.digest(issuer.public_pem(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered(issuer: Issuer) -> str:
    head, _, signature = issuer.sign().split(".")
    return f"{head}.{part(issuer.claims(sub='bob'))}.{signature}"


def now() -> int:
    return int(time.time())


BAD: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda i: i.sign(exp=now() - 61),
    "not yet valid": lambda i: i.sign(nbf=now() + 90),
    "issued in the future": lambda i: i.sign(iat=now() + 90),
    "without an end": lambda i: i.sign(exp=None),
    "wrong audience": lambda i: i.sign(aud="others"),
    "wrong audiences": lambda i: i.sign(aud=["others", "agents2"]),
    "no audience": lambda i: i.sign(aud=None),
    "wrong issuer": lambda i: i.sign(iss="http://127.0.0.1:1"),
    "no issuer": lambda i: i.sign(iss=None),
    "no user": lambda i: i.sign(sub=None),
    "empty user": lambda i: i.sign(sub=""),
    "alg none": none_algorithm,
    "HS/RS confusion": confused,
    "tampered": tampered,
    "unknown kid": lambda i: i.sign(headers={"kid": "two-secret"}),
    "kid of no text": lambda i: f"{part({'alg': 'RS256', 'kid': ['secret']})}.e30.AAAA",
    "wrong alg for the key": lambda i: f"{part({'alg': 'ES256', 'kid': 'one'})}.e30.AAAA",
    "huge": lambda i: i.sign(more="secret" * 170_000),
    "no token at all": lambda i: "not.a-secret.token",
    "no header": lambda i: "secret",
    "an end of no number": lambda i: i.sign(exp="soon"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_tokens(kind: str, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = BAD[kind](issuer)
    answer = post(JwtTokens(issuer.url, audience=AUDIENCE), token)
    assert refusal(answer) == REFUSED
    assert answer.json()["error"]["code"] == "invalid_token"
    logged = caplog.text + answer.body.decode()
    assert "secret" not in logged
    assert not [each for each in token.split(".") if len(each) > 8 and each in logged]
    assert "A token was refused: " in logged


def test_a_real_server_refuses_a_token_of_a_megabyte(
    issuer: Issuer, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = serve(AgentApp(whoami(), authenticate=JwtTokens(issuer.url, audience=AUDIENCE)))
    for token in (BAD["huge"](issuer), BAD["expired"](issuer), BAD["HS/RS confusion"](issuer)):
        reply = fetch(url, "POST", "/responses", token, {"input": "x"})
        assert (reply.status, reply.headers["www-authenticate"]) == REFUSED
        assert token.split(".")[1][:40] not in caplog.text
    reply = fetch(url, "POST", "/responses", issuer.sign(), {"input": "x"})
    assert reply.status == 200
    assert issuer.asked == [DISCOVERY, "/keys"]


def test_valid_tokens(issuer: Issuer) -> None:
    issuer.add("curve", elliptic=True)
    tokens = JwtTokens(issuer.url, audience=["agents", "others"])
    assert said(post(tokens, issuer.sign(role="admin"))) == "ann admin"
    assert said(post(tokens, issuer.sign("curve", sub="bob"))) == "bob"
    assert said(post(tokens, issuer.sign(aud=["x", "others"], exp=now() - 30))) == "ann"
    assert issuer.asked == [DISCOVERY, "/keys"]


def test_a_token_without_a_kid_needs_a_single_key(issuer: Issuer) -> None:
    assert said(post(JwtTokens(issuer.url, audience=AUDIENCE), issuer.sign(None))) == "ann"
    issuer.add("two")
    assert refusal(post(JwtTokens(issuer.url, audience=AUDIENCE), issuer.sign(None))) == REFUSED


def test_keys_by_url_and_by_value(issuer: Issuer) -> None:
    by_url = JwtTokens(jwks=f"{issuer.url}/keys", audience=AUDIENCE)
    assert said(post(by_url, issuer.sign(iss="anybody"))) == "ann"
    assert issuer.asked == ["/keys"]
    by_value = JwtTokens(issuer.url, jwks=issuer.key_set(), audience=AUDIENCE)
    assert said(post(by_value, issuer.sign())) == "ann"
    assert refusal(post(by_value, issuer.sign(headers={"kid": "x"}))) == REFUSED
    assert refusal(post(by_value, issuer.sign(iss="anybody"))) == REFUSED
    assert issuer.asked == ["/keys"]


def test_a_shared_secret_is_possible_but_must_be_named() -> None:
    secret = "s" * 32
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": now() + 60}
    token = jwt.encode(claims, secret, "HS256")
    named = JwtTokens(jwks={"keys": [key]}, audience=AUDIENCE, algorithms=["HS256", "HS256"])
    assert said(post(named, token)) == "ann"
    with pytest.raises(ValueError, match="JwtTokens: The JWK Set has no key for RS256, "):
        JwtTokens(jwks={"keys": [key]}, audience=AUDIENCE)


def key_pair(kind: str) -> tuple[Any, dict[str, Any]]:
    """Return a private key, and its public key as a JWK that names no algorithm."""
    key: Any
    of: Any
    if kind == "RSA":
        key, of = rsa.generate_private_key(65537, 2048), jwt.algorithms.RSAAlgorithm
    elif kind == "Ed25519":
        key, of = ed25519.Ed25519PrivateKey.generate(), jwt.algorithms.OKPAlgorithm
    elif kind == "Ed448":
        key, of = ed448.Ed448PrivateKey.generate(), jwt.algorithms.OKPAlgorithm
    else:
        curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[kind]
        key, of = ec.generate_private_key(curve), jwt.algorithms.ECAlgorithm
    return key, {**of.to_jwk(key.public_key(), as_dict=True), "kid": "one", "key_ops": ["verify"]}


FITTING = {
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "P-256": ["ES256"],
    "P-384": ["ES384"],
    "P-521": ["ES512"],
    "Ed25519": ["EdDSA"],
    "Ed448": ["EdDSA"],
}


@pytest.mark.parametrize("kind", FITTING)
def test_a_key_that_names_no_algorithm(kind: str) -> None:
    private, public = key_pair(kind)
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": now() + 60}
    tokens = JwtTokens(jwks={"keys": [public]}, audience=AUDIENCE)
    for algorithm in FITTING[kind]:
        for head in ({"kid": "one"}, {}):
            assert said(post(tokens, jwt.encode(claims, private, algorithm, head))) == "ann"
    for algorithm in {*ALGORITHMS, "HS256", "HS512", "none"}.difference(FITTING[kind]):
        forged = f"{part({'alg': algorithm, 'kid': 'one'})}.{part(claims)}.AAAA"
        assert refusal(post(tokens, forged)) == REFUSED


@pytest.mark.parametrize("named", ["key", "service"])
def test_a_key_is_used_with_the_named_algorithm_only(named: str) -> None:
    private, public = key_pair("RSA")
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": now() + 60}
    public |= {"alg": "RS384"} if named == "key" else {}
    algorithms = ALGORITHMS if named == "key" else ("RS384", "HS256")
    tokens = JwtTokens(jwks={"keys": [public]}, audience=AUDIENCE, algorithms=algorithms)
    assert said(post(tokens, jwt.encode(claims, private, "RS384"))) == "ann"
    assert refusal(post(tokens, jwt.encode(claims, private, "RS512"))) == REFUSED
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims)}"
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.digest(pem, signed.encode(), "sha256")
    forged = f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    assert refusal(post(tokens, forged)) == REFUSED


def test_further_claims_and_another_user(issuer: Issuer) -> None:
    tokens = JwtTokens(
        issuer.url, audience=AUDIENCE, claims={"roles": "reader", "tid": 7}, user="email"
    )
    fields: dict[str, Any] = {"email": "ann@example.com", "tid": 7, "roles": ["reader", "writer"]}
    assert said(post(tokens, issuer.sign(**fields))) == "ann@example.com"
    for change in ({"tid": 8}, {"tid": None}, {"roles": ["writer"]}, {"email": 3}, {"email": None}):
        assert refusal(post(tokens, issuer.sign(**(fields | change)))) == REFUSED


def test_a_rotated_key(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "PAUSE", 0.0)
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    old = issuer.sign()
    assert said(post(tokens, old)) == "ann"
    del issuer.keys["one"]
    issuer.add("two")
    assert said(post(tokens, issuer.sign("two"))) == "ann"  # fetched, since it is unknown
    assert refusal(post(tokens, old)) == REFUSED  # its key was withdrawn


def test_keys_are_fetched_again_when_they_are_old(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_keys, "PAUSE", 0.0)
    monkeypatch.setattr(jwt_keys, "LIFETIME", 0.0)
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    old = issuer.sign()
    assert said(post(tokens, old)) == "ann"
    del issuer.keys["one"]
    issuer.add("two")
    assert refusal(post(tokens, old)) == REFUSED


def test_unknown_keys_are_fetched_once_a_minute(issuer: Issuer) -> None:
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    unknown = [issuer.sign(headers={"kid": f"unknown-{number}"}) for number in range(20)]

    async def main() -> set[int]:
        client = AgentClient(AgentApp(whoami(), authenticate=tokens))
        asked = [client.post("/responses", {"input": "x"}, headers=bearer(t)) for t in unknown]
        return {answer.status for answer in await asyncio.gather(*asked)}

    assert asyncio.run(main()) == {401}
    assert issuer.asked == [DISCOVERY, "/keys"]


def test_an_issuer_that_is_down(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.down = True
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    answer = post(tokens, issuer.sign(), issuer.sign())
    assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert issuer.asked == [DISCOVERY]  # not for each request
    assert "Tokens cannot be verified" in caplog.text
    monkeypatch.setattr(jwt_keys, "RETRY", 0.0)
    monkeypatch.setattr(jwt_keys, "PAUSE", 0.0)
    monkeypatch.setattr(jwt_keys, "LIFETIME", 0.0)
    issuer.down = False
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    assert said(post(tokens, issuer.sign())) == "ann"
    issuer.down = True
    assert said(post(tokens, issuer.sign())) == "ann"  # with the keys that are known
    assert "The known keys stay in use" in caplog.text


def test_an_issuer_by_another_name(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.name = issuer.url + "/"
    answer = post(JwtTokens(issuer.url, audience=AUDIENCE), issuer.sign())
    assert answer.status == 503
    assert f"calls itself '{issuer.url}/': use that name" in caplog.text
    renamed = JwtTokens(issuer.name, audience=AUDIENCE)
    assert said(post(renamed, issuer.sign(iss=issuer.name))) == "ann"


def test_the_event_loop_is_free_while_keys_are_fetched(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching, tokens = jwt_keys._get, JwtTokens(issuer.url, audience=AUDIENCE)

    def slow(url: str) -> dict[str, Any]:
        time.sleep(0.2)
        return fetching(url)

    monkeypatch.setattr(jwt_keys, "_get", slow)

    async def main() -> int:
        client, turns = AgentClient(AgentApp(whoami(), authenticate=tokens)), 0
        headers = bearer(issuer.sign())
        asked = asyncio.create_task(client.post("/responses", {"input": "x"}, headers=headers))
        while not asked.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert (await asked).status == 200
        return turns

    assert asyncio.run(main()) > 10


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=4).map(".".join))
def test_no_token_is_a_failure(token: str) -> None:
    key = {"kty": "oct", "k": "c2VjcmV0"}
    tokens = JwtTokens(jwks={"keys": [key]}, audience=AUDIENCE, algorithms=["HS256"])
    headers = [(b"authorization", b"Bearer " + token.encode("latin-1"))]
    connection = HTTPConnection({"type": "http", "headers": headers})
    assert asyncio.run(tokens(connection)) is None


@pytest.mark.parametrize(("claim", "value"), [("scope", "chat run"), ("scp", ["run", "chat", 3])])
def test_an_agent_requires_scopes(issuer: Issuer, claim: str, value: Any) -> None:
    tokens = JwtTokens(issuer.url, audience=AUDIENCE)
    scopes = ["run", "chat"]
    assert said(post(tokens, issuer.sign(**{claim: value}), scopes=scopes)) == "ann"
    for less in ({}, {claim: "run"}, {claim: ["chat"]}, {claim: 3}):
        answer = post(tokens, issuer.sign(**less), scopes=scopes)
        challenge = 'Bearer error="insufficient_scope", scope="run chat"'
        assert refusal(answer) == (403, challenge)
        assert answer.json()["error"]["code"] == "insufficient_scope"


def test_a_json_agent_requires_scopes(issuer: Issuer) -> None:
    router = AgentRouter(protocol="json", scopes=["run"])

    @router.invoke
    async def echo(request: dict[str, Any]) -> dict[str, Any]:
        return request

    app = AgentApp(router, authenticate=JwtTokens(issuer.url, audience=AUDIENCE))

    async def statuses() -> list[int]:
        client = AgentClient(app)
        headers = [bearer(issuer.sign()), bearer(issuer.sign(scope="run"))]
        return [(await client.post("/invocations", {}, headers=h)).status for h in headers]

    assert asyncio.run(statuses()) == [403, 200]
    assert asyncio.run(AgentClient(AgentApp(router)).post("/invocations", {})).status == 403


@pytest.mark.parametrize("scopes", ["run", ["a b"], [""], ['"']])
def test_bad_scopes(scopes: Any) -> None:
    with pytest.raises(ValueError, match=r"scopes must be (a list|names)"):
        AgentRouter(scopes=scopes)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"issuer": "file:///etc/passwd"},
        {"issuer": "example.com"},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [{"kty": "secret"}]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0", "use": "enc"}]}},
        {"issuer": "https://example.com", "algorithms": ["RS256", "none"]},
        {"issuer": "https://example.com", "algorithms": []},
        {"issuer": "https://example.com", "audience": ""},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JwtTokens"):
        JwtTokens(**{"audience": AUDIENCE, **options})


def test_options_of_a_wrong_type() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="issuer must be str or None"):
        JwtTokens(wrong, audience=AUDIENCE)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if args[2] and "jwt_keys" in args[2]:
            raise ImportError(name)
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install .*\[jwt\]'"):
        JwtTokens("https://example.com", audience=AUDIENCE)


def test_keys_that_were_never_fetched_are_unavailable(issuer: Issuer) -> None:
    issuer.keys.clear()
    keys = jwt_keys.Keys(issuer.url, None, ALGORITHMS)
    with pytest.raises(Unavailable):
        asyncio.run(keys.find("one", "RS256"))


def test_nothing_shows_a_key() -> None:
    tokens = JwtTokens("https://example.com", audience=AUDIENCE)
    assert repr(tokens) == "JwtTokens(audience='agents')"
