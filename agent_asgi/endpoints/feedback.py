"""`POST /feedback`: what a person thinks of a response, kept on its trace."""

from .. import codec
from ..errors import NotFound
from ..schema.requests import FeedbackRequest
from ..tracing.feedback import Feedback as Opinion
from .answers import json_response
from .base import Endpoint, Incoming

ANYBODY = "anonymous"
"""Who says so where nobody is asked who it is."""


class Feedback(Endpoint):
    """Has MLflow keep the opinion as an assessment."""

    async def answer(self, incoming: Incoming) -> None:
        """Answer a request that has arrived whole.

        Raises:
            NotFound: There is no such response of the caller's, or no such trace of the response.
            NotSupported: Tracing is off.
            Unavailable: The store or MLflow does not answer.
        """
        live, owner = incoming.live, incoming.owner
        given: FeedbackRequest = codec.convert(codec.decode_object(incoming.body), FeedbackRequest)
        record = await live.store.get(given.response_id, owner)
        if record is None or not record.visible:
            told = f"There is no response {given.response_id!r}."
            raise NotFound(told, "response_not_found", "response_id")
        opinion = Opinion(
            given.trace_id, given.response_id, given.value, given.comment, owner or ANYBODY
        )
        id_ = await live.tracer.keep_feedback(opinion)
        if id_ is None:
            told = f"The response has no trace {given.trace_id!r}."
            raise NotFound(told, "trace_not_found", "trace_id")
        kept = {
            "object": "feedback",
            "id": id_,
            "response_id": given.response_id,
            "trace_id": given.trace_id,
            "value": given.value,
        }
        response = json_response(codec.encode(kept))
        await response(incoming.scope, incoming.receive, incoming.send)
