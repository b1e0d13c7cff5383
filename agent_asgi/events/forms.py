"""The forms of an item: as it is added, and as it is done."""

from ..schema.events import Item
from .coerce import BUILT, CALLS, ENDED, MARKS, WITH_STATUS

_EMPTY: dict[str, Item] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    **{kind: {name: ""} for kind, name in CALLS.items()},
}
"""The contents of an item that has just been added."""
_STREAMED_FIELDS = frozenset({"id", "type", "status", "call_id"}) | MARKS
_FIXED = {
    "message": _STREAMED_FIELDS | {"content"},
    "reasoning": _STREAMED_FIELDS | {"summary", "content"},
    **{kind: _STREAMED_FIELDS | {name} for kind, name in CALLS.items()},
}
"""The fields that keep their streamed value, whatever the finished item says."""


def added_form(fields: Item, id: str) -> Item:
    """Return an item as it begins: without contents, or unchanged if it is passed through.

    Args:
        fields: The item as the handler reported it.
        id: Its id in this stream.
    """
    kind = fields["type"]
    if kind not in BUILT:
        return fields | {"id": id}
    added = {"type": kind, **fields, "id": id, **_EMPTY.get(kind, {})}
    if kind in WITH_STATUS or "status" in fields:
        added["status"] = "in_progress"
    if kind == "reasoning":
        added.pop("content", None)
    for name in MARKS & added.keys():
        del added[name]
    return added


def done_form(streamed: Item, fields: Item | None, status: str) -> Item:
    """Return an item as it ends; one that is passed through as the handler reported it.

    Args:
        streamed: The item with its content so far.
        fields: Its finished form, as the handler reported it; None if it reported none.
        status: The status with which it ends.
    """
    kind = streamed["type"]
    if kind not in BUILT:
        return _passed(streamed, fields, status)
    reported = fields or {}
    fixed = _FIXED.get(kind, _STREAMED_FIELDS)
    done = streamed | {name: value for name, value in reported.items() if name not in fixed}
    if kind in WITH_STATUS or "status" in streamed or "status" in reported:
        done["status"] = status
    return done


def _passed(streamed: Item, fields: Item | None, status: str) -> Item:
    if fields is None:
        return streamed if streamed.get("status") in ENDED else streamed | {"status": status}
    done = fields | {"id": streamed["id"]}
    if "call_id" in fields and streamed.get("call_id") is not None:
        done["call_id"] = streamed["call_id"]
    return done
