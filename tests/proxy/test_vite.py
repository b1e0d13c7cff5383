"""The reverse proxy in front of a real Vite dev server, and in a real Chromium if available.

npm installs the version of Vite pinned in tests/proxy/vite/package.json, once per session.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Origin, Subprotocol

from tests.support.asking import WAIT, fetch
from tests.support.browsing import chromium
from tests.support.calling import connect, until
from tests.support.servers import Server
from tests.support.upstream import fronted

BIN = Path(sys.executable).parent
SOURCE = Path(__file__).parent / "vite"
ENV = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the front end and install Vite in it."""
    folder = tmp_path_factory.mktemp("front") / "vite"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    command = [str(BIN / "npm"), "install", *quiet]
    subprocess.run(command, cwd=folder, env=ENV, check=True, timeout=180)
    return folder


@pytest.fixture(scope="module")
def vite(project: Path) -> Iterator[str]:
    """Run Vite's dev server; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    vite = project / "node_modules" / "vite" / "bin" / "vite.js"
    command = [str(BIN / "node"), str(vite), "--host", "127.0.0.1", "--port", port, "--strictPort"]
    process = subprocess.Popen(command, cwd=project, env=ENV, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is None and _answers(url), seconds=60)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture(scope="module")
def url(vite: str) -> Iterator[str]:
    """Serve an agent with Vite as its front end."""
    server = Server(fronted(vite))
    yield server.url
    server.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


def change(project: Path, greeting: str) -> None:
    """Edit a module on disk."""
    (project / "greeting.js").write_text(f'export const greeting = "{greeting}";\n')


def test_pages_and_modules(url: str, vite: str) -> None:
    page = fetch(url, "GET", "/", headers={"accept": "text/html"})
    assert page.status == 200
    assert b'src="/@vite/client"' in page.body
    for path in (
        "/@vite/client",
        "/main.js",
        "/main.js?t=1",
        "/package.json?import",
        "/main.js?raw",
    ):
        through, straight = (httpx2.get(each + path) for each in (url, vite))
        assert through.status_code == straight.status_code == 200
        assert through.headers["content-type"] == straight.headers["content-type"]
        assert through.headers["etag"] == straight.headers["etag"]
        assert through.content == straight.content
        again = {"if-none-match": through.headers["etag"]}
        assert httpx2.get(url + path, headers=again).status_code == 304
    assert httpx2.get(url + "/chat/7", headers={"accept": "text/html"}).content == page.body


def test_vite_sees_by_which_name_it_was_asked(url: str) -> None:
    refused = httpx2.get(url, headers={"host": "agents.example"})
    assert refused.status_code == 403
    assert "allowedHosts" in refused.text


def test_agents_answer_on_the_same_port(url: str) -> None:
    assert connect(url).responses.create(input="x").output_text == "You asked: x"
    assert json.loads(fetch(url, "GET", "/v1/models").body)["data"][0]["id"] == "tutor"


def test_a_changed_module_is_told_by_the_websocket(url: str, project: Path) -> None:
    client = fetch(url, "GET", "/@vite/client").body.decode()
    found = re.search(r'wsToken = "([^"]+)"', client)
    assert found is not None
    for path in ("/main.js", "/greeting.js"):
        assert fetch(url, "GET", path).status == 200
    with connect_websocket(
        f"{url.replace('http', 'ws', 1)}/?token={found[1]}",
        subprotocols=[Subprotocol("vite-hmr")],
        origin=Origin(url),
    ) as hmr:
        assert hmr.subprotocol == "vite-hmr"
        assert json.loads(hmr.recv(WAIT)) == {"type": "connected"}
        change(project, "Good morning")
        update = json.loads(hmr.recv(WAIT))
    assert update["type"] == "update"
    assert "/main.js" in [each["path"] for each in update["updates"]]


def test_a_page_in_chromium_changes_while_it_is_open(url: str, project: Path) -> None:
    change(project, "Hello")
    with chromium() as browser:
        page = browser.new_page()
        with page.expect_console_message(lambda each: "[vite] connected" in each.text):
            page.goto(url)
        page.get_by_text("Hello", exact=True).wait_for()
        page.evaluate("window.kept = true")
        change(project, "Good evening")
        page.get_by_text("Good evening", exact=True).wait_for()
        assert page.evaluate("window.kept")  # not reloaded
