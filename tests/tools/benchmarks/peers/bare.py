"""The benchmark agent, written by hand: it sends the same bytes as ours and does nothing else.

The answers of ours are recorded (recording.py); this app fills in texts and numbers. It decodes the
body without validating it, synthesises no events, and traces and stores nothing.
"""

import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from work import NAP, tokens

recorded = msgspec.json.decode(Path(os.environ["BENCH_PAYLOAD"]).read_bytes(), type=dict[str, str])
INVOKED = recorded["invoke"].encode()


def template(frame: str) -> bytes:
    """Turn a recorded frame into a template for its number and text."""
    frame = frame.replace("%", "%%").replace('"token "', '"%(text)b"')
    return re.sub(r'"sequence_number":\d+', '"sequence_number":%(number)d', frame).encode()


*FRAMES, DONE = re.findall(r".+?\n\n", recorded["stream"], re.DOTALL)
WHERE = next(number for number, frame in enumerate(FRAMES) if '"delta":' in frame)
BEFORE = [template(frame) for frame in FRAMES[:WHERE]]
DELTA = template(FRAMES[WHERE])
AFTER = [template(frame) for frame in FRAMES[WHERE + 1 :]]
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def frames(command: str) -> AsyncIterator[bytes]:
    number = 0
    text = bytearray()
    for frame in BEFORE:
        yield frame % {b"number": number}
        number += 1
    async for token in tokens(command):
        said = token.encode()
        text += said
        yield DELTA % {b"number": number, b"text": said}
        number += 1
    for frame in AFTER:
        yield frame % {b"number": number, b"text": text}
        number += 1
    yield DONE.encode()


async def respond(request: Request) -> Response:
    body = msgspec.json.decode(await request.body())
    if body.get("stream"):
        content = frames(body["input"][0]["content"])
        return StreamingResponse(content, headers=HEADERS, media_type="text/event-stream")
    return Response(INVOKED, media_type="application/json")


def nap(request: Request) -> Response:
    time.sleep(NAP)
    return Response(INVOKED, media_type="application/json")


async def health(_: Request) -> Response:
    return Response(b'{"status":"healthy"}', media_type="application/json")


app = Starlette(
    routes=[
        Route(
            "/responses",
            nap if os.environ.get("BENCH_AGENT") == "sync" else respond,
            methods=["POST"],
        ),
        Route("/health", health),
    ]
)
