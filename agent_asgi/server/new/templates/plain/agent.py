"""An agent in plain Python, with a tool: agent-asgi dev agent.py"""

import re
from collections.abc import AsyncIterator

from agent_asgi import (
    AgentApp,
    AgentRouter,
    FunctionCall,
    FunctionCallOutput,
    Output,
    ResponsesRequest,
)

QUESTION = re.compile(r"\b(\w)(?:'?s)? .*\bin (\w+)")

router = AgentRouter("my-agent", description="Counts letters")


def count_letter(word: str, letter: str) -> int:
    """Return how often a letter occurs in a word."""
    return word.lower().count(letter.lower())


@router.stream
async def answer(request: ResponsesRequest) -> AsyncIterator[Output]:
    """Answer the newest message; a model would get `request.messages`."""
    question = QUESTION.search(request.input_text)
    if question is None:
        yield "Ask me, for example: How many r in strawberry?"
        return
    letter, word = question.groups()
    call = FunctionCall("count_letter", {"word": word, "letter": letter})
    yield call
    count = count_letter(word, letter)
    yield FunctionCallOutput(call.call_id, str(count))
    for piece in (f"There are {count} ", f"{letter} ", f"in {word}."):
        yield piece


app = AgentApp(router)
