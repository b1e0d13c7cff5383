"""The decorators of a router, whose types refuse the handlers that registration refuses."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar, overload

from msgspec.structs import StructConfig

from ..context import Context
from ..schema.requests import ResponsesRequest

R = TypeVar("R")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class _ByKeyword(Protocol[T_contra]):
    """A handler whose context is a keyword."""

    def __call__(self, request: T_contra, /, *, context: Context) -> Any: ...


class _Struct(Protocol):
    __struct_config__: ClassVar[StructConfig]


class _TypedDict(Protocol):
    __required_keys__: ClassVar[frozenset[str]]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _PydanticModel(Protocol):
    model_config: ClassVar[Any]


_Takes = Callable[[T], Any] | Callable[[T, Context], Any] | _ByKeyword[T]
F = TypeVar(
    "F",
    bound=_Takes[ResponsesRequest]
    | _Takes[dict[str, Any]]
    | _Takes[str]
    | Callable[[Context], Any]
    | Callable[[], Any],
)
"""A handler of one of the types that are known here."""
M = TypeVar("M", bound=_Struct | _TypedDict | _Dataclass | _Attrs | _PydanticModel)
"""A type of the user's that a request can be converted to. It is none of the types above: a type
checker forgets the type of a handler that several overloads match and that has `Any` in it."""


class Registration:
    """A decorator that registers a handler, with or without parentheses.

    It returns the function unchanged.

    Args:
        register: Registers a function and returns it.
    """

    __slots__ = ("_register",)

    def __init__(self, register: Callable[[Any], Any]) -> None:
        self._register = register

    @overload
    def __call__(self, function: F, /) -> F: ...

    @overload
    def __call__(self, function: Callable[[M], R], /) -> Callable[[M], R]: ...

    @overload
    def __call__(self, function: Callable[[M, Context], R], /) -> Callable[[M, Context], R]: ...

    @overload
    def __call__(self) -> "Registration": ...

    def __call__(self, function: Any = None) -> Any:
        """Register a handler.

        Args:
            function: The handler. Its first parameter is the request: a `ResponsesRequest`, a
                `dict`, a `str` for the text of the user's newest message, or a msgspec, dataclass,
                attrs or pydantic type. Its second one, if it has one, is the `Context`.

        Raises:
            ValueError: The router already has such a handler.
            TypeError: The function has unsuitable parameters.
        """
        return self if function is None else self._register(function)
