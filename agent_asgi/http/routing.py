"""`Routes`: Starlette's router, with errors in this package's form."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import NotFound, from_http
from .responses import REFUSED, error_response

MAX_SHOWN = 200
"""How many characters of an unknown path an error shows."""


class Routes(Router):
    """Routes requests; a POST to a path without parameters takes one look-up.

    Args:
        routes: The routes.
        fallback: Serves requests that no route matches. Default None: a 404.

    Raises:
        ValueError: Two routes have the same method and path.
    """

    def __init__(self, routes: Sequence[BaseRoute], fallback: ASGIApp | None = None) -> None:
        super().__init__(routes, redirect_slashes=False, default=fallback)
        by_place = _by_place(route for route in routes if isinstance(route, Route))
        self._posts = {
            path: route
            for (method, path), route in by_place.items()
            if method == "POST" and not route.param_convertors
        }
        self._offered = {path.split("/")[2] for _, path in by_place if path.startswith("/v1/")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope.get("method") == "POST":
            root_path = scope.get("root_path")
            path = scope["path"].removeprefix(root_path) if root_path else scope["path"]
            route = self._posts.get(path)
            if route is not None:  # as Starlette does for a match
                scope["router"] = self
                scope["route"] = route
                scope["endpoint"] = route.endpoint
                scope.setdefault("path_params", {})
                await route.app(scope, receive, send)
                return
        try:
            await super().__call__(scope, receive, send)
        except HTTPException as error:
            agent_error = from_http(error)
            if agent_error.status == 404:
                agent_error = NotFound(self._missing(scope["path"]), "not_found")
            elif agent_error.status == 405:
                agent_error.headers = {"allow": self._allowed(scope)}
            await error_response(agent_error)(scope, receive, send)

    def _missing(self, path: str) -> str:
        """Return what a 404 says: the path, and which of OpenAI's resources is not offered."""
        shown = path if len(path) <= MAX_SHOWN else path[:MAX_SHOWN] + "..."
        message = f"There is no path {shown!r}."
        _, version, resource = shown.partition("/v1/")
        name = resource.partition("/")[0]
        if not version or not name or name in self._offered:
            return message
        return f"{message} This server does not offer `{name}`."

    def _allowed(self, scope: Scope) -> str:
        """Return the methods of a path; Starlette names only those of its first route."""
        routes = [route for route in self.routes if isinstance(route, Route)]
        path = next(route.path for route in routes if route.matches(scope)[0] is not Match.NONE)
        methods = {name for route in routes if route.path == path for name in route.methods or ()}
        return ", ".join(sorted(methods))


class Fallback:
    """An app for requests that no route matches, which gets no lifespan events.

    Its responses are marked as no refusals, except this package's errors.

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._state: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[None]:
        """Enter the app's lifespan, if it has one; requests get the state that this yields."""
        app: Any = self._app  # that of Starlette and FastAPI is their router's
        enter: Any = getattr(getattr(app, "router", app), "lifespan_context", None)
        enter = enter or getattr(app, "lifespan", nullcontext)
        async with enter(app) as state:
            self._state = dict(state) if isinstance(state, Mapping) else {}
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def mark(message: Message) -> None:
            if message.get("status", 0) >= 400:
                message.setdefault(REFUSED, None)
            await send(message)

        state = scope.get("state", {}) | self._state
        await self._app({**scope, "state": state}, receive, mark)


def _by_place(routes: Iterable[Route]) -> dict[tuple[str, str], Route]:
    """Return routes by their methods and paths."""
    by_place: dict[tuple[str, str], Route] = {}
    for route in routes:
        for method in route.methods or ():
            other = by_place.setdefault((method, route.path), route)
            if other is not route:
                names = " and ".join(sorted((other.name, route.name)))
                raise ValueError(f"{method} {route.path} is served twice: by {names}.")
    return by_place
