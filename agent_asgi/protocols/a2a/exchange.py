"""`Exchange` and `TaskRun`: one run of a task, answered with the task or with its updates."""

from collections.abc import Sequence

from starlette.responses import Response as HttpResponse

from ...context import RunMode
from ...http.sse import STREAM_HEADERS
from ...schema import codec
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ...store.base import Record
from ...store.delivery_store import Subscription
from ..answer import log_request
from ..base import Protocol
from ..detached import Detached, Key
from ..prepare import prepare
from .binding import Binding
from .call import Call
from .encoder import TaskEncoder, encode_frame
from .errors import TaskNotFound
from .schema import StreamResponse
from .task import TaskView, Turn


class Exchange(Protocol):
    """The protocol of one request: its encoder knows the binding and the turns before.

    Args:
        binding: The client's binding.
        earlier: The task's turns before the run. Default none.
        history_length: How many messages of the task's history are returned. Default None: all.
    """

    name = "A2A"
    paths = ()
    own_tools = "hidden"

    def __init__(
        self, binding: Binding, earlier: Sequence[Turn] = (), history_length: int | None = None
    ) -> None:
        self._binding = binding
        self._earlier = earlier
        self._history_length = history_length

    def encoder(self, request: ResponsesRequest, response: Response) -> TaskEncoder:
        task = TaskView([*self._earlier, Turn(request, response)])
        return TaskEncoder(self._binding, task, self._history_length)


class TaskRun(Detached):
    """Begins a run of a task, and answers with the task.

    Args:
        call: The call.
        exchange: Its protocol.
        waits: Whether an answer that is no stream waits for the end of the run. Default True.

    Attributes:
        subscription: Who is notified of the task that begins with the run; None for nobody.
    """

    def __init__(self, call: Call, exchange: Exchange, *, waits: bool = True) -> None:
        super().__init__(call.runtime, exchange, call.request)
        self._call = call
        self._waits = waits
        self.subscription: Subscription | None = None

    async def start(self, decoded: ResponsesRequest, key: Key | None) -> None:
        """Begin the run of a request, and answer.

        Raises:
            AgentError: The request is refused; no handler has started.
        """
        call, request = self._call, self._request
        mode: RunMode = "stream" if decoded.stream else "json"
        run, _ = await prepare(
            call.runtime, call.router, decoded, self._protocol, request.scope, request.headers, mode
        )
        log_request(run, request)
        await self.begin(run, key)

    def complete(self, record: Record) -> None:
        if self.subscription is not None:
            self.subscription.response_id = record.id
            record.subscriptions = (self.subscription,)

    async def follow(self, record: Record, task: TaskView) -> None:
        """Answer with a stream of a task that has not ended.

        Args:
            record: Its last run.
            task: The task.
        """
        request = self._request
        if record.active:
            response: HttpResponse = self.stream(record, -1, task.last.request)
        else:
            frame = encode_frame(self._call.binding, StreamResponse(task.task()))
            body = codec.on_one_line(frame)
            response = HttpResponse(body, media_type="text/event-stream", headers=STREAM_HEADERS)
        await response(request.scope, request.receive, request.send)

    async def _answer(self, record: Record, decoded: ResponsesRequest) -> None:
        request, runtime = self._request, self._runtime
        if decoded.stream:
            response: HttpResponse = self.stream(record, -1, decoded)
        else:
            ended: Record | None = record
            if self._waits:
                ended = await runtime.reader.wait_for_end(record)
            if ended is None:
                raise TaskNotFound(record.id)
            response = self._body(ended, decoded)
            response.headers["content-type"] = self._call.binding.media_type
        await response(request.scope, request.receive, request.send)
