"""When a tracking server is down, runs continue, the log says so once, and processes end."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.tracked_process import Tracked
from tests.support.tracking import (
    Failing,
    Hanging,
    Refusing,
    Unauthorized,
    taking_over,
    tracking_server,
)

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing])
def test_server_down_at_start(kind: type[Any], tmp_path: Path) -> None:
    server = kind()
    try:
        with Tracked(tmp_path, f"http://127.0.0.1:{server.port}") as tracked:
            result, warned, seconds = tracked.result()
    finally:
        server.stop()
    assert result["up"] < 5
    assert result["slowest"] < 6  # the first run waits for MLflow
    assert result["traced"] == 0
    assert len(warned) == 1, warned
    assert seconds < 30


@pytest.mark.parametrize("kind", [Refusing, Hanging, Failing, Unauthorized])
def test_server_that_dies_later(kind: type[Any], tmp_path: Path) -> None:
    port = Refusing().port
    fast = {"MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS": "100"}
    uri = f"http://127.0.0.1:{port}"
    with (
        tracking_server(tmp_path, port) as server,
        Tracked(tmp_path, uri, LATER="1", WAIT="60", **fast) as tracked,
    ):
        assert tracked.process.stdout is not None
        assert tracked.process.stdout.readline() == "UP\n"
        os.killpg(server.pid, 9)
        server.wait(30)
        dead = taking_over(kind, port) if kind is not Refusing else None
        try:
            result, warned, seconds = tracked.result("go\n")
        finally:
            if dead is not None:
                dead.stop()
    assert result["traced"] == 6
    assert result["dropped"] == 6
    assert result["slowest"] < 5
    assert len(warned) <= 2, warned  # that the server is down, and how many traces are lost
    assert "traces lost since the start" in warned[-1]
    assert seconds < 30
