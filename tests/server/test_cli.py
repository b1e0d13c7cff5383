"""The command line: what it starts, and its one clear line if it cannot."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from agent_asgi.server.cli import main
from agent_asgi.server.hosts import LOOPBACK_NAMES, allowed_hosts
from tests.support.calling import until
from tests.support.commands import ask_text, command, running
from tests.support.servers import free_port

APP = """
import os
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return f"{os.environ.get('GREETING', 'hi')} {os.getpid()} VERSION"

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


LARGE = """
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest, Timeouts

router = AgentRouter()

@router.invoke
async def large(request: ResponsesRequest) -> str:
    return "x" * (8_000_000 if request.input_text == "large" else 1)

app = AgentApp(router, timeouts=Timeouts(write=1))
"""


def test_an_answer_that_nobody_takes_holds_no_connection(folder: Path) -> None:
    """The answer has already been written; the system closes the connection."""
    (folder / "large.py").write_text(LARGE)
    port = free_port()
    body = b'{"input": "large"}'
    head = b"POST /responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
    with running(command("serve", "large:app", "--port", str(port)), folder, port) as process:
        server = psutil.Process(process.pid)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(head + body)
            mine = client.getsockname()[1]

            def held() -> bool:
                return mine in [each.raddr[1] for each in server.net_connections() if each.raddr]

            until(held)
            until(lambda: not held(), seconds=20)


def test_serve_with_an_env_file_and_a_clean_end(folder: Path) -> None:
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port), "--env-file", "vars.env")
    with running(argv, folder, port) as process:
        assert ask_text(port).startswith("hello ")
        with socket.create_connection(("127.0.0.1", port)) as flood:
            flood.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 66_000)
            assert flood.recv(100).startswith(b"HTTP/1.1 431 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ([], {"localhost:1": 200, "127.0.0.1": 200, "[::1]:99": 200, "evil.example": 403}),
        (["--allowed-host", "Agent.example"], {"agent.example:8": 200, "evil.example": 403}),
        (["--allowed-host", "*"], {"evil.example": 200}),
    ],
)
def test_on_loopback_it_answers_only_to_local_and_allowed_names(
    folder: Path, given: list[str], answers: dict[str, int]
) -> None:
    port = free_port()
    with running(command("serve", "served:app", "--port", str(port), *given), folder, port):
        for host, status in answers.items():
            url = f"http://127.0.0.1:{port}/health"
            answer = httpx2.get(url, headers={"host": host})
            assert answer.status_code == status, host
            if status == 403:
                error = answer.json()["error"]
                assert error["code"] == "host_not_allowed"
                assert "--allowed-host" in error["message"]


def test_on_other_addresses_it_answers_to_all_names() -> None:
    assert not allowed_hosts("0.0.0.0", [])
    assert allowed_hosts("0.0.0.0", ["a.example"]) == LOOPBACK_NAMES | {"a.example"}
    assert allowed_hosts("127.0.0.2", []) == LOOPBACK_NAMES == allowed_hosts("localhost", [])
    assert not allowed_hosts("agents.internal", [])


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
        until = time.monotonic() + 60
        text = ""
        for number in range(300):
            if "CHANGED" in text or time.monotonic() > until:
                break
            if not number % 25:  # an edit within a second of the first write may go unnoticed
                changed = APP.replace("VERSION", "CHANGED") + "#" * number
                (folder / "served.py").write_text(changed)
            time.sleep(0.2)
            try:
                text = ask_text(port)
            except OSError:
                continue
        assert "CHANGED" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere:app",), "There is no module 'nowhere', neither in"),
        (("vars.env",), "There is no module 'vars'"),
        (("./nowhere.py",), "There is no file './nowhere.py'."),
        (("served:nothing",), "nothing"),
        (("served:number",), "is not an app but of type int."),
        (("served.py:router",), "is not an app but of type AgentRouter. Serve AgentApp(router)"),
        (("served:app", "--env-file", "none.env"), "none.env"),
        (("served:app", "--workers", "0"), "at least 1"),
        (("served:app", "--drain-lead", "-1"), "must not be negative"),
        (("served:app", "--drain-lead", "nan"), "must not be negative"),
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


def test_an_error_of_the_module_shows_its_line_only(folder: Path) -> None:
    result = subprocess.run(
        command("serve", "broken"), cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    first, *_, last = result.stderr.strip().splitlines()
    assert first == "agent-asgi: Cannot import 'broken':"
    assert last == "ModuleNotFoundError: No module named 'no_such_module_at_all'"
    assert result.stderr.count("File ") == 1
    assert "broken.py" in result.stderr


@pytest.mark.parametrize("target", ["served", "served.py", "./served.py:app"])
def test_a_target_is_a_module_or_a_file(folder: Path, target: str) -> None:
    port = free_port()
    with running(command("serve", target, "--port", str(port)), folder, port):
        assert ask_text(port).startswith("hi ")


def test_a_port_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dev", "agent.py", "--port", "99999"])
    assert "--port: must be from 0 to 65535" in capsys.readouterr().err


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
    assert result.stderr.startswith(f"agent-asgi: Cannot listen on 127.0.0.1:{port}")
    assert len(result.stderr.strip().splitlines()) == 1


SETTINGS = """
import gc, sys
from agent_asgi import AgentApp, AgentRouter
from agent_asgi.tracing import setup

router = AgentRouter("settings")

@router.invoke
async def settings() -> str:
    frozen = gc.get_freeze_count() > 10_000
    return f"{sys.getswitchinterval()} {frozen} {setup.owns_process} {setup.reloads}"

app = AgentApp(router)
"""


@pytest.mark.parametrize(("words", "reloads"), [([], False), (["--reload"], True)])
def test_serve_sets_what_no_mounted_app_may(words: list[str], reloads: bool, folder: Path) -> None:
    (folder / "settings.py").write_text(SETTINGS)
    port = free_port()
    argv = command("serve", "settings:app", "--port", str(port), *words)
    with running(argv, folder, port):
        assert ask_text(port) == f"0.0005 True True {reloads}"
