"""Registration: what a router takes, gives back and refuses."""

from collections.abc import AsyncIterator, Callable
from typing import Any, assert_type

import pytest

import agent_asgi
from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest


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

    with pytest.raises(ValueError, match="'tutor' has a invoke handler already: '<lambda>'"):
        router.invoke(second)


@pytest.mark.parametrize(
    "options", [{"name": ""}, {"name": "a/b"}, {"protocol": "xml"}, {"max_threads": 0}]
)
def test_bad_options(options: Any) -> None:
    with pytest.raises(ValueError, match="AgentRouter"):
        AgentRouter(**options)


def three(a: int, b: int, c: int) -> None: ...
def second_unannotated(request: ResponsesRequest, context) -> None: ...  # type: ignore[no-untyped-def]  # its point
def two_contexts(one: Context, two: Context) -> None: ...
def unresolvable(request: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  its point


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (three, "takes a, b, c"),
        (second_unannotated, "annotated `Context`"),
        (two_contexts, "takes one, two"),
        (unresolvable, "'unresolvable' cannot be resolved"),
        (dict, "dict is a class"),
        (3, "must be callable"),
    ],
)
def test_bad_handlers_name_the_mend(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        AgentRouter().invoke(function)


def test_bad_apps() -> None:
    with pytest.raises(ValueError, match="needs a router"):
        AgentApp()
    with pytest.raises(ValueError, match="two routers are named 'a'"):
        AgentApp(AgentRouter("a"), AgentRouter("a"))
    with pytest.raises(ValueError, match="'health' is an endpoint"):
        AgentApp(AgentRouter("a"), AgentRouter("health"))


def test_all_is_the_truth() -> None:
    public = {name for name in vars(agent_asgi) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(agent_asgi, name)).__name__ == "module"}
    assert public - modules == set(agent_asgi.__all__)
    assert sorted(agent_asgi.__all__) == agent_asgi.__all__
