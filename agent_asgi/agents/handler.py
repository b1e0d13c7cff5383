"""Handlers: a user's function of any kind as an async iterator of outputs."""

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import anyio

from ..context import Context
from ..errors import InvalidRequest
from ..schema import codec
from ..schema.annotations import takes_object
from ..schema.requests import ResponsesRequest, unread
from .threads import in_thread, is_iterator

Function = Callable[..., Any]


class Handler:
    """A registered function, inspected once.

    Args:
        function: The function as the user wrote it.
        structured: Whether it may return structured output. Default False.

    Attributes:
        name: Its name, for spans and logs.
        place: Its file and line, for logs; empty if it has none.
        input_type: The annotation of its request parameter; None if it has none.
        takes_any: Whether that parameter takes the body as a dict.
        output_type: The return annotation; None if there is none.
        returns: The classes that its return annotation names, whose values are structured output;
            None if it may not return such.
        is_coroutine: Whether it is an async function without `yield`.

    Raises:
        TypeError: The function has unsuitable parameters; the message says which are allowed.
    """

    def __init__(self, function: Function, *, structured: bool = False) -> None:
        inner = _unwrap(function)
        self.function = function
        self.name = _name(inner)
        code = getattr(inner, "__code__", None)
        self.place = "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
        self.input_type, self._bound = _parameters(function, inner, self.name)
        self.takes_any = self.input_type in (None, Any, dict) or get_origin(self.input_type) is dict
        known = self.takes_any or self.input_type in (str, ResponsesRequest)
        if not known and not takes_object(self.input_type):
            raise TypeError(
                f"Handler {self.name!r} takes `{_type_name(self.input_type)}`, but a request is a "
                "JSON object. Annotate it as ResponsesRequest, str, dict, a dataclass, TypedDict, "
                "msgspec.Struct or pydantic model."
            )
        self.output_type = _hints(inner).get("return")
        self.returns = _classes(self.output_type) if structured else None
        self._reads_history = self.input_type not in (str, ResponsesRequest)
        self.is_coroutine = inspect.iscoroutinefunction(inner)
        self._is_sync = not (self.is_coroutine or inspect.isasyncgenfunction(inner))

    def value(self, body: Mapping[str, Any] | ResponsesRequest) -> object:
        """Return the request as the type of the function's annotation.

        A text input becomes a message for types that take only messages, such as MLflow's.

        Args:
            body: The decoded request.

        Raises:
            InvalidRequest: A field is wrong; `param` names it.
        """
        wanted = self.input_type
        if isinstance(body, ResponsesRequest):
            if wanted is ResponsesRequest:
                return body
            if wanted is str:
                return body.input_text
            body = body.to_dict()
        if self.takes_any:
            return body
        try:
            return codec.convert(dict(body), wanted)
        except InvalidRequest as error:
            text = body.get("input")
            if not isinstance(text, str) or error.param != "input":
                raise
            message = {"type": "message", "role": "user", "content": text}
            return codec.convert({**body, "input": [message]}, wanted)

    async def value_of(self, request: ResponsesRequest) -> object:
        """Return `value` of a request, with its history decoded in slices if the function reads it.

        Whether a function that takes a `ResponsesRequest` does is known once it has.
        """
        history = unread(request)
        if history is not None:
            if self._reads_history:
                await history.decode()
            history.on_read = self._note_reading
        return self.value(request)

    def _note_reading(self) -> None:
        self._reads_history = True

    def call(self, request: object, context: Context, limiter: anyio.CapacityLimiter) -> Any:
        """Call the function: in the caller's task if it is async, else in one thread.

        Args:
            request: The request, as `value` returned it.
            context: The run's context.
            limiter: Bounds the number of threads.

        Returns:
            A coroutine, whose result is for `outputs_of`, or an async iterator of outputs.
        """
        if self._is_sync:
            call = functools.partial(self._bound, request, context)
            return _spread(in_thread(call, context, limiter), context, limiter)
        return self._bound(request, context)


def outputs_of(
    result: Any, context: Context, limiter: anyio.CapacityLimiter
) -> AsyncIterator[Any] | None:
    """Return an iterator of the outputs in a coroutine's result; None if it is one output.

    Args:
        result: The result.
        context: The run's context.
        limiter: Bounds the number of threads.
    """
    if type(result) is str or not (
        hasattr(result, "__aiter__") or is_iterator(result) or inspect.isawaitable(result)
    ):
        return None
    return _spread(result, context, limiter)


Bound = Callable[[object, Context], Any]
"""Calls a function with request and context, as far as it has parameters for them."""


