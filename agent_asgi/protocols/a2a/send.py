"""`SendMessage` and `SendStreamingMessage`: begin a task, or answer what one waits for."""

import time

from ...errors import AgentError, Conflict, InvalidRequest
from ...runs.conversation import RANDOM
from ...schema import codec
from ...schema.ids import random_text
from ...store.conversation_store import Conversation
from ..detached import Key
from .answers import answer_items
from .call import Call
from .errors import A2AError, PushNotSupported
from .exchange import Exchange, TaskRun
from .push import in_message, subscribe
from .request import check_message, run_request, user_item
from .schema import SendMessageConfiguration, SendMessageRequest
from .stored import StoredTask, key_of
from .task import TaskView


async def send_message(call: Call) -> None:
    """Answer with the task when it has ended or waits for an answer, or at once if asked to."""
    await _send(call, stream=False)


async def send_streaming_message(call: Call) -> None:
    """Answer with a stream of the task and its updates."""
    await _send(call, stream=True)


async def _send(call: Call, *, stream: bool) -> None:
    send: SendMessageRequest = call.params
    check_message(send.message)
    options = send.configuration or SendMessageConfiguration()
    config, subscription = options.task_push_notification_config, None
    if config is not None:
        if not call.push_hosts:
            raise PushNotSupported
        subscription = in_message(config, call.push_hosts)
    task = await call.task(send.message.task_id) if send.message.task_id else None
    earlier = () if task is None else task.view.turns
    exchange = Exchange(call.binding, earlier, options.history_length)
    run = TaskRun(call, exchange, waits=not options.return_immediately)
    run.subscription = subscription
    if task is None:
        await _begin(call, send, run, stream=stream)
    else:
        await _continue(call, send, run, task, stream=stream)


async def _begin(call: Call, send: SendMessageRequest, run: TaskRun, *, stream: bool) -> None:
    """Begin a task, in a new conversation if the message names none."""
    context_id = send.message.context_id or ""
    created = "" if context_id else RANDOM + random_text()
    items = [user_item(send.message.parts)]
    decoded = run_request(send, items, stream=stream, conversation=context_id or created)
    name = call.request.headers.first(b"idempotency-key")
    key = None if name is None else Key.of(name, call.router, codec.encode(send))
    if key is not None and await run.again(key, decoded):
        return
    conversations = call.store.conversations
    if created:
        await conversations.create(Conversation(created, call.owner, time.time()))
    try:
        await run.start(decoded, key)
    except AgentError as error:
        if created and error.status < 500:  # nothing has begun
            await conversations.delete(created, call.owner)
        raise


async def _continue(
    call: Call, send: SendMessageRequest, run: TaskRun, task: StoredTask, *, stream: bool
) -> None:
    """Answer what a task waits for."""
    view, context_id = task.view, send.message.context_id
    if context_id and context_id != view.context_id:
        path = "message.contextId"
        raise InvalidRequest(f"{path}: the task belongs to {view.context_id!r}.", path)
    waiting = view.last.waiting
    if not waiting:
        problem = "is running" if task.record.active else "has ended"
        message = f"Task {view.id!r} {problem}. Send a message without `taskId` to begin another."
        raise A2AError("UNSUPPORTED_OPERATION", message)
    items = answer_items(send.message, waiting)
    decoded = run_request(send, items, stream=stream, **_continued(view))
    key = Key.of(key_of(view.id, len(view.turns)), call.router, codec.encode(send))
    if run.subscription is not None:
        await subscribe(call, run.subscription, view.id)
        run.subscription = None  # the run that begins is not the task's first
    try:
        await run.start(decoded, key)
    except Conflict as error:
        if error.code != "idempotency_key_reused":
            raise
        message = f"Task {view.id!r} has just been answered."
        raise A2AError("UNSUPPORTED_OPERATION", message) from error


def _continued(view: TaskView) -> dict[str, str | None]:
    """Return the fields that lead to what a task's next run continues."""
    last = view.last.response
    if last.conversation:  # it remembers
        return {"conversation": last.conversation.id}
    name = None if view.context_id == view.id else view.context_id
    return {"previous_response_id": last.id, "conversation": name}
