"""schemathesis on the OpenAPI document: valid and invalid requests to a real uvicorn.

`python -m tests.tools.fuzz.over_openapi` sends the few of the test suite.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis import Case, CheckFunction, GenerationMode, Response
from schemathesis.config import GenerationConfig
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.support.servers import Server
from tests.tools.fuzz import agents
from tests.tools.fuzz.harness import watched

FROM_STATE = (
    *("item_not_found", "previous_response_not_found", "tool_choice"),
    *("conversation", "conversation.id", "after", "message.contextId"),
    "unsupported_operation",
)
"""The codes and params of 400s that depend on more than the shape of the body."""
OF_PUSH = ("url", "token", "authentication.scheme", "authentication.credentials")
"""The fields of a push notification's configuration that the server's settings and HTTP bound."""
IN_MESSAGE = "configuration.taskPushNotificationConfig."
ANSWERS = ("approval_request_id", "call_id")
"""The fields of items that refer to an item before them."""
WHOLE = ["max_output_tokens", "max_tool_calls", "top_logprobs"]
WHOLE += ["max_tokens", "max_completion_tokens", "n", "historyLength"]
"""Integer fields; 13.0 is an integer in JSON Schema, but the document says not in these."""
STEPS = 8
ATTEMPTS = 5


class Caller:
    """Sends cases, counts them, and checks each answer against the document.

    Args:
        url: The base URL of the app.
    """

    def __init__(self, url: str) -> None:
        self.sent = 0
        self._url = url
        self._deleted: set[str] = set()
        self._session = requests.Session()

    def call(self, case: Case[Any]) -> Response:
        """Send a case."""
        for place in filter(None, (case.body, _configuration(case.body))):
            if isinstance(place, dict):
                _make_whole(place)
        self.sent += 1
        response = case.call(base_url=self._url, session=self._session, timeout=20)
        if case.method == "DELETE" and response.status_code == 200:
            self._deleted.add(str(response.request.url).rpartition("/")[2])
        return response

    def check(self, response: Response, case: Case[Any], **more: Any) -> None:
        """Check an answer against the document.

        Raises:
            AssertionError: The answer does not match the document.
        """
        excluded: list[CheckFunction] = []
        if case.operation.path.endswith(("/a2a", "/mcp")):  # whose bodies say what is wrong
            excluded += [positive_data_acceptance, negative_data_rejection]
        elif response.status_code == 400:
            code, param = _told(response.json()["error"])
            refers = str(param).endswith(ANSWERS)
            bounded = str(param).removeprefix(IN_MESSAGE) in OF_PUSH
            if refers or bounded or code in FROM_STATE or param in FROM_STATE:
                excluded.append(positive_data_acceptance)
        if str(response.request.url).rpartition("/")[2] in self._deleted:  # by another of its paths
            excluded.append(ensure_resource_availability)
        if response.status_code == 413:  # refused for its size, whatever it contains
            excluded.append(negative_data_rejection)
        case.validate_response(response, excluded_checks=excluded, **more)
        assert response.headers.get("x-request-id"), "no request id"
        methods = case.operation.schema.raw_schema["paths"][case.operation.path]
        told = methods.get(case.method.lower(), {"responses": {"405": "a method of nothing"}})
        assert str(response.status_code) in told["responses"], f"{response.status_code}, not told"
        assert response.status_code < 500, response.text


def _make_whole(fields: dict[str, Any]) -> None:
    """Write whole numbers without a fraction."""
    for name in WHOLE:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            fields[name] = int(value)


def _configuration(body: Any) -> Any:
    """Return the part of an A2A message that has integers."""
    return body.get("configuration") if isinstance(body, dict) else None


def _told(error: dict[str, Any]) -> tuple[str, str | None]:
    """Return the code and the field of an error, in OpenAI's form or in A2A's."""
    if "details" not in error:
        return error["code"], error["param"]
    info, *more = error["details"]
    field = more[0]["fieldViolations"][0]["field"] if more else None
    return info["reason"].lower(), field


def run(count: int, *, quick: bool = False) -> dict[str, int]:
    """Send requests; return how many were sent in each phase.

    Args:
        count: How many to send, at least.
        quick: Whether to generate the same ones each time. Default False.

    Raises:
        Exception: An answer does not match the document; schemathesis says which.
    """
    server = Server(agents.make())
    try:
        with watched() as log:
            found = dict(_phases(server.url, count, quick))
        assert not log.faults, log.faults
    finally:
        server.stop()
    return found


def _phases(url: str, count: int, quick: bool) -> Iterator[tuple[str, int]]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations: list[Any] = [each.ok() for each in schema.get_all_operations()]  # type: ignore[union-attr]  # none is invalid
    caller = Caller(url)
    options = settings(
        deadline=None,
        database=None,
        derandomize=quick,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if quick else [Phase.generate, Phase.shrink],
    )
    _links(schema, caller, settings(options, max_examples=max(1, count // 100)))
    yield "links", caller.sent
    for mode in GenerationMode:
        before = caller.sent
        left = (count - caller.sent) // (2 if mode is GenerationMode.POSITIVE else 1)
        asked = [each for each in operations if mode is GenerationMode.POSITIVE or _can_err(each)]
        for number, operation in enumerate(asked):
            share = max(1, (left - caller.sent + before) // (len(asked) - number))
            _fuzz(operation, mode, caller, settings(options, max_examples=share))
        yield f"{mode.value} data", caller.sent - before
    if not quick:
        before = caller.sent
        for operation in operations:
            _cover(operation, caller)
        yield "coverage", caller.sent - before


def _cover(operation: Any, caller: Caller) -> None:
    """Send the values at and beyond each bound of an operation."""
    for mode in GenerationMode:
        config = GenerationConfig(modes=[mode])
        for case in operation.schema.iter_coverage_cases(
            operation, generation_modes=[mode], generation_config=config
        ):
            caller.check(caller.call(case), case)


def _fuzz(operation: Any, mode: GenerationMode, caller: Caller, options: settings) -> None:
    @options
    @given(operation.as_strategy(generation_mode=mode))
    def attempt(case: Case[Any]) -> None:
        caller.check(caller.call(case), case)

    attempt()


def _can_err(operation: Any) -> bool:
    """Return whether a request can be invalid: in a path or a header, any text is valid."""
    return bool(list(operation.body) or list(operation.query))


def _links(schema: Any, caller: Caller, options: settings) -> None:
    """Follow the document's links: create a response, then read, list, cancel or delete it."""

    class Machine(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def call(self, case: Case[Any], **_: Any) -> Response:
            return caller.call(case)

        def validate_response(self, response: Response, case: Case[Any], **_: Any) -> None:
            caller.check(response, case, recorder=self.recorder)

    for _ in range(ATTEMPTS):
        with contextlib.suppress(FlakyStrategyDefinition):  # the server's ids are new each time
            Machine.run(settings=settings(options, stateful_step_count=STEPS))
            return
    raise RuntimeError(f"hypothesis gave up {ATTEMPTS} times")


if __name__ == "__main__":
    print(json.dumps(run(500, quick=True)))  # noqa: T201
