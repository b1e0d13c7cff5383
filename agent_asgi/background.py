"""Runs that are detached from their client: claimed, pulled into the log, cancelled, taken over."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol, TypeVar

from . import codec
from .channels import ResponsesChannel
from .context import Cause
from .conversation import output_ids
from .counts import GIVEN_BACK
from .errors import AgentError, AgentFailed
from .limits import Timeouts
from .log import RETRY_SECONDS, Log, Writer
from .run import Run
from .store.base import (
    SWEEP,
    Ending,
    Failure,
    Frames,
    LostRun,
    Record,
    Store,
    StoreUnavailable,
)

logger = logging.getLogger("agent_asgi")

CANCEL_SECONDS = 0.5
"""How often a process looks for wishes to cancel its runs."""
EXPIRY_SECONDS = 60.0
"""How often a process looks for responses that have expired."""


class Attempt(NamedTuple):
    """One attempt of a run, ready to be pulled."""

    run: Run
    channel: ResponsesChannel
    recover: bool
    """Whether another process may take the run over."""
    next_number: int
    """`sequence_number` of its first event."""


class Queue(Protocol):
    """Says which process executes which run; the response's row alone says how it stands."""

    async def start(self, execute: "Execute") -> None:
        """Execute runs from now on."""

    async def put(self, record: Record) -> None:
        """Have a run executed by some process."""

    def waiting(self) -> Collection[str]:
        """Give the runs that this process has and that wait for their turn."""

    async def rescue(self) -> None:
        """Have the runs of processes that died executed by others."""

    async def close(self) -> None:
        """Take no more runs that others can execute; wait for those that are this process's."""

    async def stop(self) -> None:
        """Begin no more runs."""


class Attempts(Protocol):
    """Makes attempts of claimed runs."""

    async def begin(self, record: Record, error: AgentError | None) -> Attempt:
        """Make an attempt; one that fails at once where there is an error."""

    async def give_up(self, record: Record) -> tuple[Frames, Ending]:
        """Make the end of a run that no attempt can be made of."""

    def forget(self, id: str) -> None:
        """Keep nothing more of a run."""


Execute = Callable[[str], Awaitable[None]]
T = TypeVar("T")


