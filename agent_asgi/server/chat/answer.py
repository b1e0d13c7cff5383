"""One answer: shows its events on the screen, and keeps what they ask of the user."""

import json
from collections.abc import Callable
from typing import Any

from .client import Event
from .screen import CYAN, DIM, RED, Screen

LONGEST = 1000
"""Characters of arguments or of an output that are shown; `/raw` shows all."""


class Answer:
    """Shows the events of a streamed response.

    Attributes:
        response: The response in its first or last event so far; empty before.
        failure: What went wrong; None if nothing did.
        approvals: The approval requests, by their ids.
        calls: The function calls without an output, by their `call_id`.
    """

    def __init__(self, screen: Screen) -> None:
        self.response: dict[str, Any] = {}
        self.failure: str | None = None
        self.approvals: dict[str, Event] = {}
        self.calls: dict[str, Event] = {}
        self._screen = screen
        self._names: dict[str, str] = {}
        """The own tools whose call is not shown yet, by the ids of their items."""

    @property
    def ended(self) -> bool:
        """Whether the last event has come."""
        return self.response.get("status") not in (None, "queued", "in_progress")

    def show(self, event: Event) -> None:
        """Show one event, if it has something for the user."""
        rule = _RULES.get(event.get("type", ""))
        if rule is not None:
            rule(self, event)

    def _text(self, event: Event) -> None:
        self._screen.write(event["delta"])

    def _reasoning(self, event: Event) -> None:
        self._screen.write(event["delta"], DIM)

    def _added(self, event: Event) -> None:
        self._screen.end_line()
        item = event["item"]
        if item["type"] == "mcp_call":
            self._names[item["id"]] = item["name"]

    def _called(self, event: Event) -> None:
        self._call(event["item_id"], event["arguments"])

    def _done(self, event: Event) -> None:
        item = event["item"]
        kind = item["type"]
        if kind == "message":
            self._citations(item)
        elif kind == "mcp_call":
            self._call(item["id"], item["arguments"])
            self._output(item["name"], item.get("error") or item.get("output"))
        elif kind == "function_call":
            self.calls[item["call_id"]] = item
            self._screen.line(call_text(item["name"], item["arguments"]), CYAN)
        elif kind == "function_call_output":
            call = self.calls.pop(item["call_id"], {"name": "output"})
            self._output(call["name"], item["output"])
        elif kind == "mcp_approval_request":
            self.approvals[item["id"]] = item
        elif kind != "reasoning":
            self._screen.line(shortened(json.dumps(item, ensure_ascii=False)), DIM)

    def _call(self, id_: str, arguments: str) -> None:
        if id_ in self._names:
            self._screen.line(call_text(self._names.pop(id_), arguments), CYAN)

    def _output(self, name: str, output: Any) -> None:
        if isinstance(output, dict):
            parts = output.get("content") or [output]
            text = " ".join(part.get("text") or json.dumps(part) for part in parts)
            self._screen.line(shortened(f"{name} failed: {text}"), RED)
        elif output is not None:
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            self._screen.line(shortened(f"{name} = {text}"), DIM)

    def _citations(self, message: Event) -> None:
        notes = [note for part in message["content"] for note in part.get("annotations", ())]
        for note in notes:
            if "url" in note:
                self._screen.line(f"[{note.get('title') or 'source'}] {note['url']}", DIM)

    def _state(self, event: Event) -> None:
        self.response = response = event["response"]
        self._screen.end_line()
        if response.get("error"):
            self._fail(response["error"])
        elif reason := (response.get("incomplete_details") or {}).get("reason"):
            self._screen.line(f"(incomplete: {reason})", DIM)

    def _error(self, event: Event) -> None:
        self._fail(event.get("error") or event)

    def _fail(self, error: Event) -> None:
        if self.failure is None:  # `response.failed` repeats the `error` event
            self.failure = f"{error['message']} ({error['code']})"


_RULES: dict[str, Callable[[Answer, Event], None]] = {
    "response.created": Answer._state,
    "response.output_item.added": Answer._added,
    "response.output_item.done": Answer._done,
    "response.output_text.delta": Answer._text,
    "response.refusal.delta": Answer._text,
    "response.reasoning_summary_text.delta": Answer._reasoning,
    "response.reasoning_text.delta": Answer._reasoning,
    "response.mcp_call_arguments.done": Answer._called,
    "response.completed": Answer._state,
    "response.incomplete": Answer._state,
    "response.failed": Answer._state,
    "error": Answer._error,
}


def call_text(name: str, arguments: str) -> str:
    """Return a call as a line: the tool's name and its arguments."""
    return shortened(one_line(f"{name}({arguments})"))


def one_line(text: str) -> str:
    """Return text with its line breaks escaped, which could look like the program's own lines."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def shortened(text: str) -> str:
    """Return the text, cut where it is too long to be read."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
