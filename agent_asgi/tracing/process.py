"""The process that writes traces into a database, so that the one that serves need not.

`writer` starts it, sends it frames and is told how many have been written. It ends when the pipe
does, having written what it has by then.
"""

import contextlib
import json
import logging
import os
import pickle
import queue
import signal
import threading
import time
from io import FileIO
from typing import BinaryIO

from .frames import receive, send
from .sink import DatabaseSink, Target

NICE = 5
"""How far those who serve go before this."""
END_SECONDS = 60.0
"""How long it may write on after the pipe has ended."""
BATCH_SECONDS = 0.1
MOST = 100


def paced(size: int, seconds: float) -> int:
    """Give how many frames to write next, so that room is made often.

    Args:
        size: How many were written.
        seconds: How long that took.
    """
    fitting = int(size * BATCH_SECONDS / max(seconds, 0.001))
    return max(1, min(fitting, 2 * size, MOST))


class Inbox:
    """Reads frames in a thread as fast as they come.

    Args:
        source: The pipe.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def take(self, most: int) -> list[bytes]:
        """Wait for a frame; give those that are there, none where the pipe has ended."""
        taken: list[bytes] = []
        while len(taken) < most and not (taken and self._frames.empty()):
            frame = self._frames.get()
            if frame is None:
                self._frames.put(None)
                break
            taken.append(frame)
        return taken

    def _read(self) -> None:
        while (frame := receive(self._source)) is not None:
            self._frames.put(frame)
        self._frames.put(None)
        time.sleep(END_SECONDS)
        os._exit(1)


def main() -> None:
    """Write the frames that come in at standard input; tell at standard output what is written."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    logging.disable(logging.CRITICAL)  # the process that serves is told, and tells
    source, told = _pipes()
    first = receive(source)
    if first is not None:
        target: Target = pickle.loads(first)  # noqa: S301  from the process that serves
        inbox = Inbox(source)
        _point_mlflow(target)
        _serve(DatabaseSink(target, alone=True), inbox, told)
    os._exit(0)  # to take MLflow down in order costs half a second that nobody needs


def _pipes() -> tuple[BinaryIO, FileIO]:
    """Take standard input and output; what is printed goes where errors go."""
    source, told = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return os.fdopen(source, "rb"), FileIO(told, "wb")


def _point_mlflow(target: Target) -> None:
    from mlflow import set_registry_uri, set_tracking_uri

    set_tracking_uri(target.tracking)
    set_registry_uri(target.registry)


def _serve(sink: DatabaseSink, inbox: Inbox, told: FileIO) -> None:
    size = 1
    _tell(told, 0, [])
    while batch := inbox.take(size):
        begun = time.monotonic()
        failed = sink.write(batch)
        size = paced(len(batch), time.monotonic() - begun)
        _tell(told, len(batch), failed)


def _tell(told: FileIO, written: int, failed: list[str]) -> None:
    with contextlib.suppress(OSError):  # the process that served has gone
        send(told, json.dumps({"written": written, "failed": failed}).encode())