def _unwrap(function: Function) -> Function:
    """Return the function inside partials and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    if not callable(function):
        raise TypeError(f"A handler must be callable; {function!r} is not.")
    if inspect.isclass(function):
        raise TypeError(f"{function.__name__} is a class; register an instance or a function.")
    if inspect.isroutine(function):
        return function
    call: Function = type(function).__call__.__get__(function)
    return call


def _name(function: Function) -> str:
    owner = getattr(function, "__self__", None)
    name: str = getattr(function, "__name__", type(function).__name__)
    return type(owner).__name__ if name == "__call__" and owner is not None else name


def _parameters(function: Function, inner: Function, name: str) -> tuple[Any, Bound]:
    """Return the annotation of the request's parameter, and a way to call the function."""
    hints = _hints(inner)
    keywords = function.keywords if isinstance(function, functools.partial) else {}
    every = inspect.signature(function).parameters.values()
    parameters = [
        each
        for each in every
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and each.name not in keywords
    ]
    if every and not parameters and not keywords:
        raise TypeError(
            f"Handler {name!r} has only starred parameters. If a decorator has made it, use "
            "`functools.wraps` there; otherwise name its parameters."
        )
    contexts = [
        each
        for each in parameters
        if _is_context(hints.get(each.name, each.annotation))
        or (each.name == "context" and each.annotation is each.empty)
    ]
    requests = [
        each
        for each in parameters
        if each not in contexts and (each.default is each.empty or each is parameters[0])
    ]
    if len(requests) > 1 or len(contexts) > 1:
        raise TypeError(
            f"Handler {name!r} takes {', '.join(each.name for each in parameters)}. A handler "
            "takes the request and, optionally, a parameter named `context` or annotated "
            "`Context`. Rename or annotate it, or add defaults to the other parameters."
        )
    hint = hints.get(requests[0].name) if requests else None
    return hint, _bind(function, next(iter(requests), None), next(iter(contexts), None))


def _bind(
    function: Function, request: inspect.Parameter | None, context: inspect.Parameter | None
) -> Bound:
    """Return what calls the function; the usual signatures without a wrapper or by a lambda."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [each for each in parameters[:2] if each.kind is not each.KEYWORD_ONLY]
    if request is not None and positional == [request, context]:
        return function
    if request is not None and positional[:1] == [request] and context is None:
        return lambda value, _: function(value)

    def call(value: object, known: Context) -> Any:
        pairs = [(p, v) for p, v in ((request, value), (context, known)) if p is not None]
        only = [v for p, v in pairs if p.kind is p.POSITIONAL_ONLY]
        return function(*only, **{p.name: v for p, v in pairs if p.kind is not p.POSITIONAL_ONLY})

    return call


def _hints(function: Function) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise TypeError(
            f"The annotations of {_name(function)!r} cannot be resolved ({error}). "
            "Import their types at run time in the handler's module."
        ) from error


def _classes(hint: Any) -> tuple[type, ...]:
    """Return the classes that a return annotation names and whose values can be distinguished."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return tuple(kind for member in get_args(hint) for kind in _classes(member))
    if origin is Annotated:
        return _classes(get_args(hint)[0])
    kind = origin or hint
    if kind in (Any, object) or not isinstance(kind, type) or issubclass(kind, str | NoneType):
        return ()
    if issubclass(kind, dict):  # a TypedDict is one, but `isinstance` refuses it
        return (dict,)
    is_abstract = kind.__module__ == "collections.abc" or getattr(kind, "_is_protocol", False)
    return () if is_abstract else (kind,)


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)


def _is_context(hint: Any) -> bool:
    return hint is Context or Context in getattr(hint, "__args__", ())


async def _spread(
    result: Any, context: Context, limiter: anyio.CapacityLimiter
) -> AsyncGenerator[Any, None]:
    """Yield a call's result, or each output of it if it is an iterator."""
    if inspect.isawaitable(result):
        result = await result
    if is_iterator(result):
        iterator = result
        result = in_thread(lambda: iterator, context, limiter)
    if not hasattr(result, "__aiter__"):
        yield result
        return
    try:
        async for output in result:
            if inspect.isawaitable(output) or hasattr(output, "__aiter__"):
                async for inner in _spread(output, context, limiter):
                    yield inner
            else:
                yield output
    finally:
        if hasattr(result, "aclose"):
            await result.aclose()


async def _prepare(_: ResponsesRequest) -> AsyncIterator[Any]:
    return
    yield


PREPARE = Handler(_prepare)
"""The handler of a request that only prepares a response."""
