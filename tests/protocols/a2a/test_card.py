"""The agent card: who the agent is, where it is, and who may read it."""

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import A2A
from tests.protocols.a2a.agents import VERSION, Json, app, call, echo
from tests.support.asking import ANN, TOKENS, fetch
from tests.support.calling import Serve

CARD = "/.well-known/agent-card.json"
SKILL: Json = {"id": "add", "name": "Add", "description": "Adds numbers.", "tags": ["maths"]}


def one(protocol: A2A | None = None, **options: Any) -> AgentApp:
    router = AgentRouter("tutor", skills=options.pop("skills", ()))
    router.stream(echo)
    return AgentApp(router, protocols=[protocol or A2A()], **options)


def card(url: str, path: str = CARD, **headers: str) -> Json:
    found: Json = json.loads(fetch(url, "GET", path, headers=headers).body)
    return found


def test_a_card_says_what_the_request_said(serve: Serve) -> None:
    url = serve(one())
    reply = fetch(url, "GET", CARD)
    assert (reply.headers["cache-control"], reply.headers["vary"]) == ("no-store", "Host")
    found = json.loads(reply.body)
    assert (found["name"], found["description"], found["version"]) == (
        "tutor",
        "An agent.",
        "1.0.0",
    )
    interfaces = found["supportedInterfaces"]
    assert [each["protocolBinding"] for each in interfaces] == ["JSONRPC", "HTTP+JSON"]
    assert {each["url"] for each in interfaces} == {f"{url}/a2a"}
    assert {each["protocolVersion"] for each in interfaces} == {"1.0"}
    assert found["capabilities"] == {
        "streaming": True,
        "pushNotifications": False,
        "extendedAgentCard": False,
    }
    assert found["skills"] == [
        {"id": "tutor", "name": "tutor", "description": "An agent.", "tags": ["agent"]}
    ]
    assert found["defaultInputModes"][0] == found["defaultOutputModes"][0] == "text/plain"
    assert "securitySchemes" not in found
    elsewhere = card(url, host="agents.example.com")
    assert elsewhere["supportedInterfaces"][0]["url"] == "http://agents.example.com/a2a"
    assert fetch(url, "GET", CARD, headers={"host": "["}).status == 200


def test_a_card_with_a_configured_url_is_cached(serve: Serve) -> None:
    url = serve(one(A2A("https://example.com/agents/", path="/x", version="2.1")))
    reply = fetch(url, "GET", CARD, headers={"host": "evil.example.com"})
    assert reply.headers["cache-control"] == "public, max-age=300"
    found = json.loads(reply.body)
    assert found["supportedInterfaces"][0]["url"] == "https://example.com/agents/x"
    assert found["version"] == "2.1"
    again = fetch(url, "GET", CARD, headers={"if-none-match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert fetch(url, "POST", "/x", None, {}, VERSION).status == 200
    assert fetch(url, "POST", "/a2a", None, {}, VERSION).status == 404


def test_each_of_several_agents_has_a_card(serve: Serve) -> None:
    url = serve(app())
    found = card(url, "/echo" + CARD)
    assert (found["name"], found["description"]) == ("echo", "The agent echo.")
    assert found["supportedInterfaces"][0]["url"] == f"{url}/echo/a2a"
    assert fetch(url, "GET", CARD).status == 404


def test_a_mounted_app_says_where_it_is(serve: Serve) -> None:
    inner = one(authenticate=TOKENS)
    url = serve(Starlette(routes=[Mount("/agents", inner)], lifespan=inner.lifespan))
    found = card(url, "/agents" + CARD)
    assert found["supportedInterfaces"][0]["url"] == f"{url}/agents/a2a"


def test_a_card_is_public_and_names_the_scheme_but_tasks_are_not(serve: Serve) -> None:
    url = serve(app(authenticate=TOKENS))
    found = card(url, "/echo" + CARD)
    assert found["securitySchemes"] == {"token": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}}
    assert found["securityRequirements"] == [{"schemes": {"token": {"list": []}}}]
    assert fetch(url, "POST", "/echo/a2a", None, {}, VERSION).status == 401
    assert fetch(url, "GET", "/echo/a2a/tasks", None, None, VERSION).status == 401
    assert "error" in call(url, "echo", "GetTask", {"id": "x"}, ANN)


def test_a_router_names_its_skills(serve: Serve) -> None:
    skills = [SKILL | {"examples": ["1 + 1"], "inputModes": ["text/plain"]}]
    assert card(serve(one(skills=skills)))["skills"] == skills


def test_the_default_skill_has_the_routers_examples(serve: Serve) -> None:
    router = AgentRouter("tutor", examples=["1 + 1"])
    router.stream(echo)
    (skill,) = card(serve(AgentApp(router, protocols=[A2A()])))["skills"]
    assert skill["examples"] == ["1 + 1"]


@pytest.mark.parametrize(
    "wrong", [{}, SKILL | {"tags": []}, SKILL | {"id": ""}, SKILL | {"examples": "1"}, "add"]
)
def test_a_wrong_skill_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"skills\[0\]"):
        AgentRouter(skills=[wrong])


@pytest.mark.parametrize("path", ["a2a", "/a2a/", "/{x}", ""])
def test_a_wrong_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        A2A(path=path)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="url"):
        A2A("example.com")
    with pytest.raises(TypeError, match="url"):
        A2A(5)  # type: ignore[arg-type]  # it is the test


def test_json_agents_have_no_card(serve: Serve) -> None:
    router = AgentRouter("raw", protocol="json")
    router.invoke(lambda body: body)
    url = serve(AgentApp(router, protocols=[A2A()]))
    assert fetch(url, "GET", CARD).status == 404
