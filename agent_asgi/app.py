"""`AgentApp`: composes routers into one ASGI app."""

import asyncio
import dataclasses
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import Access, Origins, foreign_origin, refuse, without_headers
from .auth import Authenticate
from .context import request_id
from .counts import OTHER
from .disconnect import ClientStalled, cut, watch_unread
from .endpoints.answers import REFUSED, error_response
from .endpoints.base import Endpoint
from .endpoints.chat import ChatCompletions
from .endpoints.compact import Compact
from .endpoints.docs import Docs
from .endpoints.feedback import Feedback
from .endpoints.info import Info
from .endpoints.invocations import JsonInvocations
from .endpoints.playground import Playground
from .endpoints.responses import Invocations, Responses
from .endpoints.stored import Cancel, Delete, InputItems, Retrieve
from .endpoints.websocket import WebSocket
from .errors import AgentError, NotFound, from_http
from .limits import Limits, Timeouts
from .logs import tag_records
from .outputs import random_text
from .router import AgentRouter
from .service import Lifespan, Service
from .store.base import Store
from .store.open import open_store

logger = logging.getLogger("agent_asgi")

CLOSE = "websocket.close"
"""Where it comes first, it refuses the handshake, and the server answers 403."""
STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start", CLOSE)
"""Messages that an answer begins with."""
REQUEST_ID = re.compile(rb"[!-~]{1,200}")
"""A request's own id is taken over where it is so: servers let through what a log or a terminal
would take for a field or a command."""


