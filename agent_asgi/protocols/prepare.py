"""Turn a decoded request into a run: load its history, bind its handler, lock its conversation."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

from starlette.types import Scope

from ..agents.handler import PREPARE, Handler
from ..agents.router import AgentRouter
from ..context import Headers, RunMode
from ..errors import InvalidRequest
from ..events.lifecycle import Lifecycle
from ..events.own_calls import PAIRS, OwnTools
from ..events.tool_choice import ToolChoice
from ..http.auth import check_scopes
from ..http.connection import while_connected
from ..http.endpoint import owner_of
from ..runs.conversation import RunConversation, check_name, conversation_id, conversation_of
from ..runs.engine import Engine
from ..runs.run import Run
from ..runtime import Runtime
from ..schema.ids import random_text
from ..schema.requests import ConversationRef, ResponsesRequest
from ..schema.responses import Response, echo
from ..store.approvals import Answers, continuing, find_answers, saved_state
from ..store.base import StoreUnavailable
from ..store.chain import continued
from ..store.history import (
    check_calls,
    only_messages,
    refers,
    with_own_calls,
)
from .base import Encoder, Protocol

Recall = Callable[[ResponsesRequest], Awaitable[ResponsesRequest | None]]
"""Returns a request with its history, if the history is known without the store."""


async def prepare(
    runtime: Runtime,
    router: AgentRouter,
    request: ResponsesRequest,
    protocol: Protocol,
    scope: Scope,
    headers: Headers,
    mode: RunMode,
    *,
    handler: Handler | None = None,
    recall: Recall | None = None,
) -> tuple[Run, Encoder]:
    """Check a request, load its history, and return its run and the encoder of the answer.

    Args:
        runtime: The app's runtime.
        router: The agent.
        request: The decoded request.
        protocol: The protocol of the client.
        scope: The connection.
        headers: The request's headers.
        mode: How the run is answered.
        handler: The handler. Default: the router's invoke or stream handler, whose calls have to
            satisfy the request's `tool_choice`.
        recall: Asked for the history before the store. Default None.

    Raises:
        AgentError: The request is invalid, or the caller may not run the agent, or not now; no
            handler has started.
    """
    owner, engine = owner_of(scope), runtime.engine
    check_scopes(scope, router.scopes)
    if engine.quotas is not None:
        engine.quotas.check(owner, holds=not request.background)
    linked, answers, conversation = not only_messages(request), None, None
    may_answer = handler is None
    handler, choice, tools = _handler_for(engine, router, request, handler)
    if linked:
        agent = router.name if may_answer else None
        request, answers = await _linked(runtime, request, owner, agent)
    if request.conversation is not None:
        check_name(request)
        has_history = protocol.sends_history(request)
        conversation = conversation_of(engine, request, owner, has_history=has_history)
    continues = request.previous_response_id is not None
    full = request
    if continues or (linked and conversation is None and refers(request)):
        full = await _with_history(runtime, request, owner, recall)
    if answers is not None and conversation is None:
        answers.check(full)
    response = echo(full, "resp_" + random_text(), router.name)
    encoder = protocol.encoder(full, response)
    run = Run(
        engine,
        router,
        handler,
        handler.value(full) if full is request else await handler.value_of(full),
        full.received,
        Lifecycle(response, None if mode == "json" else encoder, choice, tools, protocol.own_tools),
        mode,
        owner,
        headers,
        full,
        response.id,
        runtime.state_for(scope),
    )
    response.created_at = int(run.created_at)
    if linked:
        _check_calls(protocol, run)
    if answers is not None:
        run.answers = answers
        run.saved_state = await saved_state(runtime.store, answers)
    if request.conversation is not None:
        queue = engine.limits.conversation_queue
        run.conversation_queue = protocol.conversation_queue if queue is None else queue
    if conversation is not None:
        _join(run, response, conversation)
    return run, encoder


def _join(run: Run, response: Response, conversation: RunConversation) -> None:
    """Make a run part of a conversation."""
    conversation.answers = run.answers
    run.conversation = conversation
    response.conversation = ConversationRef(id=conversation.id)


def _handler_for(
    engine: Engine, router: AgentRouter, request: ResponsesRequest, given: Handler | None
) -> tuple[Handler, ToolChoice | None, OwnTools]:
    if given is not None or request.only_prepares:
        return given or PREPARE, None, PAIRS
    handler, choice = router.handler_for(bool(request.stream)), None
    if request.tools:
        choice = ToolChoice(request)
        choice.check_possible()
    return handler, choice, engine.own_tools[router.name]


async def _linked(
    runtime: Runtime, request: ResponsesRequest, owner: str, agent: str | None
) -> tuple[ResponsesRequest, Answers | None]:
    """Return a request with what its items lead to, and the answers for an agent in it."""
    answers = None
    if agent is not None:
        answers = await find_answers(runtime.store, request, owner, agent)
    if answers is not None and answers.new:
        if request.only_prepares:
            path = f"input[{min(answers.new)}].approval_request_id"
            raise InvalidRequest(
                f"{path}: an approval request cannot be answered without a run. "
                "Send the answer without `generate: false`.",
                path,
            )
        request = continuing(request, answers)
    return with_own_calls(request, runtime.engine.own_tools), answers


def _check_calls(protocol: Protocol, run: Run) -> None:
    """Check that a function's output in a request that continues nothing answers a call."""
    request = run.request
    if protocol.answers_calls and request.previous_response_id is None and run.session_id is None:
        check_calls(request)


