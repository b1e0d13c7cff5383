"""`AgentRouter`: the handlers of one agent."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import NoneType
from typing import Any, Literal, get_args

from ..config import require, require_texts
from ..errors import AgentError
from ..schema.annotations import Schema, object_schema
from ..schema.own_calls import View
from .handler import Handler
from .registration import Registration
from .skill import Skill, skills_of

Mode = Literal["invoke", "stream", "compact"]
_NAME = re.compile(r"[^\s/?#{}\x00-\x1f\x7f]+")
_SCOPE = re.compile(r"[!#-[\]-~]+")
"""RFC 6749, 3.3."""
Reducer = Callable[[Sequence[Any]], Any]
Tool = Mapping[str, Any]
"""A tool of an agent: its `name`, its `description` and the `input_schema` of its arguments."""


def valid_name(text: str | None) -> str:
    """Return a text as a router's name: "Math Tutor" as "Math-Tutor", nothing as "agent"."""
    return re.sub(r"[^\w.-]+", "-", text or "").strip("-.") or "agent"


class AgentRouter:
    """The handlers of one agent.

    Args:
        name: The agent's name: its model id and, if the app has several agents, its path.
            Default "agent".
        description: What the agent does, for `/v1/models` and `/agent/info`. Default None.
        protocol: "responses" for the OpenAI Responses API in and out, "json" for any JSON object
            in and anything JSON out, at `/invocations` only. Default "responses".
        own_tools: How clients of the Responses API see calls of the agent's own tools: all calls
            whose name is not among the request's `tools`. "mcp_call": each as one `mcp_call` item
            with its output, which no client tries to execute. "function_call": as `function_call`
            and `function_call_output` items. "hidden": not at all. At `/invocations` they are
            always such pairs. Default "mcp_call".
        experiment: MLflow experiment of this agent's traces. Default: MLflow's active one.
        max_threads: How many sync handlers of this agent may run at once, each in its own thread.
            Default 40.
        reducer: Turns the chunks of a "json" stream into the output of its trace.
            Default: the list of chunks.
        recover: Whether a stored run is started again if its process dies, with the events so far
            in `Context.previous_events`. Default True. If False it fails with code `interrupted`.
        keep_headers: Names of the request headers to store with a detached run, so that
            `Context.headers` has them in any process and attempt. Default none.
        skills: What the agent can do, for its A2A card: dicts with `id`, `name`, `description`,
            `tags` and, if wanted, `examples`, `inputModes` and `outputModes`. Default: one skill
            with the agent's name and description.
        scopes: The scopes that a caller needs to run the agent, all of them, for example those of
            a JSON Web Token (`JwtTokens`). Others get a 403. Default none.
        examples: What to ask, for the playground and the A2A card's default skill. Default none.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: `name` is not a path segment, `protocol` or `own_tools` is unknown,
            `max_threads` is below 1, `keep_headers`, `scopes` or `examples` is a str, or a skill or
            a scope is invalid.
    """

    name: str
    """The agent's name: its model id and, if the app has several agents, its path."""
    description: str | None
    """What the agent does."""
    protocol: Literal["responses", "json"]
    """The form of its requests: "responses" or "json"."""
    own_tools: View
    """How clients of the Responses API see calls of the agent's own tools."""
    experiment: str | None
    """MLflow experiment of its traces; None for MLflow's active one."""
    max_threads: int
    """How many of its sync handlers may run at once."""
    reducer: Reducer | None
    """Turns the chunks of a "json" stream into the output of its trace."""
    recover: bool
    """Whether a stored run is started again if its process dies."""
    keep_headers: tuple[str, ...]
    """Names of the request headers that are stored with a detached run, in lower case."""
    skills: tuple[Skill, ...]
    """What the agent can do, for its A2A card."""
    scopes: tuple[str, ...]
    """The scopes that a caller needs to run the agent."""
    examples: tuple[str, ...]
    """What to ask, for the playground."""
    tools: Callable[[], Sequence[Tool]]
    """Returns the agent's tools, as far as an adapter knows them."""
    handlers: dict[Mode, Handler]
    """The registered handlers."""

    def __init__(
        self,
        name: str = "agent",
        *,
        description: str | None = None,
        protocol: Literal["responses", "json"] = "responses",
        own_tools: View = "mcp_call",
        experiment: str | None = None,
        max_threads: int = 40,
        reducer: Reducer | None = None,
        recover: bool = True,
        keep_headers: Sequence[str] = (),
        skills: Sequence[Any] = (),
        scopes: Sequence[str] = (),
        examples: Sequence[str] = (),
    ) -> None:
        require(
            "AgentRouter",
            {
                "name": (name, str),
                "description": (description, str, NoneType),
                "experiment": (experiment, str, NoneType),
                "max_threads": (max_threads, int),
                "reducer": (reducer, Callable, NoneType),
                "recover": (recover, bool),
                "skills": (skills, Collection),
            },
        )
        texts = {"keep_headers": keep_headers, "scopes": scopes, "examples": examples}
        require_texts("AgentRouter", texts)
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise ValueError(
                f"Router name {name!r} must be a path segment without spaces, such as 'tutor'."
            )
        if protocol not in ("responses", "json"):
            raise ValueError(f"protocol must be 'responses' or 'json', not {protocol!r}.")
        if own_tools not in get_args(View):
            raise ValueError(
                f"own_tools must be 'mcp_call', 'function_call' or 'hidden', not {own_tools!r}."
            )
        if not all(map(_SCOPE.fullmatch, scopes)):
            raise ValueError(f"scopes must be names without spaces, not {list(scopes)!r}.")
        if max_threads < 1:
            raise ValueError("max_threads must be at least 1.")
        self.name = name
        self.description = description
        self.protocol = protocol
        self.own_tools = own_tools
        self.experiment = experiment
        self.max_threads = max_threads
        self.reducer = reducer
        self.recover = recover
        self.keep_headers = tuple(each.lower() for each in keep_headers)
        self.skills = skills_of(skills)
        self.scopes = tuple(scopes)
        self.examples = tuple(examples)
        self.tools = tuple
        self.handlers = {}

    @property
    def invoke(self) -> Registration:
        """Decorator that registers the handler of requests for one JSON answer.

        Use it as a decorator, with or without parentheses. It returns the function unchanged.

        Raises:
            ValueError: The router already has such a handler.
            TypeError: The function has unsuitable parameters.
        """
        return Registration(partial(self._register, "invoke"))

    @property
    def stream(self) -> Registration:
        """Decorator that registers the handler of requests for a stream.

        Use it as a decorator, with or without parentheses. It returns the function unchanged.

        Raises:
            ValueError: The router already has such a handler.
            TypeError: The function has unsuitable parameters.
        """
        return Registration(partial(self._register, "stream"))

    @property
    def compact(self) -> Registration:
        """Decorator that registers the handler of `POST /responses/compact`.

        It gets the conversation as `request.input` and returns or yields the items that replace
        it, including a `compaction` item, and its `Usage`. Use it as a decorator, with or without
        parentheses. It returns the function unchanged.

        Raises:
            ValueError: The router already has such a handler.
            TypeError: The function has unsuitable parameters.
        """
        return Registration(partial(self._register, "compact"))

    @property
    def invoke_handler(self) -> Callable[..., Any] | None:
        """The registered invoke function, or None."""
        return getattr(self.handlers.get("invoke"), "function", None)

    @property
    def stream_handler(self) -> Callable[..., Any] | None:
        """The registered stream function, or None."""
        return getattr(self.handlers.get("stream"), "function", None)

    @property
    def schemas(self) -> tuple[Schema | None, Schema | None]:
        """The JSON schemas of what a "json" router takes and returns; None if any JSON."""
        handler = self.handlers.get("invoke") or self.handlers.get("stream")
        if handler is None or self.protocol != "json":
            return None, None
        takes = None if handler.takes_any else object_schema(handler.input_type)
        return takes, object_schema(handler.output_type)

    def handler_for(self, stream: bool) -> Handler:
        """Return the handler of a request; in the Responses protocol each serves both modes.

        Raises:
            AgentError: The router has none.
        """
        mode: Mode = "stream" if stream else "invoke"
        handler = self.handlers.get(mode)
        if handler is None and self.protocol == "responses":
            handler = self.handlers.get("invoke") or self.handlers.get("stream")
        if handler is None:
            raise AgentError(f"Agent {self.name!r} has no {mode} handler.", 500, "no_handler")
        return handler

    def require_handler(self) -> None:
        """Check that the router can serve requests.

        Raises:
            ValueError: It has no handler.
        """
        if not self.handlers:
            raise ValueError(
                f"Router {self.name!r} has no handler. Register a function with "
                "`@router.invoke` or `@router.stream`."
            )

    def _register(self, mode: Mode, function: Any) -> Any:
        existing = self.handlers.get(mode)
        if existing is not None:
            article = "an" if mode == "invoke" else "a"
            raise ValueError(
                f"Router {self.name!r} has {article} {mode} handler already: {existing.name!r}."
            )
        handler = Handler(function, structured=mode == "invoke" and self.protocol == "responses")
        if handler.input_type is str and self.protocol == "json":
            raise TypeError(
                f"Handler {handler.name!r} takes a str, but a request of a 'json' router is an "
                "object. Annotate the parameter as a dict or a model."
            )
        self.handlers[mode] = handler
        return function

    def __repr__(self) -> str:
        handlers = [f"{mode}={each.name}" for mode, each in self.handlers.items()]
        return f"AgentRouter({', '.join([repr(self.name), *handlers])})"
