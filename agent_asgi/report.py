"""What is told of a run that has ended: counts, and one line in the log."""

import logging
from bisect import bisect_left
from time import perf_counter

from .counts import BOUNDS, GIVEN_BACK, RunMode, Runs
from .run import Run

logger = logging.getLogger("agent_asgi.runs")


Labels = tuple[Runs, RunMode, str]
"""What counts a run, how it is answered, and the authenticated principal, empty for none."""


def report(run: Run, labels: Labels) -> None:
    """Count a run that has ended, and log it at INFO: what it took, never what it said."""
    runs, mode, owner = labels
    seconds = perf_counter() - run.began
    runs.in_flight -= 1
    runs.statuses[run.status] += 1
    if run.status != GIVEN_BACK:
        times = runs.seconds  # its `add` in line: this is on the way of every run
        times.buckets[bisect_left(BOUNDS, seconds)] += 1
        times.sum += seconds
        if run.first_at is not None and mode != "json":  # which has no events
            runs.first_event.add(run.first_at - run.began)
        events, usage = run.channel.totals()
        runs.events += events
        if usage is not None:
            runs.input_tokens += usage.input_tokens
            runs.output_tokens += usage.output_tokens
    if logger.isEnabledFor(logging.INFO):
        _log(run, mode, owner, seconds)


def _log(run: Run, mode: RunMode, owner: str, seconds: float) -> None:
    context, status = run.context, run.status
    events, usage = run.channel.totals()
    first = None if run.first_at is None or mode == "json" else run.first_at - run.began
    milliseconds = _milliseconds(seconds)
    fields = {
        "request_id": context.request_id or "-",
        "response_id": context.response_id,
        "trace_id": context.trace_id,
        "principal": owner or None,
        "agent": context.agent,
        "mode": mode,
        "status": status,
        "cause": None if status in ("completed", "incomplete") else context.cancelled.cause,
        "error": None if run.error is None else run.error.code,
        "milliseconds": milliseconds,
        "first_event_milliseconds": None if first is None else _milliseconds(first),
        "events": events,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
    }
    told = "%s of %s %s in %g ms", context.response_id, context.agent, status, milliseconds
    logger.info(*told, extra=fields)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
