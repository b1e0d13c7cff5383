"""How many machine instructions an invocation and a stream of 100 deltas take: `make bench-quick`.

A guard against creep. The app is called in this process, without a socket; the count is that of
`perf stat` where the machine has it, else of callgrind. Two lengths of run are counted and the
difference taken, so that the start is not in it. Fails where a figure is more than the tolerance
above the committed one (instructions.json: by tool and Python version).

    python tests/benchmarks/instructions.py [--update] [--runs N]
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
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
BODY = {"input": [{"role": "user", "content": "hi"}]}
WORK = {"invoke": (BODY, (20, 60)), "stream": ({**BODY, "stream": True}, (10, 30))}
"""What is asked, and how often in the short and in the long run."""
WARM_UP = 5
Counts = dict[str, int]


def main() -> None:
    """Count, compare, and say what was found."""
    parser = argparse.ArgumentParser(description="Count instructions.")
    parser.add_argument("--update", action="store_true", help="write the figures as committed ones")
    parser.add_argument("--runs", type=int, default=3, help="how often, default %(default)s")
    parser.add_argument("--counted", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.counted is not None:
        asked(options.counted)
        return
    tool, count = counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda _: count(), range(options.runs)))
    key = f"{tool}, Python {sys.version_info.major}.{sys.version_info.minor}"
    least = {work: min(run[work] for run in runs) for work in WORK}
    for work in WORK:
        spread = max(run[work] for run in runs) / least[work] - 1
        told = f"{tool}; {options.runs} runs, {spread:.2%} apart"
        say(f"{work}: {least[work]:,} instructions ({told})")
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    if options.update:
        COMMITTED.write_text(json.dumps({**committed, key: least}, indent=2, sort_keys=True) + "\n")
    elif not compare(least, committed.get(key), key):
        sys.exit(1)


def compare(found: Counts, committed: Mapping[str, int] | None, key: str) -> bool:
    """Say how the figures compare with the committed ones; tell whether they are good enough."""
    if committed is None:
        say(f"No figures are committed for {key}; write them with --update.")
        return "CI" not in os.environ
    grown = {work: found[work] / committed[work] - 1 for work in WORK}
    for work, share in grown.items():
        verdict = "too many" if share > TOLERANCE else "good"
        say(f"{work}: {share:+.2%} against {committed[work]:,}: {verdict}")
        if share < -TOLERANCE:
            say(f"{work}: far fewer than committed; keep the gain with --update.")
    return max(grown.values()) <= TOLERANCE


def counter() -> tuple[str, Callable[[], Counts]]:
    """Give the name of the tool that works here, and what counts once with it."""
    probe = ["perf", "stat", "-x,", "-e", "instructions:u", "true"]
    if shutil.which("perf"):
        done = subprocess.run(probe, capture_output=True, text=True, timeout=30)
        if done.returncode == 0 and done.stderr[:1].isdigit():
            return "perf", by_perf
    if shutil.which("valgrind") is None:
        sys.exit("Neither `perf stat -e instructions:u` nor valgrind works here.")
    return "callgrind", by_callgrind


def by_perf() -> Counts:
    """Count with perf: a process for each length of each work."""
    totals = {}
    for work, (_, lengths) in WORK.items():
        for length in lengths:
            tool = ["perf", "stat", "-x,", "-e", "instructions:u"]
            totals[f"{work} {length}"] = int(
                counted(tool, [f"{work} {length}"]).stderr.splitlines()[-1].split(",")[0]
            )
    return differences(totals)


def by_callgrind() -> Counts:
    """Count with callgrind, under which the start is slow: one start, and a fork for each length.

    What is done before it is switched on runs several times faster.
    """
    wanted = [f"{work} {length}" for work, (_, lengths) in WORK.items() for length in lengths]
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        tool.append(f"--callgrind-out-file={folder}/%p")
        children = json.loads(counted(tool, wanted).stdout)
        return differences(
            {each: total((Path(folder) / str(pid)).read_text()) for each, pid in children.items()}
        )


def switch_on() -> None:
    """Have callgrind count from here on; it listens while this process is busy."""
    command = ["callgrind_control", "--instr=on", str(os.getpid())]
    control = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while control.poll() is None:
        pass
    if control.returncode:
        sys.exit("callgrind_control failed")


def total(written: str) -> int:
    """Read the sum of a callgrind file."""
    found = re.search(r"^totals: (\d+)", written, re.MULTILINE)
    if found is None:
        raise ValueError("callgrind wrote no totals")
    return int(found[1])


def differences(totals: Mapping[str, int]) -> Counts:
    """Give the instructions of one request from those of a short and of a long run."""
    return {
        work: (totals[f"{work} {long}"] - totals[f"{work} {short}"]) // (long - short)
        for work, (_, (short, long)) in WORK.items()
    }


def counted(tool: list[str], wanted: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run this file's app under a tool."""
    command = [*tool, sys.executable, __file__, "--counted", *wanted]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    kept |= {"PYTHONHASHSEED": "0", "DO_NOT_TRACK": "true"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=300, env=kept
    )


def asked(wanted: list[str]) -> None:
    """Do what is counted: each of the wanted in a fork of its own; print their ids."""
    app = agent()
    for body, _ in WORK.values():
        asyncio.run(ask(app, body, WARM_UP))
    if "valgrind" in os.environ.get("LD_PRELOAD", ""):
        switch_on()
    children = {}
    for each in wanted:
        pid = os.fork()
        if pid == 0:
            work, length = each.split()
            asyncio.run(ask(app, WORK[work][0], int(length)))
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit(f"{each} failed")
        children[each] = pid
    sys.stdout.write(json.dumps(children))


def agent() -> Any:
    """Make the app."""
    import mlflow

    from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

    mlflow.tracing.disable()
    router = AgentRouter("bench")

    @router.invoke
    async def answer(request: ResponsesRequest) -> str:
        return "token " * 100

    @router.stream
    async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
        for _ in range(100):
            yield "token "

    return AgentApp(router)


async def ask(app: Any, body: object, times: int) -> None:
    """Call the app as a server would; check each answer."""
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}}
    scope |= {"http_version": "1.1", "method": "POST", "scheme": "http", "path": "/responses"}
    scope |= {"raw_path": b"/responses", "query_string": b"", "root_path": "", "headers": headers}
    for _ in range(times):
        sent: list[Any] = []
        incoming = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive(incoming: list[Any] = incoming) -> Any:
            return incoming.pop() if incoming else await asyncio.Event().wait()

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app({**scope, "client": ("127.0.0.1", 1)}, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent)
        if sent[0]["status"] != 200 or answer.count(b"token ") < 100:
            sys.exit(f"wrong answer: {answer[:300]!r}")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
