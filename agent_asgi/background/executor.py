"""Detached runs of one process: executed, cancelled, and taken over from processes that died."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ..config import Timeouts
from ..context import GIVEN_BACK, Cause
from ..errors import AgentError, AgentFailed
from ..runs.admission import Admission, Stage
from ..runs.conversation import conversation_id
from ..runs.record import addition_of
from ..runs.report import report
from ..runs.run import Run
from ..schema import codec
from ..store.approvals import approvals_in
from ..store.base import (
    SWEEP,
    Ending,
    Enqueue,
    Failure,
    LostRun,
    Record,
    Store,
    StoreUnavailable,
)
from ..store.conversation_locks import check_room
from ..store.history import output_ids
from .deliverer import Deliverer
from .locks import Locks
from .log_writer import Log, LogWriter, retry
from .recovery import Attempt, Recovery

logger = logging.getLogger("agent_asgi")

CANCEL_POLL_SECONDS = 0.5
"""How often a process checks whether clients asked to cancel its runs."""
EXPIRY_SECONDS = 60.0
"""How often a process deletes expired responses."""


class Queue(Protocol):
    """Decides which process executes a run. The run's status is in the store alone."""

    async def start(self, execute: Callable[[str], Awaitable[None]]) -> None:
        """Start to call `execute` with the ids of runs."""

    async def put(self, record: Record) -> None:
        """Add a run. It may be added more than once."""

    @property
    def put_in(self) -> Enqueue | None:
        """Adds a run in the transaction that stores it; None if the queue is not in the store."""

    def waiting(self) -> Mapping[str, str]:
        """Return the runs that wait for this process, with their owners."""

    async def requeue(self, records: Sequence[Record]) -> None:
        """Queue runs that no process executes, without those that wait already."""

    async def close(self) -> None:
        """Take no more runs that other processes can execute; wait for the rest."""

    async def stop(self) -> None:
        """Begin no more runs."""


