"""The OpenAPI document describes what both bindings answer."""

import asyncio

from openapi_spec_validator import validate

from agent_asgi import AgentApp, AgentRouter
from agent_asgi.protocols import A2A
from agent_asgi.testing import AgentClient
from tests.endpoints.test_openapi import check_answer, fits, told
from tests.protocols.a2a.agents import VERSION, Json, app, echo, message
from tests.support.apps import started


def one() -> AgentApp:
    router = AgentRouter("echo")
    router.stream(echo)
    return AgentApp(router, protocols=[A2A()], single_user=True)


def test_the_document_is_valid_and_has_every_operation() -> None:
    for each in (one(), app()):
        found = told(each)
        validate(found)
        prefix = "" if len(each.routers) == 1 else "/echo"
        paths = [path for path in found["paths"] if path.startswith((f"{prefix}/a2a", "/echo/a2a"))]
        assert len(paths) == 10
        assert f"{prefix}/.well-known/agent-card.json" in found["paths"]
        described = found["components"]["schemas"]["A2A.Message"]["properties"]
        assert described["messageId"]["description"] == "The id that its author gave it."
        assert "security" not in found["paths"][f"{prefix}/.well-known/agent-card.json"]["get"]


def test_push_notifications_fit_where_they_are_sent() -> None:
    router = AgentRouter("echo")
    router.stream(echo)
    protocol = A2A(push_hosts=["hooks.example.com"])
    server = AgentApp(router, protocols=[protocol], single_user=True)
    found, without = told(server), told(one())
    validate(found)

    async def main() -> None:
        async with started(server):
            client = AgentClient(server)
            sent: Json = {"message": message("x")}
            task = (await client.post("/a2a/message:send", sent, headers=VERSION)).json()["task"]
            shape = "/a2a/tasks/{taskId}/pushNotificationConfigs"
            path = shape.replace("{taskId}", task["id"])
            push = {"url": "https://hooks.example.com/", "id": "a", "token": "t"}
            assert fits(push, found, shape)
            assert not fits({"token": "t"}, found, shape)
            sent["configuration"] = {"taskPushNotificationConfig": push}
            assert fits(sent, found, "/a2a/message:send")
            assert not fits(sent, without, "/a2a/message:send")
            for url in (push["url"], "https://example.com/"):
                made = await client.post(path, push | {"url": url}, headers=VERSION)
                check_answer(made, found, shape)
            check_answer(await client.get(path, VERSION), found, shape, "get")
            for id_ in "ab":
                got = await client.get(f"{path}/{id_}", VERSION)
                check_answer(got, found, shape + "/{id}", "get")

    asyncio.run(main())


def test_what_is_answered_fits() -> None:
    server = one()
    found = told(server)

    async def main() -> None:
        async with started(server):
            client = AgentClient(server)
            sent: Json = {"message": message("x")}
            assert fits(sent, found, "/a2a/message:send")
            assert not fits({"message": message({})}, found, "/a2a/message:send")
            answer = await client.post("/a2a/message:send", sent, headers=VERSION)
            check_answer(answer, found, "/a2a/message:send")
            id_ = answer.json()["task"]["id"]
            stream = await client.post("/a2a/message:stream", sent, headers=VERSION)
            check_answer(stream, found, "/a2a/message:stream")
            for path, params in (
                ("{id}", ""),
                ("{id}", "?historyLength=x"),
                ("{id}:subscribe", ""),
            ):
                got = await client.get(f"/a2a/tasks/{path.replace('{id}', id_)}{params}", VERSION)
                check_answer(got, found, f"/a2a/tasks/{path}", "get")
            for query in ("", "?includeArtifacts=true&historyLength=5", "?pageSize=0"):
                got = await client.get(f"/a2a/tasks{query}", VERSION)
                check_answer(got, found, "/a2a/tasks", "get")
            gone = await client.post(f"/a2a/tasks/{id_}:cancel", {}, headers=VERSION)
            check_answer(gone, found, "/a2a/tasks/{id}:cancel")
            card = await client.get("/.well-known/agent-card.json")
            check_answer(card, found, "/.well-known/agent-card.json", "get")
            for method in ("SendMessage", "SendStreamingMessage", "GetTask", "Nothing"):
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": sent}
                check_answer(await client.post("/a2a", body, headers=VERSION), found, "/a2a")

    asyncio.run(main())
