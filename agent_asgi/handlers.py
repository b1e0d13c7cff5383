"""Any user function becomes one thing: an async iterator of what it returns or yields."""

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, get_type_hints

import anyio

from . import codec
from .context import Context
from .errors import InvalidRequest
from .schema.requests import ResponsesRequest
from .threads import in_thread, is_iterator

Function = Callable[..., Any]


class Handler:
    """A registered function, looked at once.

    Args:
        function: The function as the user wrote it.

    Attributes:
        name: Its name, for spans and logs.
        input_type: The annotation of its first parameter; None where it has none.

    Raises:
        TypeError: The function's parameters fit no request; the message names the mend.
    """

    def __init__(self, function: Function) -> None:
        inner = _unwrap(function)
        self.function = function
        self.name = _name(inner)
        self.input_type, self._arguments = _parameters(function, inner, self.name)
        self._kind = _kind(inner)

    def value(self, body: Mapping[str, Any] | ResponsesRequest) -> object:
        """Give the request in the type that the function's annotation asks for.

        A text is the user's message for a type that takes messages alone, as MLflow's does.

        Raises:
            InvalidRequest: A field is wrong; `param` names it.
        """
        wanted = self.input_type
        text = None
        if isinstance(body, ResponsesRequest):
            if wanted is ResponsesRequest:
                return body
            text = body.input if isinstance(body.input, str) else None
            body = body.to_dict()
        if wanted in (None, Any, dict) or getattr(wanted, "__origin__", None) is dict:
            return body
        try:
            return codec.convert(dict(body), wanted)
        except InvalidRequest as error:
            if text is None or error.param != "input":
                raise
            message = {"type": "message", "role": "user", "content": text}
            return codec.convert({**body, "input": [message]}, wanted)

    def iterate(
        self, request: object, context: Context, limiter: anyio.CapacityLimiter
    ) -> AsyncIterator[Any]:
        """Call the function; what it returns or yields comes one by one.

        Async functions run in the task that pulls, sync ones whole in one thread.
        """
        arguments, named = self._arguments(request, context)
        if self._kind == "async generator":
            iterator: AsyncIterator[Any] = self.function(*arguments, **named)
            return iterator
        if self._kind == "coroutine":
            coroutine = self.function(*arguments, **named)
            return Returned(coroutine, lambda result: _spread(result, context, limiter))
        call = functools.partial(self.function, *arguments, **named)
        return _spread(in_thread(call, context, limiter), context, limiter)


class Returned:
    """What a coroutine returns: one output, or each of an iterator.

    The event loop keeps account of each generator; one output is not worth that.

    Args:
        coroutine: What the call of an async function gave.
        spread: Iterates what it returns, where that is not an output.

    Attributes:
        ended: Whether nothing is left to be closed.
    """

    def __init__(self, coroutine: Any, spread: Callable[[Any], AsyncGenerator[Any, None]]) -> None:
        self.ended = False
        self._coroutine = coroutine
        self._spread = spread
        self._outputs: AsyncGenerator[Any, None] | None = None

    def __aiter__(self) -> "Returned":
        return self

    async def __anext__(self) -> Any:
        if self._outputs is not None:
            return await anext(self._outputs)
        if self.ended:
            raise StopAsyncIteration
        self.ended = True
        result = await self._coroutine
        if not (hasattr(result, "__aiter__") or is_iterator(result) or inspect.isawaitable(result)):
            return result
        self.ended = False
        self._outputs = self._spread(result)
        return await anext(self._outputs)

    async def athrow(self, error: BaseException) -> Any:
        """Raise an error where the iterator stands; give its next output if it goes on."""
        if self._outputs is None:
            raise error
        return await self._outputs.athrow(error)

    async def aclose(self) -> None:
        """Close what has not ended."""
        if self._outputs is not None:
            await self._outputs.aclose()
        self._coroutine.close()


Arguments = Callable[[object, Context], tuple[tuple[object, ...], dict[str, object]]]


def _unwrap(function: Function) -> Function:
    """Give the function below partials and `__call__`, whose kind and name count."""
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


def _kind(function: Function) -> str:
    if inspect.isasyncgenfunction(function):
        return "async generator"
    return "coroutine" if inspect.iscoroutinefunction(function) else "sync"


def _parameters(function: Function, inner: Function, name: str) -> tuple[Any, Arguments]:
    hints = _hints(inner)
    given = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if isinstance(function, functools.partial):
        given = [each for each in given if each.name not in function.keywords]
    contexts = [each for each in given if _is_context(hints.get(each.name, each.annotation))]
    requests = [
        each
        for each in given
        if each not in contexts and (each.default is each.empty or each is given[0])
    ]
    if len(requests) > 1 or len(contexts) > 1:
        raise TypeError(
            f"Handler {name!r} takes {', '.join(each.name for each in given)}. A handler takes the "
            "request and, if it likes, a parameter annotated `Context`: annotate it, or give the "
            "others a default."
        )
    request = requests[0] if requests else None
    hint = None if request is None else hints.get(request.name)
    return hint, _binder(request, contexts[0] if contexts else None)


def _binder(request: inspect.Parameter | None, context: inspect.Parameter | None) -> Arguments:
    def positional(parameter: inspect.Parameter) -> bool:
        return parameter.kind is not parameter.KEYWORD_ONLY

    if request is not None and context is None and positional(request):
        return lambda given, _: ((given,), {})

    def bind(given: object, known: Context) -> tuple[tuple[object, ...], dict[str, object]]:
        pairs = [(p, v) for p, v in ((request, given), (context, known)) if p is not None]
        only = [v for p, v in pairs if p.kind is p.POSITIONAL_ONLY]
        return tuple(only), {p.name: v for p, v in pairs if p.kind is not p.POSITIONAL_ONLY}

    return bind


def _hints(function: Function) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise TypeError(
            f"The annotations of {_name(function)!r} cannot be resolved ({error}). "
            "Import the types where the handler is defined, at run time too."
        ) from error


def _is_context(hint: Any) -> bool:
    return hint is Context or Context in getattr(hint, "__args__", ())


async def _spread(
    result: Any, context: Context, limiter: anyio.CapacityLimiter
) -> AsyncGenerator[Any, None]:
    """Give what a call returned, one by one where it is an iterator of either kind."""
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
