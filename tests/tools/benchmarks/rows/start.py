"""Measure the import time, and the time from process start to the first answer."""

import http.client
import subprocess
import tempfile
import time
from pathlib import Path

from tests.tools.benchmarks.environments import interpreter
from tests.tools.benchmarks.figures import Figure, Row, Values
from tests.tools.benchmarks.peer import AGENTCORE, MLFLOW, OURS, Peer
from tests.tools.benchmarks.servers import Bench, NotServing, Server, clean_environment, served
from tests.tools.benchmarks.sinks import new_database, to_sqlite

IMPORTS = {
    "ours": "import agent_asgi",
    "mlflow": "import mlflow.genai.agent_server",
    "agentcore": "import bedrock_agentcore",
}
BODY = b'{"input": [{"role": "user", "content": "hi"}]}'


def imports(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure `python -c import`, including the start of the interpreter."""
    command = [str(interpreter(peer.environment)), "-c", IMPORTS[peer.name]]
    begun = time.perf_counter()
    subprocess.run(command, check=True, env=clean_environment({}), timeout=120)
    return {"import": time.perf_counter() - begun}


def start(bench: Bench, peer: Peer, quick: bool) -> Values:
    """Measure the time from process start to the first answer, and to listening."""
    with tempfile.TemporaryDirectory() as folder:
        database = new_database(Path(folder))
        fresh = Path(folder) / "fresh.db"
        return {
            "off": first_answer(peer, "off", {}),
            "on": first_answer(peer, "on", to_sqlite(database)),
            "new": first_answer(peer, "on", to_sqlite(fresh)),
            "listening": listening(peer, to_sqlite(database)),
        }


def first_answer(peer: Peer, tracing: str, variables: dict[str, str]) -> float:
    """Start a server; return the seconds until its first complete answer to an invocation."""
    with served(peer, tracing=tracing, environment=variables, wait=False) as server:
        until = time.monotonic() + 120
        while not answers(server):
            if time.monotonic() > until:
                raise NotServing(f"{peer.name}: {server.log()}")
            time.sleep(0.002)
        return time.perf_counter() - server.started


def listening(peer: Peer, variables: dict[str, str]) -> float:
    """Start a server with tracing; return the seconds until it answers its health check."""
    with served(peer, tracing="on", environment=variables, wait=False) as server:
        server.wait_until_up(peer.health)
        return time.perf_counter() - server.started


def answers(server: Server) -> bool:
    """Send one request; return whether it was answered: False if nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", server.peer.path, BODY, headers)
        answer = connection.getresponse()
        server.peer.check_json(answer.status, answer.read())
    except ConnectionError:
        return False
    finally:
        connection.close()
    return True


ROWS = (
    Row(
        "import",
        imports,
        [Figure("import", "import, s", more=False, mlflow=0.2)],
        (OURS, MLFLOW, AGENTCORE),
    ),
    Row(
        "start",
        start,
        [
            Figure("off", "start to first answer, tracing off, s", more=False, mlflow=0.3),
            Figure("on", "start to first answer, tracing to SQLite, s", more=False, mlflow=0.8),
            Figure("new", "the same with a new database, s", more=False),
            Figure("listening", "start to listening, tracing on, s", more=False, limit=0.8),
        ],
        (OURS, MLFLOW),
        rounds=5,
    ),
)