class Executor:
    """Executes detached runs in this process, and queues those that no process executes.

    Args:
        store: The store of the runs.
        queue: Decides which runs this process executes.
        recovery: Makes attempts of the runs.
        agents: The names of the agents.
        timeouts: The bounds on time.
        admission: The server's stage: from `CUT` on, no runs begin.
        locks: Conversations whose locks are renewed with the leases.
        deliverer: Reports the ends of runs.
        queues: Whether runs wait for one another in a conversation.
    """

    def __init__(
        self,
        store: Store,
        queue: Queue,
        recovery: Recovery,
        agents: Sequence[str],
        timeouts: Timeouts,
        admission: Admission,
        locks: Locks,
        deliverer: Deliverer,
        *,
        queues: bool,
    ) -> None:
        self.holder = uuid.uuid4().hex
        self._store = store
        self._queue = queue
        self._recovery = recovery
        self._writer = LogWriter(store)
        self._agents = agents
        self._timeouts = timeouts
        self._runs: dict[str, tuple[Run, Log]] = {}
        self._locks = locks
        self._deliverer = deliverer
        self._queues = queues
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places: dict[object, str] = {}
        self._heart: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._admission = admission
        self._renewed = time.monotonic()

    async def start(self) -> None:
        """Start to execute runs."""
        self._writer.start()
        try:
            await self._queue.start(self.execute)
        except BaseException:
            await self._queue.stop()
            await self._writer.stop()
            raise
        self._heart = asyncio.create_task(self._heartbeat())
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Take over no more runs, and wait until the runs of this process have ended."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await self._queue.close()
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def stop(self) -> None:
        """Cancel the runs that have not ended, and queue them for other processes."""
        self._admission.reach(Stage.CUT)
        for task in (*self._tasks.values(), self._heart, self._sweeper):
            if task is not None:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=self._timeouts.cleanup)
        await self._writer.stop()
        with contextlib.suppress(StoreUnavailable):  # then the leases expire
            await self._store.release(self.holder)
            await self._queue.requeue(await self._store.abandoned(self._agents))
        await self._queue.stop()

    @property
    def enqueue_in(self) -> Enqueue | None:
        """Queues a run in the transaction that stores it; None if it is queued afterwards."""
        return self._queue.put_in

    @property
    def queued(self) -> int:
        """The number of runs that wait in this process."""
        return len(self._queue.waiting().keys() - self._tasks)

    @contextlib.contextmanager
    def place(self, limit: int, owner: str) -> Iterator[None]:
        """Keep a place for one more queued run until the block ends, by when it is queued.

        Raises:
            TooManyQueued: `limit` runs wait already, or are about to, or half as many of the owner.
        """
        waiting = self._queue.waiting()
        owners = [each for id_, each in waiting.items() if id_ not in self._tasks]
        owners += self._places.values()
        check_room(owner, owners.count(owner), len(owners), limit)
        place = object()
        self._places[place] = owner
        try:
            yield
        finally:
            del self._places[place]

    def submit(self, id: str, done: Callable[[], None] | None = None) -> None:
        """Execute a run in this process now, unless another process holds it.

        Args:
            id: The run.
            done: Called when the run has ended or is not executed here. Default None.
        """
        if id not in self._tasks and not self._stopped():
            task = asyncio.create_task(self._execute(id))
            self._tasks[id] = task
            task.add_done_callback(lambda _: self._forget(id))
            if done is not None:
                task.add_done_callback(lambda _: done())
        elif done is not None:
            done()

    def _forget(self, id: str) -> None:
        del self._tasks[id]
        local = self._recovery.local_contexts.get(id)
        if local is not None and not local.waits:
            del self._recovery.local_contexts[id]

    async def execute(self, id: str) -> None:
        """Execute a run to its end, even if the caller is cancelled."""
        earlier = self._tasks.get(id)
        if earlier is not None:  # it may have been refused before the caller's reason
            await asyncio.wait([earlier])
        self.submit(id)
        if id in self._tasks:
            await asyncio.shield(self._tasks[id])

    async def enqueue(self, record: Record) -> None:
        """Queue a run, here or for another process; if the queue does not answer, later."""
        try:
            await self._queue.put(record)
        except StoreUnavailable:
            logger.warning("%s was not queued; the next sweep queues it.", record.id)

    async def wake(self, conversation: str, owner: str) -> None:
        """Let the run begin that waits for a conversation, if there is one.

        If the store does not answer, the next sweep or the run itself finds out.
        """
        if not self._queues:
            return
        with contextlib.suppress(StoreUnavailable):
            id_ = await self._store.next_waiting(conversation, owner)
            record = None if id_ is None else await self._store.get(id_, owner)
            if id_ is not None:
                self._store.signals.notify(id_)  # it waits in this process, or
            if record is not None and record.active:
                await self.enqueue(record)

    def cancel(self, id: str, cause: Cause) -> bool:
        """Cancel a run, and return whether it is executed in this process."""
        run, _ = self._runs.get(id, (None, None))
        if run is not None:
            run.cancel(cause)
        return run is not None

    def _stopped(self) -> bool:
        return self._admission.stage >= Stage.CUT

    async def _execute(self, id: str) -> None:
        try:
            await self._claim_and_attempt(id)
        except StoreUnavailable:  # its lease expires
            logger.error("%s: the store does not answer; another attempt begins later.", id)

    async def _claim_and_attempt(self, id: str) -> None:
        lease = self._timeouts.stalled
        record = await retry(lambda: self._store.claim(id, self.holder, lease), self._stopped)
        if record is None:
            return
        if record.attempt > 1:
            message = "%s of %s: the previous attempt's process has ended; attempt %d begins."
            logger.info(message, id, record.agent, record.attempt)
        for error in (None, AgentFailed()):  # a run that cannot be executed must still end
            try:
                await self._attempt(record, error)
            except StoreUnavailable:
                raise
            except Exception:
                logger.exception("%s of %s could not be executed; it fails.", id, record.agent)
            else:
                return
        try:
            await retry(lambda: self._fail(record, with_output=True), self._stopped)
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("%s: its output cannot be stored; it fails without.", id)
            await retry(lambda: self._fail(record, with_output=False), self._stopped)

    async def _fail(self, record: Record, *, with_output: bool) -> None:
        """End a run that cannot be attempted, for example because its handler was removed."""
        lines, ending = await self._recovery.failed_ending(record, with_output=with_output)
        self._deliverer.report(record, ending)
        with contextlib.suppress(LostRun):
            await self._store.finish(record.id, record.attempt, lines, ending)
            self._deliverer.notify()

    async def _attempt(self, record: Record, error: AgentError | None) -> None:
        attempt = await retry(lambda: self._recovery.begin(record, error), self._stopped)
        if attempt is None or self._stopped():
            return
        run = attempt.run
        log = Log(self._writer, record.id, record.attempt, attempt.next_number)
        self._runs[record.id] = (run, log)
        stored = False
        try:
            last = await _pull(run, log)
            stopped = run.cancelled.cause == "shutdown" and self._store.durable
            if stopped and attempt.recover:
                await self._writer.flush(log)  # another attempt continues after these events
            elif not log.lost:
                ending = _ending(attempt, record)
                self._deliverer.report(record, ending)
                await self._writer.finish(log, last, ending)
                stored = not log.lost
                self._deliverer.notify()
        finally:
            del self._runs[record.id]
            if not stored:
                run.status = GIVEN_BACK
            report(run)
            await self._writer.discard(log)
            if not stored:  # perhaps it was deleted, and its conversation is still locked
                with contextlib.suppress(StoreUnavailable):
                    await self._store.unlock(record.id)
            conversation = conversation_id(run.request)
            if conversation is not None:
                await self.wake(conversation, run.owner)

    async def _heartbeat(self) -> None:
        """Renew the leases of this process, and cancel the runs that clients asked to cancel."""
        pause = min(CANCEL_POLL_SECONDS, self._timeouts.heartbeat)
        while True:
            await asyncio.sleep(pause)
            try:
                if time.monotonic() - self._renewed >= self._timeouts.heartbeat:
                    await self._renew()
                if self._runs and self._store.shared:
                    for id_ in await self._store.to_cancel(self.holder):
                        if not self.cancel(id_, "client_cancelled"):
                            self.submit(id_)  # it is still queued; executed now, it ends at once
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    logger.exception("A heartbeat failed; the next one is sent as usual.")
                if time.monotonic() - self._renewed > self._timeouts.stalled:
                    self._mark_lost(list(self._runs))  # other processes may have claimed them

    async def _renew(self) -> None:
        now = time.monotonic()
        attempts = {id_: run.attempt for id_, (run, _) in self._runs.items()}
        ids = {*self._tasks, *self._queue.waiting(), *self._locks.ids}
        held = await self._store.renew(self.holder, ids, self._timeouts.stalled) if ids else {}
        self._mark_lost([id_ for id_, attempt in attempts.items() if held.get(id_) != attempt])
        self._renewed = now

    def _mark_lost(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            if id_ in self._runs:
                run, log = self._runs[id_]
                log.mark_lost()
                run.cancel("shutdown")

    async def _sweep(self) -> None:
        """Queue abandoned runs, and delete expired responses."""
        next_expiry = 0.0
        while True:
            try:
                await self._queue.requeue(await self._store.abandoned(self._agents))
                if time.monotonic() >= next_expiry:
                    deleted = await self._store.sweep()
                    next_expiry = time.monotonic() + (0 if deleted >= SWEEP else EXPIRY_SECONDS)
            except StoreUnavailable:
                logger.debug("The store does not answer; the sweep is repeated later.")
            except Exception:
                logger.exception("The sweep failed; it is repeated later.")
            await asyncio.sleep(self._timeouts.rescue)


async def _pull(run: Run, log: Log) -> bytes:
    """Pull a run into its log; return the lines of its end, which are written with its status."""
    last = b""

    async def deliver() -> None:
        nonlocal last
        batch = run.take()
        if run.ended:
            last = batch
            return
        log.add(batch)
        await log.room()
        if log.lost:
            run.cancel("shutdown")

    await run.pull(deliver)
    return last


def _ending(attempt: Attempt, record: Record) -> Ending:
    response, error = attempt.lifecycle.response, attempt.run.error
    failure = None
    if error is not None:
        failure = Failure(status=error.status, error=error.payload(), headers=error.headers)
    record.status, record.response = response.status, attempt.lifecycle.encode()
    return Ending(
        status=response.status,
        response=record.response,
        item_ids=output_ids(response.output) if record.visible else (),
        approvals=approvals_in(response.output) if record.visible else (),
        state=attempt.run.state_to_save,
        started=record.attempt > 1 or (attempt.run.started and not attempt.fails),
        failure=None if failure is None else codec.encode(failure),
        addition=addition_of(attempt.run, record),
    )
