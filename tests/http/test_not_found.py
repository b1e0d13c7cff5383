"""A 404 names the path, and what of OpenAI's API this server does not offer."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.testing import AgentClient
from tests.support.calling import Json, Serve, connect
from tests.support.upstream import tutor


def error_at(app: AgentApp | Starlette, path: str) -> Json:
    answer = asyncio.run(AgentClient(app).post(path, {}))
    assert answer.status == 404
    error: Json = answer.json()["error"]
    assert error["code"] == "not_found"
    return error


@pytest.mark.parametrize("name", ["files", "containers", "embeddings", "vector_stores"])
def test_below_v1_it_says_what_is_not_offered(name: str) -> None:
    path = f"/v1/{name}/x"
    message = error_at(AgentApp(tutor()), path)["message"]
    assert message == f"There is no path '{path}'. This server does not offer `{name}`."


def test_elsewhere_it_names_the_path() -> None:
    two = AgentApp(tutor(), AgentRouter("other"))
    assert error_at(two, "/nowhere")["message"] == "There is no path '/nowhere'."
    assert error_at(two, "/v1/responses/a/b/c")["message"].endswith("/b/c'.")
    assert "`files`" in error_at(two, "/tutor/v1/files")["message"]
    host = Starlette(routes=[Mount("/agents", two)])
    message = error_at(host, "/agents/v1/files")["message"]
    assert message.startswith("There is no path '/agents/v1/files'.")


def test_a_long_path_is_cut() -> None:
    assert len(error_at(AgentApp(tutor()), "/v1/" + "x" * 10_000)["message"]) < 500


def test_the_openai_client_shows_it(serve: Serve) -> None:
    client = connect(serve(AgentApp(tutor())))
    with pytest.raises(Exception, match="does not offer `embeddings`"):
        client.embeddings.create(model="x", input="y")
