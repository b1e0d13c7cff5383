"""How long `agent-asgi dev` takes: to the first answer, from an edit to the new one, to its end.

python -m tests.tools.dev_times [ROUNDS]

Traces are on. Run it on an idle machine.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from tests.support.developing import Development, developing

AGENT = """
import asyncio
from agent_asgi import ResponsesRequest

async def agent(request: ResponsesRequest):
    yield "VERSION"
    while request.input_text == "hold":
        await asyncio.sleep(0.01)
        yield "."
"""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def edit(folder: Path, version: int) -> None:
    """Replace the agent's file at once, as editors do."""
    (folder / "new").write_text(AGENT.replace("VERSION", f"version {version}"))
    (folder / "new").rename(folder / "agent.py")


def answered(dev: Development, version: int) -> None:
    """Wait until the agent answers with a version."""
    while dev.ask() != f"version {version}":
        time.sleep(0.005)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds that a step takes."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def edits(dev: Development, folder: Path, rounds: int, *, held: bool) -> list[float]:
    """Return the seconds from each edit to the new answer, with an open stream if it is held."""
    times = []
    for _ in range(rounds):
        version = time.time_ns()
        stream = dev.client.responses.create(input="hold", stream=True) if held else None
        if stream is not None:
            next(each for each in stream if each.type == "response.output_text.delta")
        time.sleep(2.5)  # MLflow is imported meanwhile, as it is while somebody edits
        edit(folder, version)
        times.append(timed(partial(answered, dev, version)))
        if stream is not None:
            stream.close()
    return times


def end(dev: Development) -> None:
    """End the server as Ctrl-C does, with an open stream."""
    with dev.client.responses.create(input="hold", stream=True) as stream:
        next(each for each in stream if each.type == "response.output_text.delta")
        say(f"Ctrl-C with an open stream: {timed(lambda: stop(dev)):.2f} s")


def stop(dev: Development) -> None:
    """Send SIGINT to the process group and wait for its end."""
    os.killpg(dev.process.pid, signal.SIGINT)
    dev.process.wait(30)


def main(rounds: int) -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        edit(folder, 0)
        env = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        began = time.perf_counter()
        with developing(folder, "agent.py", env=env, ready="") as dev:
            answered(dev, 0)
            say(f"dev to first answer: {time.perf_counter() - began:.2f} s")
            for held in (False, True):
                times = edits(dev, folder, rounds, held=held)
                shown = " ".join(f"{each:.2f}" for each in sorted(times))
                say(f"edit to new answer, stream open {held}: {median(times):.2f} s ({shown})")
            end(dev)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