class AgentApp:
    """Serves agents; an ASGI app that stands alone or is mounted in another.

    Args:
        *routers: The agents. One is served at the root; several under their names, and at the
            root by a request's `model`.
        store: Where responses are kept: a store, or the URL of one: `memory://`,
            `sqlite:///responses.db`, `postgresql://user@host/name`. Default: the environment's
            `AGENT_ASGI_STORE`, else `memory://`.
        limits: Bounds on what comes in. Default: `Limits()`.
        timeouts: Bounds on time. Default: `Timeouts()`.
        authenticate: Gives who asks: called with Starlette's `HTTPConnection`, sync or async, it
            gives a principal (an id, or an object of Starlette's `BaseUser` shape) or None, which
            is a 401. Not asked for `/health`, `/ready` and `/ping`, nor where middleware has
            authenticated the request. Default None: anybody may ask.
        allowed_origins: Origins of web pages that may use the app, such as
            `https://app.example.com`, beside its own; "*" for all. Default none, and no CORS.
        fallback: An ASGI app that gets what no endpoint takes, HTTP and WebSocket, such as
            `agent_asgi.proxy.ReverseProxy`; it stands behind `authenticate`, the check of origins
            and the middleware. Where it has a `lifespan`, as an `AgentApp` has, that is entered.
            Default None: such requests are a 404.
        middleware: Starlette middleware around all endpoints. Default none.
        lifespan: An async context manager of the app, entered at start. What it yields, a
            mapping, is in `Context.state`. Default None.
        playground: Whether a page to talk to the agents is served at `/`. Anybody may have the
            page; what it asks needs a token as ever. Default False.
        chat_completions: Whether `/chat/completions` is served too, for clients that know no
            Responses. Default True.
        continue_trace: Whether a run continues the trace that a `traceparent` names; only for
            callers that trace with MLflow. Default False: it becomes a link.
        debug: Whether an error tells the client of the handler's exception. Default False.

    Raises:
        ValueError: No router, two of one name, one that is named like an endpoint, a store's
            URL that names none, or an origin that is none.
        ImportError: The store needs a package that is not installed.
    """

    def __init__(
        self,
        *routers: AgentRouter,
        store: Store | str | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        authenticate: Authenticate | None = None,
        allowed_origins: Sequence[str] = (),
        fallback: ASGIApp | None = None,
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan | None = None,
        playground: bool = False,
        chat_completions: bool = True,
        continue_trace: bool = False,
        debug: bool = False,
    ) -> None:
        tag_records()
        if store is None:
            store = os.environ.get("AGENT_ASGI_STORE") or "memory://"
        self._service = Service(
            self,
            routers,
            store=open_store(store) if isinstance(store, str) else store,
            limits=limits or Limits(),
            timeouts=timeouts or Timeouts(),
            lifespans=[each for each in (lifespan, getattr(fallback, "lifespan", None)) if each],
            continue_trace=continue_trace,
            authenticated=authenticate is not None,
            debug=debug,
            chat_completions=chat_completions,
        )
        routes = _routes(self._service, playground)
        access = []
        if authenticate is not None:
            access = [Middleware(Access, authenticate=authenticate, playground=playground)]
        self._inner = Starlette(
            routes=routes,
            middleware=[*middleware, *access],
            exception_handlers={HTTPException: _http_error, Exception: _server_error},
        )
        self._inner.router.redirect_slashes = False
        if fallback is not None:
            self._inner.router.default = _uncounted(fallback)
        # Starlette's stack and its search for the route take as long as all else of a short run
        self._endpoints = {} if middleware else _endpoints(routes, access)
        self._origins = Origins(allowed_origins)
        self._serve = self._origins.cors(self._dispatch)
        logging.getLogger("uvicorn.error").addFilter(without_headers)

    @property
    def store(self) -> Store:
        """Where responses are kept."""
        return self._service.store

    @property
    def limits(self) -> Limits:
        """Bounds on what comes in, goes on and goes out."""
        return self._service.limits

    @property
    def timeouts(self) -> Timeouts:
        """Bounds on time."""
        return self._service.timeouts

    @property
    def routers(self) -> tuple[AgentRouter, ...]:
        """The agents."""
        return self._service.routers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        id_, origin = _named(scope)
        request_id.set(id_)
        begun = False

        def with_id(message: Message) -> Awaitable[None]:
            nonlocal begun
            if not begun and message["type"] in STARTS:
                begun = True
                message = {**message}
                if message["type"] != CLOSE:
                    id_header = b"x-request-id", id_.encode("latin-1")
                    message["headers"] = [*message.get("headers", ()), id_header]
                self._count_refusal(message)
            return send(message)

        if origin is not None and self._origins.refuses(scope, origin):
            await refuse(foreign_origin(), scope, receive, with_id)
            return
        try:
            await self._serve(scope, receive, with_id)
            watch_unread(send, self._service.timeouts.write)
        except ClientStalled:
            await cut(send)
        except Exception as error:
            if not begun and scope["type"] == "http":
                response = await _server_error(Request(scope), error)
                await response(scope, receive, with_id)
            raise  # to the server's log

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Start now and end in order; for a host that mounts the app, since a mounted app gets no
        lifespan of its own: `Starlette(routes=[Mount("/agents", app)], lifespan=app.lifespan)`.

        Raises:
            Unavailable: The start failed; the log has the reason.
        """
        await self._service.live()
        try:
            yield
        finally:
            await self.drain()

    async def drain(self) -> None:
        """Take no more runs, let those in flight end, send the traces, leave the lifespan.

        Runs that go on after `Timeouts.drain` are cancelled.
        """
        await self._service.end()

    async def work(self, concurrency: int | None = None) -> None:
        """Execute background runs, and nothing else, until the task is cancelled.

        Args:
            concurrency: How many at once. Default: `Limits.worker_concurrency`.

        Raises:
            ValueError: The store is not PostgreSQL: other processes' runs are not for this one.
            Unavailable: The start failed; the log has the reason.
        """
        if self.store.conninfo is None:
            raise ValueError("A worker needs a store that it shares: postgresql://...")
        if concurrency is not None:
            limits = self._service.limits
            self._service.limits = dataclasses.replace(limits, worker_concurrency=concurrency)
        async with self.lifespan():
            await asyncio.Event().wait()

    def run(self, target: str, argv: Sequence[str] | None = None) -> None:
        """Serve by uvicorn, with the options of `agent-asgi serve`.

        Args:
            target: Where this app is, as "module:app"; worker processes import it.
            argv: The command line. Default: `sys.argv`.
        """
        from .server import main  # uvicorn is not needed where the app is mounted

        main(["serve", target, *(sys.argv[1:] if argv is None else argv)])

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the endpoint that Starlette would find, where it reads a body; else Starlette."""
        app: ASGIApp = self._inner
        if scope.get("method") == "POST":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            app = self._endpoints.get(path, app)
        return app(scope, receive, send)

    def _count_refusal(self, start: Message) -> None:
        """Count what an answer refuses, and take out what its start says of that."""
        if start.get("status", 0) >= 400 or start["type"] == CLOSE:
            code = start.pop(REFUSED, OTHER)
            if code is not None:
                self._service.counts.refuse(code)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._service.live()
        except AgentError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain()
        await send({"type": "lifespan.shutdown.complete"})


