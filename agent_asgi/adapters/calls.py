"""Calls that have no output, as a run leaves them that was stopped in the midst of a tool."""

from ..schema.items import FunctionCall, FunctionCallOutput, InputItem

INTERRUPTED = "The call was interrupted: it has no result."


def settled(items: list[InputItem]) -> list[InputItem]:
    """Give a conversation in which each call has an output; models take no other.

    Args:
        items: The conversation.

    Returns:
        The same; behind a call that no later item answers it is told that it was interrupted.
    """
    given: list[InputItem] = []
    answers: set[str] = set()
    for item in reversed(items):
        if isinstance(item, FunctionCallOutput):
            answers.add(item.call_id)
        elif isinstance(item, FunctionCall) and item.call_id not in answers:
            given.append(FunctionCallOutput(call_id=item.call_id, output=INTERRUPTED))
        elif isinstance(item, FunctionCall):
            answers.remove(item.call_id)
        given.append(item)
    return given[::-1]