class Executor:
    """Executes detached runs in this process, and looks after those that nobody executes.

    Args:
        store: Has the runs.
        queue: Says which runs are this process's.
        attempts: Makes attempts of claimed runs.
        agents: The agents whose runs these are.
        timeouts: Bounds on time.
    """

    def __init__(
        self,
        store: Store,
        queue: Queue,
        attempts: Attempts,
        agents: Sequence[str],
        timeouts: Timeouts,
    ) -> None:
        self.holder = uuid.uuid4().hex
        self._store = store
        self._queue = queue
        self._attempts = attempts
        self._writer = Writer(store)
        self._agents = agents
        self._timeouts = timeouts
        self._runs: dict[str, tuple[Run, Log]] = {}
        self._locks: set[str] = set()  # of runs that are answered here
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._chores: list[asyncio.Task[None]] = []
        self._give_up = asyncio.Event()
        self._alive = time.monotonic()

    async def start(self) -> None:
        """Execute runs from now on."""
        self._writer.start()
        try:
            await self._queue.start(self.execute)
        except BaseException:
            await self._queue.stop()
            await self._writer.stop()
            raise
        self._chores = [asyncio.create_task(each()) for each in (self._beat, self._sweep)]

    async def close(self) -> None:
        """Look for no more runs, and wait until those that this process has have ended."""
        for sweep in self._chores[1:]:
            sweep.cancel()
            await asyncio.wait([sweep])
        await self._queue.close()
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def give_up(self) -> None:
        """Begin no more runs."""
        self._give_up.set()

    async def stop(self) -> None:
        """Give runs that have not ended back for a take-over."""
        self.give_up()
        await self._queue.stop()
        for task in (*self._tasks.values(), *self._chores):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=self._timeouts.cleanup)
        await self._writer.stop()
        with contextlib.suppress(StoreUnavailable):  # the leases then end by themselves
            await self._store.release(self.holder)

    @property
    def queued(self) -> int:
        """How many runs wait in this process for their turn."""
        return len(set(self._queue.waiting()).difference(self._tasks))

    def submit(self, id: str, done: Callable[[], None] | None = None) -> None:
        """Execute a run in this process, now, unless another one has it.

        Args:
            id: The run.
            done: Called once nothing more is to come of it. Default None.
        """
        if id not in self._tasks and not self._give_up.is_set():
            task = asyncio.create_task(self._execute(id))
            self._tasks[id] = task
            task.add_done_callback(lambda _: self._done(id))
            if done is not None:
                task.add_done_callback(lambda _: done())
        elif done is not None:
            done()

    def _done(self, id: str) -> None:
        del self._tasks[id]
        self._attempts.forget(id)

    async def execute(self, id: str) -> None:
        """Execute a run to its end, unless another process has it.

        Where the caller is cancelled, the run goes on.
        """
        self.submit(id)
        if id in self._tasks:
            await asyncio.shield(self._tasks[id])

    async def enqueue(self, record: Record) -> None:
        """Have a run executed, here or elsewhere; where the queue does not answer, later."""
        try:
            await self._queue.put(record)
        except StoreUnavailable:
            logger.warning("%s is not queued; the next sweep does it.", record.id)

    def cancel(self, id: str, cause: Cause) -> bool:
        """Cancel a run of this process; tell whether it is one."""
        found = self._runs.get(id)
        if found is not None:
            found[0].cancel(cause)
        return found is not None

    async def lock(self, conversation: str, owner: str, response_id: str) -> bool:
        """Lock a conversation and keep it locked; tell whether it was free."""
        free = await self._store.lock(conversation, owner, response_id, self._timeouts.stalled)
        if free:
            self._locks.add(response_id)
        return free

    def has_locked(self, response_id: str) -> bool:
        """Tell whether a run of this process has locked a conversation."""
        return response_id in self._locks

    async def unlock(self, response_id: str) -> None:
        """Unlock a conversation; where the store does not answer, its lock ends by itself."""
        if response_id in self._locks:
            self._locks.discard(response_id)
            with contextlib.suppress(StoreUnavailable):
                await self._store.unlock(response_id)

    def hand_lock_over(self, response_id: str) -> None:
        """Leave a lock to a stored run, which keeps it for as long as it is active."""
        self._locks.discard(response_id)

    async def _execute(self, id: str) -> None:
        lease = self._timeouts.stalled
        record = await self._insist(lambda: self._store.claim(id, self.holder, lease))
        if record is None:
            return
        if record.attempt > 1:
            told = "%s of %s: attempt %d; the process of the one before is gone."
            logger.info(told, id, record.agent, record.attempt)
        for error in (None, AgentFailed()):  # what cannot be executed is at least ended
            try:
                await self._attempt(record, error)
            except Exception:
                logger.exception("%s could not be executed.", id)
            else:
                return
        await self._insist(lambda: self._end(record))

    async def _end(self, record: Record) -> None:
        """End a run that cannot even be begun to fail, as where its handler is no more."""
        frames, ending = await self._attempts.give_up(record)
        with contextlib.suppress(LostRun):
            await self._store.finish(record.id, record.attempt, frames, ending)

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask the store until it answers, or this process gives its runs up."""
        while not self._give_up.is_set():
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _attempt(self, record: Record, error: AgentError | None) -> None:
        attempt = await self._insist(lambda: self._attempts.begin(record, error))
        if attempt is None or self._give_up.is_set():
            return
        run, channel = attempt.run, attempt.channel
        log = Log(self._writer, record.id, record.attempt, attempt.next_number)
        self._runs[record.id] = (run, log)
        stored = False
        try:
            last = await _pull(run, log)
            taken_back = run.context.cancelled.cause == "shutdown" and self._store.durable
            if not log.lost and not (taken_back and attempt.recover):
                await self._writer.finish(log, last, _ending(run, channel, record))
                stored = not log.lost
        finally:
            del self._runs[record.id]
            if not stored:
                run.status = GIVEN_BACK
            run.report()
            await self._writer.forget(log)

    async def _beat(self) -> None:
        """Show that this process lives, and hear which of its runs are to be cancelled."""
        pause = min(CANCEL_SECONDS, self._timeouts.heartbeat)
        while True:
            await asyncio.sleep(pause)
            try:
                if time.monotonic() - self._alive >= self._timeouts.heartbeat:
                    await self._renew()
                if self._runs and self._store.shared:
                    for each in await self._store.to_cancel(self.holder):
                        if not self.cancel(each, "client_cancelled"):
                            self.submit(each)  # it waits for its turn; now it ends
            except StoreUnavailable:
                if time.monotonic() - self._alive > self._timeouts.stalled:
                    self._lose(list(self._runs))  # others may have them by now
            except Exception:
                logger.exception("A sign of life failed; the next one is due.")

    async def _renew(self) -> None:
        began = time.monotonic()
        before = {id_: run.context.attempt for id_, (run, _) in self._runs.items()}
        ours = {*self._tasks, *self._queue.waiting(), *self._locks}
        mine = await self._store.renew(self.holder, ours, self._timeouts.stalled) if ours else {}
        self._lose([id_ for id_, number in before.items() if mine.get(id_) != number])
        self._alive = began

    def _lose(self, ids: Sequence[str]) -> None:
        for each in ids:
            if each in self._runs:
                run, log = self._runs[each]
                log.lose()
                run.cancel("shutdown")

    async def _sweep(self) -> None:
        """Have abandoned runs executed, and remove what has expired."""
        expiry = 0.0
        while True:
            try:
                await self._queue.rescue()
                for record in await self._store.abandoned(self._agents):
                    await self._queue.put(record)
                if time.monotonic() >= expiry:
                    removed = await self._store.sweep()
                    expiry = time.monotonic() + (0 if removed >= SWEEP else EXPIRY_SECONDS)
            except StoreUnavailable:
                logger.debug("The sweep waits for the store.")
            except Exception:
                logger.exception("The sweep failed; it is tried again.")
            await asyncio.sleep(self._timeouts.rescue)


async def _pull(run: Run, log: Log) -> bytes:
    """Pull a run into its log; give what comes with its end, for the last write."""
    last = b""

    async def deliver(batch: bytes) -> None:
        nonlocal last
        if run.ended:
            last = batch
            return
        log.add(batch)
        await log.room()
        if log.lost:
            run.cancel("shutdown")

    await run.pull(deliver)
    return last


def _ending(run: Run, channel: ResponsesChannel, record: Record) -> Ending:
    response = channel.lifecycle.response
    failure = None
    if run.error is not None:
        error = run.error
        told = Failure(status=error.status, error=error.payload(), headers=error.headers)
        failure = codec.encode(told)
    return Ending(
        status=response.status,
        response=codec.encode(response),
        item_ids=output_ids(response.output) if record.visible else (),
        failure=failure,
    )
