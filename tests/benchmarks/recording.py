"""What ours answers, recorded once so that bare sends the same bytes, and the proof of that."""

import json
import re
from pathlib import Path

from client import Answer, connect, run
from peer import BARE, OURS, Peer, WrongAnswer

CHANGING = re.compile(rb'(resp|msg)_[0-9a-f]+|"(created|completed)_at":\d+')


def record(port: int, path: Path) -> None:
    """Write the answers of the server of ours to a file: an invocation, a stream of one delta."""
    invoked = run(ask(port, OURS.request()))
    streamed = run(ask(port, OURS.request("burst 1", stream=True)))
    OURS.check_json(invoked.status, invoked.body)
    OURS.read_stream(streamed.status, streamed.body, 1)
    path.write_text(json.dumps({"invoke": invoked.body.decode(), "stream": streamed.body.decode()}))


def compare(ours: int, bare: int) -> None:
    """Check that both servers send the same bytes, but for ids and times.

    Raises:
        WrongAnswer: They do not.
    """
    for command, stream in (("", False), ("burst 100", True), ("long 20", True)):
        pair = [
            unchanging(run(ask(port, peer.request(command, stream=stream))), peer)
            for port, peer in ((ours, OURS), (bare, BARE))
        ]
        if pair[0] != pair[1]:
            raise WrongAnswer(f"bare and ours differ at {command or 'invoke'!r}")


def unchanging(answer: Answer, peer: Peer) -> bytes:
    """Give a body without its ids and times."""
    if answer.status != 200:
        raise WrongAnswer(f"{peer.name}: {answer.status}")
    return CHANGING.sub(b"", answer.body)


async def ask(port: int, request: bytes) -> Answer:
    """Ask once over a connection of its own."""
    connection = await connect(port)
    try:
        return await connection.ask(request)
    finally:
        connection.close()
