"""Count the machine instructions per request, next to a bare Starlette app: `make bench-quick`.

A guard against gradual slowdowns. uvicorn's own HTTP protocol serves both apps over an in-memory
transport, and callgrind counts the instructions, so noise has no effect. The figure is the
difference between a long and a short run, which excludes the startup. The ratio to the bare app
is compared with the committed one (instructions.json), since ratios hold across machines.

    python -m tests.tools.benchmarks.instructions [--update]
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.10
"""Wide enough that nobody adds a special case to save two percent."""
BODY = {"input": [{"role": "user", "content": "hi"}]}
WORK = {"invoke": (BODY, (20, 60)), "stream": ({**BODY, "stream": True}, (10, 30))}
"""The request body, and the number of requests in the short and the long run."""
APPS = ("ours", "bare")
WARM_UP = 5
Ratios = dict[str, float]


def main() -> None:
    """Count, compare and print the result."""
    parser = argparse.ArgumentParser(description="Count instructions.")
    parser.add_argument("--update", action="store_true", help="commit the figures")
    parser.add_argument("--counted", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.counted is not None:
        run_counted(options.counted)
        return
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed.")
    counts = count()
    ratios: Ratios = {}
    for work in WORK:
        ours, bare = counts[f"ours {work}"], counts[f"bare {work}"]
        ratios[work] = round(ours / bare, 3)
        say(f"{work}: {ours:,} instructions, bare {bare:,}: ratio {ratios[work]}")
    if options.update:
        COMMITTED.write_text(json.dumps(ratios, indent=2, sort_keys=True) + "\n")
    elif not compare(ratios, json.loads(COMMITTED.read_text())):
        sys.exit(1)


def compare(ratios: Ratios, committed: Mapping[str, float]) -> bool:
    """Print how the ratios compare with the committed ones; return whether all are acceptable."""
    good = True
    for work, ratio in ratios.items():
        share = ratio / committed[work] - 1
        good = good and share <= TOLERANCE
        verdict = "too many" if share > TOLERANCE else "good"
        say(f"{work}: {share:+.1%} against {committed[work]}: {verdict}")
        if share < -TOLERANCE:
            say(f"{work}: far fewer than committed; keep the gain with --update.")
    return good


def count() -> dict[str, int]:
    """Count with callgrind, with one startup, because it is slow, and a fork per run."""
    wanted = [
        f"{app} {work} {times}"
        for app in APPS
        for work, (_, lengths) in WORK.items()
        for times in lengths
    ]
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        command = [*tool, f"--callgrind-out-file={folder}/%p", sys.executable, __file__]
        env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        env |= {"PYTHONHASHSEED": "0", "DO_NOT_TRACK": "true", "OTEL_SDK_DISABLED": "true"}
        done = subprocess.run(
            [*command, "--counted", *wanted],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
            env=env,
        )
        pids = json.loads(done.stdout)
        totals = {name: total(Path(folder) / str(pid)) for name, pid in pids.items()}
    return {
        f"{app} {work}": (totals[f"{app} {work} {long}"] - totals[f"{app} {work} {short}"])
        // (long - short)
        for app in APPS
        for work, (_, (short, long)) in WORK.items()
    }


def total(path: Path) -> int:
    """Return the total of a callgrind file."""
    found = re.search(r"^totals: (\d+)", path.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("callgrind wrote no totals")
    return int(found[1])


def run_counted(wanted: list[str]) -> None:
    """Execute each run to count in its own fork; print the ids of the forks."""
    apps = {"ours": ours(), "bare": bare()}
    for app in apps.values():
        for body, _ in WORK.values():
            serve(app, body, WARM_UP)
    command = ["callgrind_control", "--instr=on", str(os.getpid())]
    control = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while control.poll() is None:  # callgrind only listens while this process is busy
        pass
    pids = {}
    for name in wanted:
        pid = os.fork()
        if pid == 0:
            which, work, times = name.split()
            serve(apps[which], WORK[work][0], int(times))
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit(f"{name} failed")
        pids[name] = pid
    sys.stdout.write(json.dumps(pids))


def serve(app: Any, body: object, times: int) -> None:
    """Send requests through uvicorn's protocol and check each answer."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(requests(app, body, times))


async def requests(app: Any, body: object, times: int) -> None:
    """Send requests on one connection."""
    from uvicorn import Config
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.server import ServerState

    config = Config(app, access_log=False, log_level="warning", lifespan="off")
    config.load()
    protocol = HttpToolsProtocol(config, ServerState(), {})
    transport = Nowhere()
    protocol.connection_made(transport)
    content = json.dumps(body).encode()
    head = b"POST /responses HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    for _ in range(times):
        protocol.data_received(head + b"content-length: %d\r\n\r\n" % len(content) + content)
        while not protocol.cycle.response_complete:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        answer = b"".join(transport.written)
        transport.written.clear()
        if not answer.startswith(b"HTTP/1.1 200") or answer.count(b"token ") < 100:
            sys.exit(f"wrong answer: {answer[:300]!r}")


class Nowhere(asyncio.Transport):
    """A transport that keeps the written data."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a dummy address, since there is no socket."""
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        """Keep the data."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Return False, since it stays open."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return 0, since nothing is pending."""
        return 0

    def close(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


def ours() -> Any:
    """Return the app to measure."""
    from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

    router = AgentRouter("bench")

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        return "token " * 100

    @router.stream
    async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(100):
            yield "token "

    return AgentApp(router)


def bare() -> Any:
    """Return a Starlette app that only decodes the body and answers."""
    import msgspec
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    async def respond(request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        if body.get("stream"):
            return StreamingResponse(frames(), media_type="text/event-stream")
        content = msgspec.json.encode({"output": "token " * 100})
        return Response(content, media_type="application/json")

    async def frames() -> AsyncIterator[bytes]:
        for number in range(100):
            event = {"type": "response.output_text.delta", "number": number, "delta": "token "}
            yield b"data: %b\n\n" % msgspec.json.encode(event)

    return Starlette(routes=[Route("/responses", respond, methods=["POST"])])


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
