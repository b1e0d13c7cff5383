"""Log formats: one JSON object per line, or text, each with the request's id."""

import json
import logging
import os
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import openai
import pytest

from agent_asgi.observability.logging import JsonFormatter, RequestIdFilter
from tests.support.calling import connect, until
from tests.support.commands import ask_text, command
from tests.support.servers import free_port


def test_json_is_one_line_whatever_is_logged() -> None:
    handler = logging.Handler()
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "ERROR", "msg": "two\nlines \ud800 %s", "args": ("é",)}
    )
    vars(record).update(path=Path("/p"), level="mine", color_message="red", odd={(1, 2): {1}})
    try:
        raise ValueError("why\nnot")
    except ValueError:
        record.exc_info = sys.exc_info()
    handler.addFilter(RequestIdFilter())
    handler.filter(record)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "two\nlines \ud800 é"
    assert (line["level"], line["logger"], line["request_id"]) == ("ERROR", "x", "-")
    assert line["path"] == "/p"
    assert line["exception"].endswith("ValueError: why\nnot")
    assert "color_message" not in line
    assert line["time"].endswith("+00:00")


SERVED = """
import logging
import mlflow
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

logging.basicConfig(level=logging.INFO)  # the server has configured the root logger before
router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    logging.getLogger("mine").info("own %s", "words", extra={"colour": "blue"})
    logging.getLogger("httpx").info("chatter")
    if request.to_dict()["input"] == "x":
        return "hi"
    raise ValueError("no")

app = AgentApp(router)
"""


def served(folder: Path, log_format: str) -> tuple[list[str], str]:
    """Serve, send two requests, stop; return the lines of both outputs together."""
    (folder / "served.py").write_text(SERVED)
    port = free_port()
    argv = command("serve", "served:app", "--port", str(port), "--log-format", log_format)
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    process = subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until(lambda: _asked(port), seconds=60)
        with connect(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(openai.InternalServerError) as failed:
                client.responses.create(input="fail")
            with pytest.raises(openai.BadRequestError):
                client.post("/responses", cast_to=object, body={"input": 3})
            client.models.list()
        for path in ("health", "ready", "metrics", "playground/app.js", "favicon.ico"):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).close()
    finally:
        process.terminate()
        try:
            out, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate(timeout=30)
    return out.splitlines(), failed.value.response.headers["x-request-id"]


def _asked(port: int) -> bool:
    try:
        return ask_text(port) == "hi"
    except OSError:
        return False


def test_a_server_s_json_log_is_json_line_by_line(tmp_path: Path) -> None:
    text, id_ = served(tmp_path, "json")
    log = [json.loads(each) for each in text]
    assert {"time", "level", "logger", "message", "request_id"} <= set.intersection(*map(set, log))
    of = [each for each in log if each["request_id"] == id_]
    by = {each["logger"]: each for each in of}
    assert set(by) == {"mine", "agent_asgi", "agent_asgi.runs"}
    assert (by["mine"]["message"], by["mine"]["colour"]) == ("own words", "blue")
    assert "ValueError: no" in by["agent_asgi"]["exception"]
    assert (by["agent_asgi.runs"]["status"], by["agent_asgi.runs"]["error"]) == (
        *("failed", "agent_error"),
    )
    assert {each["logger"] for each in log if each["request_id"] == "-"} >= {"uvicorn.error"}
    access = [each["message"] for each in log if each["logger"] == "uvicorn.access"]
    assert [each.partition('"')[2] for each in access] == [
        'POST /v1/responses HTTP/1.1" 400',
        'GET /v1/models HTTP/1.1" 200',
    ]


def test_a_server_s_text_log_has_the_ids_too(tmp_path: Path) -> None:
    text, id_ = served(tmp_path, "text")
    of = [each for each in text if f"[{id_}]" in each]
    assert [each.partition("] ")[2].partition(" in ")[0] for each in of] == [
        "own words",
        "Handler 'echo' of agent 'echo' failed.",
        "echo failed (agent_error)",
    ]
    error = text.index("ValueError: no")
    assert text[error - 3].startswith("Traceback")  # then the handler's frame
    assert "[-]" not in "".join(text)
    assert "chatter" not in "".join(text)
