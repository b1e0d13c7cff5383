"""The command line: what it starts, and the one clear line where it cannot."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stream_rules import check_stream

from agent_asgi.testing import parse_frame

APP = """
import asyncio
import os
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return f"{os.environ.get('GREETING', 'hi')} {os.getpid()} VERSION"

@router.stream
async def forever(request: ResponsesRequest):
    while True:
        yield "on and "
        await asyncio.sleep(0.05)

app = AgentApp(router)
number = 3

if __name__ == "__main__":
    app.run("served:app")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "vars.env").write_text("GREETING=hello\n")
    return tmp_path


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    """Give the command line of `agent-asgi`."""
    return [sys.executable, "-m", "agent_asgi.cli", *arguments]


@contextmanager
def running(argv: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; wait until it answers."""
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    process = subprocess.Popen(argv, cwd=folder, env=env, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                ask_text(port)
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def ask_text(port: int) -> str:
    """Ask the echo agent and give its text."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/responses",
        json.dumps({"input": "x"}).encode(),
        {"content-type": "application/json", "connection": "close"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = json.load(answer)["output"][0]["content"][0]["text"]
        return text


def test_serve_with_an_env_file_and_a_clean_end(folder: Path) -> None:
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port), "--env-file", "vars.env")
    with running(argv, folder, port) as process:
        assert ask_text(port).startswith("hello ")
        with socket.create_connection(("127.0.0.1", port)) as flood:
            flood.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 66_000)
            assert flood.recv(100).startswith(b"HTTP/1.1 431 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


def test_a_stream_ends_properly_where_the_server_must(folder: Path) -> None:
    port = free_port()
    code = "import agent_asgi.server as s; s.DRAIN_SECONDS = 1; s.main()"
    argv = [sys.executable, "-c", code, "serve", "served:app", "--port", str(port)]
    with running(argv, folder, port) as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/responses", b'{"input": "x", "stream": true}')
        answer = connection.getresponse()
        begun = answer.read(4000)
        process.send_signal(signal.SIGTERM)
        events = [parse_frame(each) for each in (begun + answer.read()).split(b"\n\n")]
        connection.close()
        response = check_stream([each for each in events if each], cancelled=True)
        assert response["incomplete_details"] == {"reason": "shutdown"}
        assert process.wait(20) in (0, -signal.SIGTERM)


def test_workers_are_processes(folder: Path) -> None:
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port), "--workers", "2")
    with running(argv, folder, port):
        seen: set[str] = set()
        until = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < until:
            seen.add(ask_text(port))
        assert len(seen) == 2


def test_app_run_takes_the_same_options(folder: Path) -> None:
    port = free_port()
    argv = [sys.executable, "served.py", "--port", str(port)]
    with running(argv, folder, port):
        assert ask_text(port).startswith("hi ")


def test_reload_serves_the_changed_file(folder: Path) -> None:
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port), "--reload")
    with running(argv, folder, port):
        assert "VERSION" in ask_text(port)
        (folder / "served.py").write_text(APP.replace("VERSION", "CHANGED"))
        until = time.monotonic() + 60
        text = ""
        while "CHANGED" not in text and time.monotonic() < until:
            time.sleep(0.2)
            try:
                text = ask_text(port)
            except OSError:
                continue
        assert "CHANGED" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere:app",), "nowhere"),
        (("served",), "served"),
        (("served:nothing",), "nothing"),
        (("served:number",), "is a int, not an app"),
        (("served:app", "--env-file", "none.env"), "none.env"),
        (("broken:app",), "no_such_module_at_all"),
        (("served:app", "--workers", "0"), "at least 1"),
    ],
)
def test_one_clear_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    result = subprocess.run(
        command("serve", *arguments), cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("agent-asgi")


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = subprocess.run(
            command("serve", "served:app", "--port", str(port)),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.returncode == 1
    assert result.stderr.startswith(f"agent-asgi: cannot listen on 127.0.0.1:{port}")
    assert len(result.stderr.strip().splitlines()) == 1
