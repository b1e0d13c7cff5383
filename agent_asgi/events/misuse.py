"""Warnings about outputs that are accepted but probably unintended, once for each agent."""

import logging
from functools import lru_cache

logger = logging.getLogger("agent_asgi")


@lru_cache(256)
def warn_of_unknown_call(agent: str) -> None:
    """Log that an output belongs to no call of its run."""
    logger.warning(
        "Agent %r yielded a FunctionCallOutput whose call_id belongs to no FunctionCall of the "
        "run. Clients cannot tell which call it answers: yield the FunctionCall first.",
        agent,
    )


@lru_cache(256)
def warn_of_text_after_approval(agent: str) -> None:
    """Log that a handler yielded text after it had asked for approval."""
    logger.warning(
        "Agent %r yielded text after an ApprovalRequest. The run does not wait for the answer: "
        "return after the request; the next request has the answer in `context.approvals`.",
        agent,
    )
