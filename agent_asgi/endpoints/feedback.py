"""`POST /feedback`: a user's rating of a response, stored as an assessment on its trace."""

from ..errors import NotFound
from ..http.endpoint import Endpoint, HttpRequest, owner_of
from ..http.responses import json_response
from ..runtime import AppConfig
from ..schema import codec
from ..schema.requests import FeedbackRequest
from ..tracing.feedback import Feedback as Assessment


class Feedback(Endpoint):
    """Stores ratings as MLflow assessments.

    Args:
        config: The app.
    """

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config.limits, config.timeouts)
        self._config = config

    async def answer(self, request: HttpRequest) -> None:
        """Store the rating.

        Raises:
            NotFound: The user has no such response, or the response has no such trace.
            NotSupported: Tracing is off, or nothing takes feedback.
            Unavailable: The store or MLflow does not answer.
        """
        runtime, owner = await self._config.running(), owner_of(request.scope)
        body = codec.decode_object(request.body)
        feedback: FeedbackRequest = codec.convert(body, FeedbackRequest)
        response_id, trace_id = feedback.response_id, feedback.trace_id
        record = await runtime.store.get(response_id, owner)
        if record is None or not record.visible:
            message = f"There is no response {response_id!r}."
            raise NotFound(message, "response_not_found", "response_id")
        id_ = await runtime.tracer.keep_feedback(
            Assessment(
                trace_id, response_id, feedback.value, feedback.comment, owner or "anonymous"
            )
        )
        if id_ is None:
            message = f"The response has no trace {trace_id!r}."
            raise NotFound(message, "trace_not_found", "trace_id")
        ids = {"object": "feedback", "id": id_, "response_id": response_id, "trace_id": trace_id}
        response = json_response(codec.encode(ids | {"value": feedback.value}))
        await response(request.scope, request.receive, request.send)