def _named(scope: Scope) -> tuple[str, str | None]:
    """Give the request's id and the origin of the web page that sends it, where one does."""
    id_, origin = "", None
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            id_ = id_ or value.decode("ascii")
        elif name == b"origin":
            origin = value.decode("latin-1")
    return id_ or "req_" + random_text(), origin


def _uncounted(app: ASGIApp) -> ASGIApp:
    """Have no answer of a fallback count as a refusal of ours, but for errors in our form."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message.get("status", 0) >= 400:
                message.setdefault(REFUSED, None)
            await send(message)

        await app(scope, receive, told)

    return serve


def _routes(service: Service, playground: bool) -> list[BaseRoute]:
    info = Info(service)
    routes: list[BaseRoute] = [
        Route("/models", info.models),
        Route("/v1/models", info.models),
        Route("/models/{id}", info.model),
        Route("/v1/models/{id}", info.model),
        Route("/agent/info", info.agent),
        Route("/health", info.health),
        Route("/ready", info.ready),
        Route("/ping", info.ping),
        Route("/metrics", info.metrics),
        Route("/feedback", Feedback(service, "/feedback"), methods=["POST"]),
    ]
    if len(service.routers) == 1:
        routes = _agent_routes(service, service.routers[0], "") + routes
    else:
        for router in service.routers:
            routes += _agent_routes(service, router, f"/{router.name}")
        routes = [*_responses_routes(service, None, ""), *routes]
    if playground:
        page = Playground(service)
        routes += [
            Route("/", page.playground),
            Route("/playground/{file}", page.playground_file),
            Route("/playground.json", page.playground_settings),
        ]
    docs = Docs(service, routes)
    routes += [Route("/openapi.json", docs.document), Route("/docs", docs.page)]
    return routes


def _endpoints(routes: Sequence[BaseRoute], access: Sequence[Middleware]) -> dict[str, ASGIApp]:
    """Give the endpoints that read a body, by their paths, behind the middleware."""
    found: dict[str, ASGIApp] = {}
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            found[route.path] = route.endpoint
            for each in access:
                found[route.path] = each.cls(route.endpoint, *each.args, **each.kwargs)
    return found


def _agent_routes(service: Service, router: AgentRouter, prefix: str) -> list[BaseRoute]:
    if router.protocol == "responses":
        return _responses_routes(service, router, prefix)
    path = f"{prefix}/invocations"
    return [Route(path, JsonInvocations(service, path, router), methods=["POST"])]


def _responses_routes(service: Service, router: AgentRouter | None, prefix: str) -> list[BaseRoute]:
    invocations = f"{prefix}/invocations"
    routes: list[BaseRoute] = [
        Route(invocations, Invocations(service, invocations, router), methods=["POST"])
    ]
    for path in (f"{prefix}/responses", f"{prefix}/v1/responses"):
        one = path + "/{id}"
        routes += [
            Route(path, Responses(service, path, router), methods=["POST"]),
            WebSocketRoute(path, WebSocket(service, router)),
            Route(f"{path}/compact", Compact(service, f"{path}/compact", router), methods=["POST"]),
            Route(f"{path}/input_tokens", _not_offered, methods=["GET", "POST", "DELETE"]),
            Route(one, Retrieve(service, router), methods=["GET"]),
            Route(one, Delete(service, router), methods=["DELETE"]),
            Route(f"{one}/cancel", Cancel(service, router), methods=["POST"]),
            Route(f"{one}/input_items", InputItems(service, router), methods=["GET"]),
        ]
    if service.chat_completions:
        for path in (f"{prefix}/chat/completions", f"{prefix}/v1/chat/completions"):
            routes.append(Route(path, ChatCompletions(service, path, router), methods=["POST"]))
    return routes


async def _not_offered(_: Request) -> Response:
    """Answer where OpenAI counts tokens; without a route it would be a response of that id."""
    return error_response(NotFound("This server counts no tokens in advance.", "not_found"))


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    visible = from_http(error)
    if visible.status == 405:
        visible.headers = {"allow": _allowed(request)}
    return error_response(visible)


def _allowed(request: Request) -> str:
    """List the methods of a path; Starlette tells of the first of its routes alone."""
    routes = [each for each in request.app.routes if isinstance(each, Route)]
    here = next(each.path for each in routes if each.matches(request.scope)[0] is not Match.NONE)
    methods = {method for each in routes if each.path == here for method in each.methods or ()}
    return ", ".join(sorted(methods))


async def _server_error(_: Request, __: Exception) -> Response:
    return error_response(AgentError("The server failed. Its log has the reason."))
