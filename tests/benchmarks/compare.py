"""Requests per second beside MLflow's AgentServer, in turns, tracing off: `make bench`.

Both are served by uvicorn, one process each, and asked over kept-alive connections by this
process, one request after the other, so the client's own time is in both. The figures are ratios
of one run on one machine; absolute times mean nothing.
"""

import http.client
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROUNDS = 7
WORK = {
    "invoke": (b'{"input": [{"role": "user", "content": "hi"}]}', 300),
    "stream of 100 deltas": (b'{"input": [{"role": "user", "content": "hi"}], "stream": true}', 60),
}


@contextmanager
def served(module: str) -> Iterator[http.client.HTTPConnection]:
    """Serve one side; give a connection to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "error"], cwd=Path(__file__).parent, env=dict(os.environ)
    )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        until = time.monotonic() + 60
        while True:
            try:
                ask(connection, WORK["invoke"][0])
                break
            except OSError:
                connection.close()
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        yield connection
    finally:
        process.terminate()
        process.wait(10)


def ask(connection: http.client.HTTPConnection, body: bytes) -> None:
    """Ask once, and check that the answer is whole."""
    connection.request("POST", "/invocations", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    got = answer.read()
    if answer.status != 200 or got.count(b"token ") < 100:
        raise RuntimeError(f"{answer.status}: {got[:200]!r}")
    if b'"stream"' in body and not got.endswith(b"data: [DONE]\n\n"):
        raise RuntimeError("A stream has no end.")


def rate(connection: http.client.HTTPConnection, body: bytes, count: int) -> float:
    """Give requests per second."""
    begun = time.perf_counter()
    for _ in range(count):
        ask(connection, body)
    return count / (time.perf_counter() - begun)


def main() -> None:
    """Print the table."""
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%F')}"]
    with ExitStack() as stack:
        ours = stack.enter_context(served("ours"))
        theirs = stack.enter_context(served("theirs"))
        for name, (body, count) in WORK.items():
            ratios = []
            for _ in range(ROUNDS):
                mine = rate(ours, body, count)
                ratios.append(mine / rate(theirs, body, count))
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            lines.append(f"{name}: {middle:.1f} x MLflow's AgentServer ({low:.1f} to {high:.1f})")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
