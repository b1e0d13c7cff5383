"""`Query`: the query parameters of a request, checked."""

from starlette.datastructures import QueryParams
from starlette.types import Scope

from ..errors import InvalidRequest


class Query:
    """The query parameters of a request; the last value of a repeated one counts.

    Args:
        scope: The request's scope.
    """

    def __init__(self, scope: Scope) -> None:
        self._values = QueryParams(scope["query_string"])

    def get(self, name: str) -> str | None:
        """Return a parameter; None if it is missing."""
        return self._values.get(name)

    def flag(self, name: str) -> bool:
        """Return a boolean parameter; False if it is missing.

        Raises:
            InvalidRequest: It is neither `true` nor `false`.
        """
        return self.choice(name, ("false", "true")) == "true"

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return a parameter with a few allowed values; the first of them if it is missing.

        Raises:
            InvalidRequest: It is none of them.
        """
        value = self._values.get(name, allowed[0]).lower()
        if value not in allowed:
            raise InvalidRequest(f"{name}: must be {' or '.join(allowed)}.", name)
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return an integer parameter.

        Raises:
            InvalidRequest: It is not an integer, or it is out of range.
        """
        value = self._values.get(name)
        if value is None:
            return default
        is_number = value.isascii() and value.isdigit() and len(value) < 19
        if not is_number or not least <= int(value) <= most:
            raise InvalidRequest(f"{name}: must be an integer from {least} to {most}.", name)
        return int(value)
