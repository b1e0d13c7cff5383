"""Binds handlers to requests: what all runs of an app in one event loop share."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio

from .channels import Channel
from .context import Context
from .drain import Drain
from .handlers import Handler
from .limits import Limits, Timeouts
from .router import AgentRouter
from .run import Run
from .tracing.tracer import Tracer


class Runner:
    """Makes runs.

    Args:
        routers: The agents; each has threads of its own.
        tracer: Begins their traces.
        drain: Has the runs in flight.
        limits: Bounds on what a handler may give.
        timeouts: Bounds on time.
        debug: Whether an error tells the client of the handler's exception.
    """

    def __init__(
        self,
        routers: Sequence[AgentRouter],
        tracer: Tracer,
        drain: Drain,
        limits: Limits,
        timeouts: Timeouts,
        *,
        debug: bool,
    ) -> None:
        self._limiters = {each.name: anyio.CapacityLimiter(each.max_threads) for each in routers}
        self._tracer = tracer
        self._drain = drain
        self._limits = limits
        self._timeouts = timeouts
        self._debug = debug

    def run(
        self,
        router: AgentRouter,
        handler: Handler,
        value: object,
        inputs: Callable[[], Any],
        context: Context,
        channel: Channel,
        *,
        outputs: Callable[[], AsyncIterator[Any]] | None = None,
        background: bool = False,
        committed: bool = False,
    ) -> Run:
        """Bind a handler to its request.

        Args:
            router: The handler's router.
            handler: The handler.
            value: What its first parameter gets.
            inputs: Gives the body for the trace.
            context: What its second parameter gets.
            channel: What becomes of its outputs.
            outputs: Gives the outputs in the handler's place. Default None: it is called.
            background: Whether it is a background run. Default False.
            committed: Whether the answer has begun. Default False.
        """
        limiter = self._limiters[router.name]
        return Run(
            handler.name,
            outputs or (lambda: handler.iterate(value, context, limiter)),
            channel,
            context,
            lambda: self._tracer.begin(
                handler.name,
                inputs,
                context,
                experiment=router.experiment,
                responses=router.protocol == "responses",
            ),
            self._drain,
            self._limits,
            self._timeouts,
            background=background,
            debug=self._debug,
            committed=committed,
        )
