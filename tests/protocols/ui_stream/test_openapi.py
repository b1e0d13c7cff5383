"""The OpenAPI document describes the chat's bodies as they are accepted, and its answers."""

import asyncio

import pytest
from openapi_spec_validator import validate

from agent_asgi import AgentRouter
from tests.endpoints.test_openapi import calls, check_answer, fits, told
from tests.protocols.ui_stream.test_request import MESSAGES, WRONG
from tests.support.calling import Json
from tests.support.outputs import OUTPUTS, giving
from tests.support.ui_chat import CHAT, PATH, app_of, body, user


def agent() -> AgentRouter:
    router = AgentRouter()
    router.invoke(lambda request: "x")
    return router


@pytest.fixture(scope="module")
def document() -> Json:
    """Return the document of an app whose runs can be resumed."""
    return told(app_of(agent(), resume=True))


def test_the_document_is_valid(document: Json) -> None:
    validate(document)
    assert set(document["paths"][f"{PATH}/{{id}}/stream"]["get"]["responses"]) >= {"200", "204"}
    assert "204" in document["paths"][f"{PATH}/{{id}}/stop"]["post"]["responses"]
    plain = told(app_of(agent()))
    validate(plain)
    assert "200" not in plain["paths"][f"{PATH}/{{id}}/stream"]["get"]["responses"]
    assert f"{PATH}/{{id}}/stop" not in plain["paths"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_body_that_is_accepted_fits(document: Json, name: str) -> None:
    message = MESSAGES[name][0]
    assert fits(body(message), document, PATH)
    assert fits({"id": CHAT, "message": message}, document, PATH)


@pytest.mark.parametrize("name", WRONG)
def test_a_body_that_is_refused_does_not_fit(document: Json, name: str) -> None:
    assert not fits(WRONG[name][0], document, PATH)


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_answers_are_as_described(name: str) -> None:
    router = giving(OUTPUTS[name])._config.routers[0]
    app = app_of(router)
    asked = [("/openapi.json", None), (PATH, body(user("x"))), (PATH, {"id": CHAT})]
    found, streamed, refused = asyncio.run(calls(app, *asked))
    check_answer(streamed, found.json(), PATH)
    check_answer(refused, found.json(), PATH)
