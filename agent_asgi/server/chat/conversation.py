"""A conversation with an agent: its turns, and the answers to what the agent asks."""

import json
from contextlib import closing
from typing import Any

from .answer import Answer, one_line
from .client import Client, Event, ServerError
from .screen import RED, Hidden, Screen

YES, NO = ("y", "yes"), ("n", "no")


class Conversation:
    """Talks to one agent; each turn continues the response before it.

    Args:
        client: The server.
        screen: The terminal.
        agent: The agent's name.

    Attributes:
        raw: Whether events are shown as JSON.
        failed: Whether the last turn failed.
    """

    def __init__(self, client: Client, screen: Screen, agent: str) -> None:
        self.agent = agent
        self.raw = False
        self.failed = False
        self._client = client
        self._screen = screen
        self._previous: str | None = None

    def restart(self, agent: str) -> None:
        """Begin a new conversation, with this or another agent."""
        self.agent = agent
        self._previous = None

    def say(self, text: str) -> None:
        """Send a message; show the answer, and answer what it asks until nothing is open.

        Raises:
            KeyboardInterrupt: The user stopped it. The conversation continues from before.
            EOFError: The agent asks, and there is no more input.
        """
        content: Any = text
        while content:
            answer = self._run(content)
            self.failed = answer.failure is not None
            if answer.failure is not None:
                self._screen.line(f"Error: {answer.failure}", RED)
                return
            content = [*self._approvals(answer), *self._outputs(answer)]

    def _run(self, content: Any) -> Answer:
        """Run one turn."""
        body = {"model": self.agent, "input": content}
        if self._previous is not None:
            body["previous_response_id"] = self._previous
        answer = Answer(Hidden() if self.raw else self._screen)
        try:
            with closing(self._client.stream(body)) as events:
                for event in events:
                    answer.show(event)
                    if self.raw:
                        self._screen.line(json.dumps(event, ensure_ascii=False))
        except ServerError as error:
            answer.failure = answer.failure or str(error)
        if not answer.ended:
            answer.failure = answer.failure or "The answer broke off."
        if answer.failure is None:
            self._previous = answer.response["id"]
        return answer

    def _approvals(self, answer: Answer) -> list[Event]:
        """Ask whether each tool may run."""
        answers = []
        for id_, request in answer.approvals.items():
            # whole, since a person answers for it
            self._screen.line(one_line(f"Run {request['name']}({request['arguments']})?"))
            decision = self._read("y, n, or a reason against it: ")
            answers.append(
                {
                    "type": "mcp_approval_response",
                    "approval_request_id": id_,
                    "approve": decision.lower() in YES,
                    **({} if decision.lower() in YES + NO else {"reason": decision}),
                }
            )
        return answers

    def _outputs(self, answer: Answer) -> list[Event]:
        """Ask for the output of each function that the client is to execute."""
        outputs = []
        for id_, call in answer.calls.items():
            output = self._read(one_line(f"Output of {call['name']}, as JSON or text: "))
            outputs.append({"type": "function_call_output", "call_id": id_, "output": output})
        return outputs

    def _read(self, prompt: str) -> str:
        """Return the next line that is not empty."""
        while not (line := self._screen.read(prompt).strip()):
            pass
        return line
