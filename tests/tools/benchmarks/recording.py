"""Record the answers of ours for bare to send, and check that both send the same bytes."""

import json
import re
from pathlib import Path

from tests.tools.benchmarks.client import Answer, connect, run
from tests.tools.benchmarks.peer import BARE, OURS, Peer, WrongAnswer

CHANGING = re.compile(rb'(resp|msg)_[0-9a-f]+|"(created|completed)_at":\d+')


def record(port: int, path: Path) -> None:
    """Record our server's answers in a file: an invocation and a stream of one delta."""
    invoked = run(ask_once(port, OURS.request()))
    streamed = run(ask_once(port, OURS.request("burst 1", stream=True)))
    OURS.check_json(invoked.status, invoked.body)
    OURS.read_stream(streamed.status, streamed.body, 1)
    path.write_text(json.dumps({"invoke": invoked.body.decode(), "stream": streamed.body.decode()}))


def compare(ours: int, bare: int) -> None:
    """Check that both servers send the same bytes, except for ids and times.

    Raises:
        WrongAnswer: They do not.
    """
    for command, stream in (("", False), ("burst 100", True), ("long 20", True)):
        pair = [
            unchanging(run(ask_once(port, peer.request(command, stream=stream))), peer)
            for port, peer in ((ours, OURS), (bare, BARE))
        ]
        if pair[0] != pair[1]:
            raise WrongAnswer(f"bare and ours differ at {command or 'invoke'!r}")


def unchanging(answer: Answer, peer: Peer) -> bytes:
    """Return a body without its ids and times."""
    if answer.status != 200:
        raise WrongAnswer(f"{peer.name}: {answer.status}")
    return CHANGING.sub(b"", answer.body)


async def ask_once(port: int, request: bytes) -> Answer:
    """Send one request over a new connection."""
    connection = await connect(port)
    try:
        return await connection.ask(request)
    finally:
        connection.close()
