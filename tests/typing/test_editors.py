"""What editors and pyright say of the package: errors of wrong handlers, and hover texts."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agent_asgi
import agent_asgi.protocols
from tests.support.pages import ROOT

BIN = Path(sys.executable).parent
SECONDS = 300
"""How long pyright may take, on a busy machine."""


def test_pyright_accepts_and_refuses_what_mypy_does() -> None:
    command = [str(BIN / "basedpyright"), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] >= 3, done.stderr
    assert [
        (each["file"], each["range"]["start"]["line"] + 1, each["message"])
        for each in found["generalDiagnostics"]
    ] == []


class Editor:
    """A language server's client, with one document open.

    Args:
        text: The document.
    """

    def __init__(self, text: str) -> None:
        self._server = subprocess.Popen(
            [BIN / "basedpyright-langserver", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self._end = threading.Timer(SECONDS, self._server.kill)
        self._end.start()
        self._asked = 0
        self._uri = (ROOT / "tests" / "typing" / "hovered.py").as_uri()
        self.ask("initialize", {"processId": None, "rootUri": ROOT.as_uri(), "capabilities": {}})
        self._send({"method": "initialized", "params": {}})
        document = {"uri": self._uri, "languageId": "python", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def hover(self, line: int, character: int) -> str:
        """Return the text below a name's signature; empty if there is none."""
        place = {"line": line, "character": character}
        params = {"textDocument": {"uri": self._uri}, "position": place}
        found = self.ask("textDocument/hover", params)
        text: str = found["contents"]["value"] if found else ""
        return text.partition("\n\n")[2]

    def ask(self, method: str, params: Any) -> Any:
        """Send a request; return its result."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        for message in self._messages():
            if message.get("id") == self._asked and "method" not in message:
                return message["result"]
            if "id" in message:  # a question of the server's
                items = message["params"].get("items") if message.get("params") else None
                self._send({"id": message["id"], "result": [{} for _ in items or ()] or None})
        raise EOFError("the language server has ended")

    def close(self) -> None:
        """End the server."""
        self._end.cancel()
        self._server.kill()
        self._server.communicate()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._server.stdin.flush()

    def _messages(self) -> Iterator[dict[str, Any]]:
        pipe = self._server.stdout
        assert pipe is not None
        while line := pipe.readline():
            if line.lower().startswith(b"content-length:"):
                while pipe.readline().strip():
                    pass
                yield json.loads(pipe.read(int(line.partition(b":")[2])))


def members(kind: type) -> Iterator[str]:
    """Yield the public names of a class that the package declares, without overrides."""
    declared = [{*vars(base), *vars(base).get("__annotations__", ())} for base in kind.__mro__]
    for number, base in enumerate(kind.__mro__):
        others = set().union(*declared[:number], *declared[number + 1 :])
        names = declared[number] - others if base.__module__.startswith("agent_asgi") else ()
        yield from sorted(name for name in names if not name.startswith("_"))


def test_every_public_name_and_field_has_a_hover_text() -> None:
    names = [f"agent_asgi.{name}" for name in agent_asgi.__all__]
    names += [f"agent_asgi.protocols.{name}" for name in agent_asgi.protocols.__all__]
    known = {"agent_asgi": agent_asgi}
    fields = [
        (name, member)
        for name in names
        if isinstance(kind := eval(name, known), type)
        for member in members(kind)
    ]
    parameters = ", ".join(f"x{number}: {name}" for number, name in enumerate(names))
    lines = ["import agent_asgi.protocols", *names, f"def f({parameters}) -> None:"]
    lines += [f"    x{names.index(name)}.{member}" for name, member in fields]
    editor = Editor("\n".join(lines))
    try:
        texts = {
            line.strip(): editor.hover(number, len(line) - 1)
            for number, line in enumerate(lines)
            if "." in line and "import" not in line and "(" not in line
        }
    finally:
        editor.close()
    assert len(texts) > 150
    assert [line for line, text in texts.items() if not text] == []
