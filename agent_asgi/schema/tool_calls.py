"""Function calls without an output, which a run leaves behind if it is stopped during a tool."""

from collections.abc import Sequence

from .items import FunctionCall, FunctionCallOutput, InputItem

INTERRUPTED = "The call was interrupted: it has no result."
NO_ANSWER = "No answer was given."
"""The model's output of a call that was neither approved nor rejected."""


def answered(items: Sequence[InputItem]) -> list[InputItem]:
    """Return a conversation in which each call has an output, as models require.

    A call that waited for approval and was then made again is left out.

    Args:
        items: The conversation.

    Returns:
        The items, with an output that says "interrupted" after each call without one.
    """
    result: list[InputItem] = []
    outputs: set[str] = set()
    again = made_again(items)
    for number in reversed(range(len(items))):
        item = items[number]
        if number in again:
            continue
        if isinstance(item, FunctionCallOutput):
            outputs.add(item.call_id)
        elif isinstance(item, FunctionCall) and item.call_id in outputs:
            outputs.remove(item.call_id)
        elif isinstance(item, FunctionCall):
            result.append(FunctionCallOutput(call_id=item.call_id, output=INTERRUPTED))
        result.append(item)
    return result[::-1]


def made_again(items: Sequence[InputItem]) -> set[int]:
    """Return the indexes of calls without an output that were made again after an approval."""
    outputs: set[str] = set()
    called: set[str] = set()
    indexes: set[int] = set()
    for number in reversed(range(len(items))):
        item = items[number]
        if isinstance(item, FunctionCallOutput):
            outputs.add(item.call_id)
        elif isinstance(item, FunctionCall) and item.call_id in outputs:
            outputs.remove(item.call_id)
            called.add(item.call_id)
        elif isinstance(item, FunctionCall) and item.call_id in called:
            indexes.add(number)
    return indexes
