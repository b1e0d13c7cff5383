"""Convert a run to what a store keeps of it."""

from ..baggage import MAX_BYTES
from ..schema import codec
from ..schema.requests import decoded_input
from ..schema.responses import Response
from ..store.approvals import approvals_in
from ..store.base import Record
from ..store.caller import Caller
from ..store.conversation_store import Addition
from ..store.history import input_ids, output_ids
from .run import Run

PROPAGATED = ("traceparent", "baggage")
"""Headers that every attempt of a run has, since its trace and its handler follow the caller."""


def record_of(run: Run, response: Response, encoded: bytes) -> Record:
    """Return a run's record.

    Args:
        run: The run.
        response: The response so far.
        encoded: The response as JSON.
    """
    request = run.request
    visible = request.store is not False
    items = decoded_input(request)
    new_items = 1 if isinstance(items, str) else len(items)
    return Record(
        run.response_id,
        run.owner,
        run.agent,
        response.status,
        run.created_at,
        request.raw or b"",
        encoded,
        0.0,
        request.previous_response_id,
        bool(request.background),
        visible,
        (),
        approvals_in(response.output) if visible else (),
        run.state_to_save,
        None if run.answers is None else run.answers.claim(),
        items=new_items + len(response.output),
        conversation=None if run.conversation is None else run.conversation.id,
    )


def item_ids_of(run: Run, response: Response) -> tuple[str, ...]:
    """Return the ids of a run's input items and of its output items so far, for the index."""
    if run.request.store is False:
        return ()
    return (*input_ids(run.request, run.response_id), *output_ids(response.output))


def caller_of(run: Run) -> bytes:
    """Return what a detached run needs of its request besides the body, as JSON."""
    headers = {name: run.headers.get(name, "") for name in PROPAGATED}
    headers = {name: value for name, value in headers.items() if 0 < len(value) <= MAX_BYTES}
    kept = run.router.keep_headers
    headers |= {name: run.headers[name] for name in kept if name in run.headers}
    caller = Caller(
        session_id=run.session_id,
        user=run.user,
        request_id=run.request_id,
        headers=headers,
        wants_trace=run.wants_trace,
        has_history=run.conversation is not None and run.conversation.has_history,
        own_tools=run.router.own_tools,
    )
    return codec.encode(caller)


def addition_of(run: Run, record: Record) -> Addition | None:
    """Return what a run that has ended adds to its conversation; None if it adds nothing."""
    ended_well = record.status in ("completed", "incomplete")
    if run.conversation is None or not ended_well or not record.visible:
        return None
    return run.conversation.addition(record.id, record.request, record.response)
