"""A call of a tool: the run of an agent, with progress, and its result."""

import asyncio
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    TextContent,
)
from msgspec import UNSET, Struct, UnsetType

from ...agents.router import AgentRouter
from ...context import Headers
from ...errors import AgentError, InvalidRequest
from ...runs.run import Run
from ...runtime import AppConfig, Runtime
from ...schema import codec
from ...schema.decode import decode_request
from ...schema.requests import ResponsesRequest
from ...schema.responses import Response
from ..json_run import JsonOutput, json_run
from ..prepare import lifecycle_of, prepare, release, reserve
from .content import of_items, of_value, text_block
from .elicitation import answers, ask, can_ask, explain
from .progress import line
from .tools import handler_of

if TYPE_CHECKING:
    from .endpoint import Exchange
    from .protocol import MCP

logger = logging.getLogger("agent_asgi")
TRACE_FIELDS = ("traceparent", "tracestate", "baggage")
"""The members of `_meta` that stand for the headers of these names."""


class Arguments(Struct, kw_only=True, forbid_unknown_fields=True):
    """The arguments of an agent's tool."""

    input: str | UnsetType = UNSET
    """The message to the agent."""
    previous_response_id: str | None = None
    """The response that is continued."""


class ToolOutput(JsonOutput):
    """Keeps the chunks of a "json" handler; each chunk of a stream is a step."""

    def write(self, chunk: Any, encoded: bytes) -> None:
        self.buffer += line(chunk if isinstance(chunk, str) else encoded.decode())

    def write_error(self, error: AgentError) -> None:
        """Write nothing: the result has the error."""


class Call:
    """A call of a tool.

    Args:
        config: The app's settings.
        protocol: The protocol.
        exchange: The HTTP request.
        context: The SDK's context of the request.
        params: The name and the arguments of the tool.
    """

    def __init__(
        self,
        config: AppConfig,
        protocol: "MCP",
        exchange: "Exchange",
        context: Any,
        params: CallToolRequestParams,
    ) -> None:
        self._config = config
        self._protocol = protocol
        self._exchange = exchange
        self._context = context
        self._params = params
        self._meta = dict(context.meta or {})
        self._steps = 0

    async def result(self) -> CallToolResult | InputRequiredResult:
        """Run the agent and return what it answers; its failure is a result too.

        Raises:
            MCPError: There is no such tool.
        """
        router = self._config.by_name(self._params.name)
        if router is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {self._params.name}")
        try:
            runtime = await self._config.running()
            run = self._run_json if router.protocol == "json" else self._run_agent
            return await run(runtime, router)
        except AgentError as error:
            self._config.refused(error.code)
            return failed(error.message)
        except Exception:
            logger.exception("A call of the tool %r failed.", router.name)
            return failed("The server failed. Its log has the reason.")

    async def _run_agent(
        self, runtime: Runtime, router: AgentRouter
    ) -> CallToolResult | InputRequiredResult:
        stream = "progress_token" in self._meta
        request, scope = self._request(stream=stream), self._exchange.request.scope
        mode: Any = "stream" if stream else "json"
        run, _ = await prepare(
            runtime, router, request, self._protocol, scope, self._headers(), mode
        )
        run.keeps = True
        await self._pull(runtime, run)
        response = lifecycle_of(run).response
        return _failure(run, response) or self._answer(response)

    async def _run_json(self, runtime: Runtime, router: AgentRouter) -> CallToolResult:
        handler = handler_of(router, stream="progress_token" in self._meta)
        stream = handler is router.handlers.get("stream")
        output = ToolOutput(stream, router.reducer)
        body, scope = dict(self._params.arguments or {}), self._exchange.request.scope
        run = json_run(runtime, router, handler, body, body, output, scope, self._headers())
        await self._pull(runtime, run)
        failure = _failure(run, None)
        if failure is not None:
            return failure
        value = output.result()
        structured = value if isinstance(value, dict) else None
        return CallToolResult(content=of_value(value), structured_content=structured)

    def _request(self, *, stream: bool) -> ResponsesRequest:
        """Return the Responses request of a call, or of the answers to its questions.

        Raises:
            InvalidRequest: An argument is invalid.
        """
        params = self._params
        if params.request_state is not None and not params.input_responses:
            raise InvalidRequest("inputResponses: must answer what was asked.", "inputResponses")
        if params.input_responses:
            fields: dict[str, Any] = {"input": answers(params.input_responses)}
        else:
            arguments: Arguments = codec.convert(params.arguments or {}, Arguments)
            if arguments.input is UNSET:
                raise InvalidRequest("input: a string is required.", "input")
            fields = {"input": arguments.input}
            if arguments.previous_response_id is not None:
                fields["previous_response_id"] = arguments.previous_response_id
        return decode_request(codec.encode(fields | {"stream": stream}))

    def _headers(self) -> Headers:
        """Return the request's headers, with the trace that `_meta` names."""
        request = self._exchange.request
        fields = [(name, self._meta.get(name)) for name in TRACE_FIELDS]
        more = [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in fields
            if isinstance(value, str)
        ]
        return Headers([*request.scope["headers"], *more]) if more else request.headers

    async def _pull(self, runtime: Runtime, run: Run) -> None:
        """Pull a run as soon as there is room for it.

        Raises:
            AgentError: It could not begin.
        """
        await runtime.engine.enter(run)
        try:
            await reserve(runtime, run)
            self._exchange.start(run)
            streams = run.mode == "stream"
            with runtime.engine.streams if streams else nullcontext():
                await run.pull((lambda: self._deliver(run)) if streams else None)
        finally:
            runtime.engine.leave(run)
            await release(runtime, run)

    async def _deliver(self, run: Run) -> None:
        """Send each step as progress."""
        steps = run.take().decode().splitlines()
        try:
            async with asyncio.timeout(run.engine.timeouts.write):
                for step in steps:
                    self._steps += 1
                    await self._context.session.report_progress(self._steps, message=step)
        except TimeoutError:
            run.cancel("client_stalled")

    def _answer(self, response: Response) -> CallToolResult | InputRequiredResult:
        asked = [item for item in response.output if item["type"] == "mcp_approval_request"]
        if asked and can_ask(self._context):
            return ask(asked, response.id)
        if asked:
            return failed(explain(asked, response))
        content = of_items(response.output)
        text = "\n\n".join(block.text for block in content if isinstance(block, TextContent))
        structured = {"text": text}
        if response.store:
            structured["response_id"] = response.id
        return CallToolResult(content=content or [text_block("")], structured_content=structured)


def failed(message: str) -> CallToolResult:
    """Return the result of a call that failed."""
    return CallToolResult(content=[text_block(message)], is_error=True)


def _failure(run: Run, response: Response | None) -> CallToolResult | None:
    """Return the result of a run that failed; None if it did not."""
    if run.error is not None:
        return failed(run.error.message)
    if run.status == "cancelled":
        return failed("The run was cancelled.")
    if response is not None and response.error is not None:
        return failed(response.error.message)
    return None