async def _with_history(
    runtime: Runtime, request: ResponsesRequest, owner: str, recall: Recall | None
) -> ResponsesRequest:
    full = None if recall is None else await recall(request)
    if full is None:
        limits, any_id = runtime.engine.limits, runtime.engine.knows_user(owner)
        full = await continued(runtime.store, request, owner, limits, any_id=any_id)
    return full


async def reserve(runtime: Runtime, run: Run) -> None:
    """Lock the run's conversation and claim the approval requests that it answers.

    Call `release` afterwards, also if this fails.

    Raises:
        Conflict: Another run is active in the conversation.
        InvalidRequest: An approval request has been answered, or see `lock`.
    """
    if run.request.conversation is not None:
        await lock(runtime, run)
    claim = None if run.answers is None else run.answers.claim()
    if claim is not None:
        await runtime.store.claim_approvals(claim, run.response_id)


async def release(runtime: Runtime, run: Run) -> None:
    """Unlock the run's conversation; open its approval requests if no handler was called."""
    if run.answers is not None and not run.started:
        with contextlib.suppress(StoreUnavailable):
            await runtime.store.release_approvals(run.response_id)
    await unlock(runtime, run)


async def unlock(runtime: Runtime, run: Run) -> None:
    """Unlock the run's conversation, if it has locked it, and let the next one begin."""
    name = conversation_id(run.request)
    if name is not None:
        await runtime.locks.unlock(run.response_id)
        await runtime.executor.wake(name, run.owner)


async def lock(runtime: Runtime, run: Run) -> None:
    """Lock the run's conversation, if it has one, and load it; `locks.unlock` unlocks it.

    A run that has to wait for its turn waits here, without its place among `Limits.max_runs`,
    except a background run, which the store keeps in its place.

    Raises:
        Conflict: Another run is active in it, and no more runs may wait.
        TooManyQueued: Too many runs wait, in all conversations.
        Unavailable: The server is shutting down.
        ClientGone: The client left while its run waited.
        InvalidRequest: It does not exist, is too large, or does not fit the request.
    """
    name = conversation_id(run.request)
    if name is None:
        return
    locks, place = runtime.locks, (name, run.owner, run.response_id)
    queued = not await locks.lock(*place)
    if queued:
        most_in_all = runtime.engine.limits.max_queued
        await locks.queue(*place, run.conversation_queue, most_in_all)
    try:
        if queued and not run.request.background:
            turn = locks.turn(*place, runtime.admission.check)
            with runtime.engine.limiters[run.agent].outside():
                await (turn if run.receive is None else while_connected(run.receive, turn))
        await load(runtime, run)
    except BaseException:
        await unlock(runtime, run)
        raise


async def load(runtime: Runtime, run: Run) -> None:
    """Load the run's conversation, if it has one that remembers.

    Raises:
        InvalidRequest: It does not exist, is too large, or does not fit the request.
    """
    if run.conversation is None:
        return
    limits = runtime.engine.limits
    request = await run.conversation.load(runtime.store, run.request, run.owner, limits)
    lifecycle_of(run).avoid(run.conversation.ids)
    if request is not run.request:
        run.request, run.inputs = request, request.received
        run.value = await run.handler.value_of(request)


def lifecycle_of(run: Run) -> Lifecycle:
    """Return the output of a run that `prepare` returned."""
    return cast(Lifecycle, run.output)
