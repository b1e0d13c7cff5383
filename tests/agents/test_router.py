"""Registration: what a router accepts, returns and rejects."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, assert_type

import pytest
from starlette.requests import Request

import agent_asgi
from agent_asgi import (
    AgentApp,
    AgentRouter,
    BearerTokens,
    Context,
    Limits,
    ResponsesRequest,
    Timeouts,
)
from agent_asgi.protocols import A2A


def wrong(value: Any) -> Any:
    """Return a value that the type checker accepts anywhere."""
    return value


def test_decorators_return_the_function_itself() -> None:
    router = AgentRouter("tutor")

    async def answer(request: ResponsesRequest) -> str:
        """What it does."""
        return ""

    async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
        yield ""

    assert router.invoke(answer) is answer
    assert router.stream()(stream) is stream
    assert (answer.__name__, answer.__doc__) == ("answer", "What it does.")
    assert router.invoke_handler is answer
    assert router.stream_handler is stream
    assert repr(router) == "AgentRouter('tutor', invoke=answer, stream=stream)"


def test_the_types_stay() -> None:
    router = AgentRouter()

    @router.invoke
    def answer(request: dict[str, Any]) -> str:
        return ""

    assert_type(answer({}), str)


def test_nothing_registered() -> None:
    router = AgentRouter()
    assert router.invoke_handler is None
    assert router.stream_handler is None
    assert repr(router) == "AgentRouter('agent')"


def test_a_second_registration_names_both() -> None:
    router = AgentRouter("tutor")
    router.invoke(lambda request: "")

    def second(request: dict[str, Any]) -> str:
        return ""

    with pytest.raises(ValueError, match="'tutor' has an invoke handler already: '<lambda>'"):
        router.invoke(second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "Router name '' must be a path segment"),
        ({"name": "a/b"}, "Router name 'a/b' must be a path segment"),
        ({"name": ".."}, "Router name '..' must be a path segment"),
        ({"name": "a\n"}, "must be a path segment"),
        ({"name": "a\0"}, "must be a path segment"),
        ({"protocol": "xml"}, "protocol must be"),
        ({"max_threads": 0}, "max_threads must be at least 1"),
        ({"keep_headers": "x-team"}, "keep_headers must be a list"),
        ({"examples": "Hi."}, "examples must be a list"),
    ],
)
def test_bad_options(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AgentRouter(**options)


def three(a: int, b: int, c: int) -> None: ...
def second_unannotated(request: ResponsesRequest, ctx) -> None: ...  # type: ignore[no-untyped-def]
def only_stars(*args: Any, **options: Any) -> None: ...
def takes_number(request: int) -> None: ...
def takes_list(request: list[str]) -> None: ...
def takes_other(request: Request) -> None: ...
def two_contexts(one: Context, two: Context) -> None: ...
def unresolvable(request: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (three, "takes a, b, c"),
        (second_unannotated, "annotated `Context`"),
        (two_contexts, "takes one, two"),
        (
            only_stars,
            r"has only starred parameters\. If a decorator has made it, use `functools.wraps`",
        ),
        (
            takes_number,
            "takes `int`, but a request is a JSON object. Annotate it as ResponsesRequest",
        ),
        (takes_list, r"takes `list\[str\]`, but"),
        (takes_other, "takes `Request`, but"),
        (unresolvable, "'unresolvable' cannot be resolved"),
        (dict, "dict is a class"),
        (3, "must be callable"),
    ],
)
def test_bad_handlers_name_the_mend(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        AgentRouter().invoke(function)


async def undecorated(app: Any) -> AsyncIterator[None]:
    yield


async def no_manager(app: Any) -> None: ...


def sync_manager(app: Any) -> Iterator[None]:
    yield


def test_bad_apps() -> None:
    with pytest.raises(ValueError, match="needs an agent"):
        AgentApp()
    with pytest.raises(ValueError, match="two agents are named 'a'"):
        AgentApp(AgentRouter("a"), AgentRouter("a"))
    with pytest.raises(ValueError, match="'health' is reserved for an endpoint"):
        AgentApp(AgentRouter("a"), AgentRouter("health"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AgentApp(wrong("tutor")), "AgentApp: an agent is an AgentRouter"),
        (lambda: AgentApp(AgentRouter(), store=wrong(3)), "store must be Store or str, not 3"),
        (lambda: AgentApp(AgentRouter(), limits=wrong({})), "limits must be Limits, not {}"),
        (lambda: AgentApp(AgentRouter(), timeouts=wrong(5)), "timeouts must be Timeouts, not 5"),
        (
            lambda: AgentApp(AgentRouter(), authenticate=wrong("me")),
            "authenticate must be Callable",
        ),
        (lambda: AgentApp(AgentRouter(), fallback=wrong("/")), "fallback must be Callable"),
        (lambda: AgentApp(AgentRouter(), lifespan=wrong(1)), "lifespan must be Callable or None"),
        (
            lambda: AgentApp(AgentRouter(), lifespan=wrong(undecorated)),
            "'undecorated' must be an async",
        ),
        (
            lambda: AgentApp(AgentRouter(), lifespan=wrong(no_manager)),
            "'no_manager' must be an async",
        ),
        (
            lambda: AgentApp(AgentRouter(), lifespan=wrong(contextmanager(sync_manager))),
            "'sync_manager' must be an async generator, decorated with `@contextlib.asynccontext",
        ),
        (
            lambda: AgentApp(AgentRouter(), protocols=[wrong(A2A)]),
            "each protocol must be Protocol, not .*A2A.* Pass an instance of it",
        ),
        (
            lambda: AgentApp(AgentRouter(), lifespan=wrong(asynccontextmanager(undecorated)(None))),
            "lifespan must be the function; do not call it",
        ),
        (lambda: AgentApp(AgentRouter(), lifespan=wrong(lambda: None)), "called with the app: too"),
        (lambda: BearerTokens(wrong(["t"])), "BearerTokens: tokens must be Mapping"),
        (lambda: AgentApp(AgentRouter(), allowed_origins=wrong(5)), "allowed_origins must be"),
        (lambda: AgentApp(AgentRouter(), middleware=wrong(5)), "middleware must be Sequence"),
        (lambda: AgentApp(AgentRouter(), protocols=wrong(3)), "protocols must be Collection"),
        (lambda: AgentRouter(keep_headers=wrong(None)), "keep_headers must be Collection"),
        (
            lambda: AgentApp(AgentRouter(), protocols=wrong(iter(()))),
            "protocols must be Collection",
        ),
        (
            lambda: AgentApp(AgentRouter(), middleware=wrong(iter(()))),
            "middleware must be Sequence",
        ),
        (lambda: AgentRouter(keep_headers=wrong(iter(["x"]))), "keep_headers must be Collection"),
        (lambda: AgentApp(AgentRouter(), middleware=[wrong(dict)]), "each middleware must be"),
        (
            lambda: AgentApp(AgentRouter(), protocols=[wrong(dict)]),
            "each protocol must be Protocol",
        ),
        (lambda: AgentApp(AgentRouter(), playground=wrong("no")), "playground must be bool"),
        (lambda: AgentApp(AgentRouter(), single_user=wrong("no")), "single_user must be bool"),
        (lambda: AgentApp(AgentRouter(), continue_trace=wrong(1)), "continue_trace must be bool"),
        (lambda: AgentApp(AgentRouter(), capture_content=wrong(0)), "capture_content must be bool"),
        (
            lambda: AgentApp(AgentRouter(), span_baggage=wrong(None)),
            "span_baggage must be Collection",
        ),
        (lambda: AgentApp(AgentRouter(), debug=wrong("0")), "debug must be bool, not '0'"),
        (lambda: AgentRouter(wrong(None)), "AgentRouter: name must be str, not None"),
        (lambda: AgentRouter(description=wrong(1)), "description must be str or None"),
        (lambda: AgentRouter(experiment=wrong(1)), "experiment must be str or None"),
        (lambda: AgentRouter(max_threads=wrong(2.5)), "max_threads must be int, not 2.5"),
        (lambda: AgentRouter(reducer=wrong("sum")), "reducer must be Callable or None"),
        (lambda: AgentRouter(recover=wrong("no")), "recover must be bool"),
        (lambda: AgentRouter(keep_headers=[wrong(b"x")]), "each of keep_headers must be str"),
        (lambda: AgentRouter(examples=[wrong(1)]), "each of examples must be str"),
        (lambda: AgentRouter(examples=wrong(None)), "examples must be Collection"),
        (lambda: Limits(max_runs=wrong("9")), "Limits: max_runs must be int, not '9'"),
        (lambda: Limits(max_runs=True), "Limits: max_runs must be int, not True"),
        (lambda: Timeouts(drain=wrong(None)), "Timeouts: drain must be float or int, not None"),
        (lambda: Timeouts(run=wrong("1")), "Timeouts: run must be float or int or None"),
    ],
)
def test_the_types_of_all_options_are_checked(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        build()


def test_all_is_the_truth() -> None:
    public = {name for name in vars(agent_asgi) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(agent_asgi, name)).__name__ == "module"}
    assert public - modules == set(agent_asgi.__all__)
    assert sorted(agent_asgi.__all__) == agent_asgi.__all__
