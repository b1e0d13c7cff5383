"""Tracking servers: a real one, and several that fail."""

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Refusing:
    """A port that nothing listens on."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]

    def stop(self) -> None:
        """Stop the server."""


class Hanging:
    """Accepts connections and never answers."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port = self._socket.getsockname()[1]

    def stop(self) -> None:
        """Stop the server."""
        self._socket.close()


class Failing:
    """Answers 500."""

    status = 500

    def __init__(self, port: int = 0) -> None:
        status = self.status

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(status)

            do_POST = do_GET  # noqa: N815  http.server's name

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


class Unauthorized(Failing):
    """Answers 401."""

    status = 401


class Collecting:
    """Accepts OTLP, slowly, and counts the spans."""

    def __init__(self, seconds: float) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        self.spans: set[bytes] = set()
        spans = self.spans

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                time.sleep(seconds)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        spans.update(each.span_id for each in scope.spans)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


def taking_over(kind: type[Any], port: int) -> Any:
    """Create a server on a port whose last owner has just been killed."""
    until = time.monotonic() + 20
    while True:
        try:
            return kind(port)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def tracking_server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a real MLflow tracking server; yield its process."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    env = {each: value for each, value in os.environ.items() if each != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**env, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(30)
