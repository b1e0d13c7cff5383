"""Hands traces to a process that writes them into a database (`process`), and loses none.

What that process has not acknowledged is kept here. Where it ends, it is started again and is sent
that again; MLflow writes a trace that it has already over itself. Where it does not start, this
process writes.
"""

import contextlib
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from . import frames
from .backlog import Backlog
from .quiet import unreachable
from .sink import DatabaseSink, SpansFrame, Target, TraceFrame

logger = logging.getLogger("agent_asgi.tracing")
STARTS = 3
"""How often in a row the process may end without having written anything."""
END_SECONDS = 2.0
_IMPORT = "from agent_asgi.tracing.process import main"
_START = f"import sys; sys.path[:] = sys.argv[1:]; {_IMPORT}; main()"
_THREAD = "agent-asgi-traces"
Process = subprocess.Popen[bytes]


class Writer:
    """Has a process of its own write traces; it is started with the first.

    Args:
        target: Where the traces go.
        on_full: Called for each trace that finds no room; it is dropped.

    Attributes:
        backlog: What has not been written.
        up: Unset while the process is starting.
    """

    def __init__(self, target: Target, on_full: Callable[[], None]) -> None:
        self.backlog = Backlog(on_full)
        self.up = threading.Event()
        self.up.set()
        self._target = target
        self._process: Process | None = None
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def put(self, frame: TraceFrame | SpansFrame) -> None:
        """Take in what is to be written, without waiting.

        Raises:
            Exception: It cannot be pickled.
        """
        self.backlog.put(pickle.dumps(frame, pickle.HIGHEST_PROTOCOL))
        if self._keeper is None:
            with self._lock:
                if self._keeper is None:
                    self.up.clear()
                    self._keeper = _thread("keeper", self._keep)

    def end(self) -> None:
        """Have the process end once it has written all; wait a moment for it."""
        process, self._process = self._process, None
        if process is None:
            return
        self.backlog.changed()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)

    def _forget(self) -> None:
        """Leave everything to the process that this one has been forked from."""
        process, self._process = self._process, None
        if process is not None:
            _close(process)
            process.returncode = 0  # not a child of this process
        self._keeper = None
        self._lock = threading.Lock()
        self.up = threading.Event()
        self.up.set()
        self.backlog.reset()

    def _keep(self) -> None:
        """Have a process write; start it again where it ends and more is to be written."""
        vain = 0
        while vain < STARTS:
            self.backlog.wait_for_one()
            before = self.backlog.written
            self.up.clear()
            self._run()
            self.backlog.again()
            vain = vain + 1 if self.backlog.written == before else 0
        unreachable.warning("The process that writes traces does not start; this one writes them.")
        self.up.set()
        self._write_here()

    def _run(self) -> None:
        """Start the process and take what it acknowledges until it ends."""
        try:
            process = self._process = _start()
        except OSError:
            return
        source, told = process.stdin, process.stdout
        if source is None or told is None:
            return
        sender = _thread("sender", self._send, process, source)
        while (message := frames.receive(told)) is not None:
            self._take(**json.loads(message))
        self._process = None
        self.backlog.changed()
        sender.join()
        _close(process)
        process.wait()

    def _send(self, process: Process, source: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # it has ended
            frames.send(source, pickle.dumps(self._target))
            while (frame := self.backlog.take(lambda: self._process is process)) is not None:
                frames.send(source, frame)
            source.close()

    def _take(self, written: int, failed: list[str]) -> None:
        self.up.set()
        for each in failed:
            unreachable.warning("A trace could not be written: %s", each)
        self.backlog.done(written)

    def _write_here(self) -> None:
        sink = DatabaseSink(self._target)
        while (frame := self.backlog.take()) is not None:
            self._take(1, sink.write([frame]))


def _start() -> Process:
    if not sys.executable:
        raise OSError("Python does not know its own executable.")
    return subprocess.Popen(  # noqa: S603  this very Python
        [sys.executable, "-c", _START, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # Ctrl-C is not meant for it
    )


def _close(process: Process) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _thread(name: str, work: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, name=f"{_THREAD}-{name}", daemon=True)
    thread.start()
    return thread
