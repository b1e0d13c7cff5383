"""`AgentApp`: composes agents into one ASGI app."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import NoneType
from typing import Any

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import config as settings
from .agents.frameworks import router_of
from .agents.router import AgentRouter
from .background.webhooks import Webhook
from .config import Limits, Quota, Timeouts, require, require_context_manager
from .context import has_run, request_id
from .endpoints.feedback import Feedback
from .endpoints.health import Health
from .endpoints.index import Index
from .endpoints.metrics import MetricsEndpoint
from .endpoints.models import Models
from .endpoints.openapi import viewer
from .endpoints.openapi.endpoint import Docs
from .endpoints.playground.endpoint import Playground
from .errors import AgentError
from .http.auth import Access, Authenticate
from .http.connection import PIECE, ClientStalled, cut, send_in_pieces, watch_unread
from .http.cors import Origins, foreign_origin
from .http.request_id import id_and_origin, with_id
from .http.responses import REFUSED, error_response, refuse
from .http.routing import Fallback, Routes
from .protocols import installed, registry
from .protocols.base import Protocol
from .protocols.chat_completions.protocol import ChatCompletions
from .runtime import AppConfig, Lifespan
from .store.base import Store
from .store.open import open_store
from .tracing.options import TraceOptions

CLOSE = "websocket.close"
"""As the first message it refuses the handshake; the server answers 403."""
STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start", CLOSE)
"""The messages that may begin an answer."""
ENDPOINTS = {
    *("agent", "conversations", "docs", "feedback", "health", "metrics", "models"),
    *("openapi.json", "ping", "playground", "ready", "v1"),
}
"""First segments of the server's own paths."""
DEV_CLEANUP = 0.5
"""`Timeouts.cleanup` under `agent-asgi dev`, at most: the server ends within a second."""


class AgentApp:
    """Serves agents as an ASGI app, alone or mounted in another app.

    Args:
        *agents: The agents: an `AgentRouter`, an agent that an adapter serves (a compiled LangGraph
            graph, an `Agent` of the OpenAI Agents SDK or of Pydantic AI, an MLflow
            `ResponsesAgent`), or a handler function. The adapter's `router()` takes options. One
            agent is served at the root, several under their names and, by a request's `model`, at
            the root.
        store: Where responses are stored: a store or its URL, `memory://`,
            `sqlite:///responses.db` or `postgresql://user@host/name`. Default: the environment
            variable `AGENT_ASGI_STORE`, else `memory://`.
        limits: Bounds on sizes and numbers. Default: `Limits()`.
        timeouts: Bounds on time. Default: `Timeouts()`.
        authenticate: Returns the authenticated user: a sync or async function of Starlette's
            `HTTPConnection` that returns a principal (an id, or an object like Starlette's
            `BaseUser`) or None for a 401. Not called for `/health`, `/ready`, `/ping` and the page
            at `/docs`, or if middleware has authenticated the request. Default None: no
            authentication.
        allowed_origins: Origins of the web pages that may use the app besides its own, such as
            `https://app.example.com`; "*" for all. Default none, and no CORS.
        fallback: An ASGI app for the requests and WebSockets that no endpoint takes, such as
            `agent_asgi.proxy.ReverseProxy`. `authenticate`, the check of origins and the
            middleware apply to it. Its lifespan, if it has one, is entered. Default None: 404.
        middleware: Starlette middleware around all endpoints. Default none.
        lifespan: An async context manager, called with the app and entered at start. The mapping
            that it yields is in `Context.state`. Default None.
        playground: Whether `/` serves a page to talk to the agents. The page itself needs no
            authentication; its requests do. Default False: without a fallback, `/` lists what is
            served.
        protocols: The protocols besides the Responses API and `/invocations`.
            Default: `ChatCompletions()`.
        webhooks: Receivers of the ends of background runs. Default none.
        single_user: Whether everybody who can reach the app is one user. Without it or
            `authenticate`, nothing is listed, and conversations whose names clients chose do not
            remember, since strangers could guess the names. Default False.
        quota: What each authenticated user may use, or a function that returns it for the user's id
            (None: no bound). Without authentication all clients are one user. Default None: no
            bound.
        continue_trace: Whether a run continues the trace that a `traceparent` header names, for
            callers that trace with MLflow, and passes their `baggage` on to the services that its
            instrumented clients call. Default False: the trace becomes a link.
        capture_content: Whether traces have the words of conversations: bodies, outputs, texts of
            errors, arguments and outputs of tools. OpenTelemetry's environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=false` also leaves them out.
            Default True.
        span_baggage: Names of entries of `Context.baggage` to copy to all spans of a run. Default
            none.
        debug: Whether errors include the handler's exception. Default False.

    Under `agent-asgi dev` it has a playground unless it has a fallback, its errors include the
    handler's traceback, it is `single_user` unless it authenticates, and it speaks all protocols
    that are installed if `protocols` is not given.

    Raises:
        TypeError: An option has a wrong type, or an agent cannot be served.
        ValueError: There is no agent, two have the same name, a name is reserved for an
            endpoint, two webhooks have the same URL, the store's URL or an origin is invalid, or
            `span_baggage` is a str.
        ImportError: The store, an agent or a webhook needs a package that is not installed.
    """

    def __init__(
        self,
        *agents: object,
        store: Store | str | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        authenticate: Authenticate | None = None,
        allowed_origins: Sequence[str] = (),
        fallback: ASGIApp | None = None,
        middleware: Sequence[Middleware] = (),
        lifespan: Lifespan | None = None,
        playground: bool = False,
        protocols: Sequence[Protocol] | None = None,
        webhooks: Sequence[Webhook] = (),
        single_user: bool = False,
        quota: Quota | Callable[[str], Quota | None] | None = None,
        continue_trace: bool = False,
        capture_content: bool = True,
        span_baggage: Collection[str] = (),
        debug: bool = False,
    ) -> None:
        if store is None:
            store = os.environ.get("AGENT_ASGI_STORE") or "memory://"
        limits = Limits() if limits is None else limits
        timeouts = Timeouts() if timeouts is None else timeouts
        self.dev_protocols: tuple[str, ...] = ()
        """The names of the protocols that are spoken only under `agent-asgi dev`."""
        if protocols is None:
            protocols = installed() if settings.development else [ChatCompletions()]
            self.dev_protocols = tuple(each.name for each in protocols[1:])
        require(
            "AgentApp",
            {
                "authenticate": (authenticate, Callable, NoneType),
                "fallback": (fallback, Callable, NoneType),
                "lifespan": (lifespan, Callable, NoneType),
                "playground": (playground, bool),
                "single_user": (single_user, bool),
                "quota": (quota, Quota, Callable, NoneType),
                "debug": (debug, bool),
                "store": (store, Store, str),
                "limits": (limits, Limits),
                "timeouts": (timeouts, Timeouts),
                "allowed_origins": (allowed_origins, Collection),
                "middleware": (middleware, Sequence),
                "protocols": (protocols, Collection),
                "webhooks": (webhooks, Collection),
            },
        )
        if lifespan is not None:
            require_context_manager("AgentApp", lifespan)
        _require_each("middleware", middleware, Middleware)
        _require_each("protocol", protocols, Protocol)
        _require_each("webhook", webhooks, Webhook)
        if settings.development:
            playground, debug = playground or fallback is None, True
            single_user = single_user or authenticate is None
            cleanup = min(timeouts.cleanup, DEV_CLEANUP)
            timeouts = dataclasses.replace(timeouts, cleanup=cleanup)
        spoken = (*registry.ALWAYS, *protocols)
        default = None if fallback is None else Fallback(fallback)
        self._config = config = AppConfig(
            self,
            [router_of(agent) for agent in agents],
            reserved=frozenset(registry.first_segments(spoken) | ENDPOINTS),
            store=open_store(store) if isinstance(store, str) else store,
            limits=limits,
            timeouts=timeouts,
            webhooks=webhooks,
            receivers=[each for protocol in spoken for each in protocol.receivers],
            notify=[protocol.notice for protocol in spoken if protocol.receivers],
            lifespans=[
                *(each for each in (lifespan, default and default.lifespan) if each),
                *(protocol.lifespan for protocol in spoken),
            ],
            queues=registry.queues(spoken, limits),
            traces=TraceOptions(continue_trace, capture_content, span_baggage),
            authenticated=authenticate is not None,
            single_user=single_user,
            quota=quota,
            debug=debug or settings.debug,
        )
        self.has_playground = playground
        """Whether `/` serves the playground."""
        self._routes = _routes(config, spoken, playground, index=fallback is None)
        inner: ASGIApp = Routes(self._routes, default)
        if authenticate is not None:
            inner = _authenticated(inner, authenticate, config, spoken, playground)
        for layer in reversed(middleware):
            inner = layer.cls(inner, *layer.args, **layer.kwargs)
        self._origins = Origins(allowed_origins)
        self._serve = self._origins.cors(inner)

    @property
    def store(self) -> Store:
        """Where responses are stored."""
        return self._config.store

    @property
    def limits(self) -> Limits:
        """Bounds on sizes and numbers."""
        return self._config.limits

    @property
    def timeouts(self) -> Timeouts:
        """Bounds on time."""
        return self._config.timeouts

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes, like those of a Starlette app."""
        return [*self._routes]

    @property
    def routers(self) -> tuple[AgentRouter, ...]:
        """The agents."""
        return self._config.routers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        scope["app"] = self
        id_, origin = id_and_origin(scope)
        request_id.set(id_)
        has_run.set(False)  # a pipelined request has the context of the one before it
        begun = False
        seconds = self._config.timeouts.write

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal begun
            if not begun and message["type"] in STARTS:
                begun = True
                message = self._start(message, id_)
            elif len(message.get("body", b"")) > PIECE and "more_body" not in message:
                return send_in_pieces(message, receive, send, seconds)
            return send(message)

        if origin is not None and self._origins.refuses(scope, origin):
            await refuse(foreign_origin(), scope, receive, send_with_id)
            return
        try:
            await self._serve(scope, receive, send_with_id)
            watch_unread(send, seconds)
        except ClientStalled:
            await cut(send)
        except Exception:
            if not begun and scope["type"] == "http":
                failure = AgentError("The server failed. Its log has the reason.")
                await error_response(failure)(scope, receive, send_with_id)
            raise  # to the server's log

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """Start the app, and end it in order.

        For hosts, since a mounted app gets no lifespan events:
        `Starlette(routes=[Mount("/agents", app)], lifespan=app.lifespan)`.

        Raises:
            Unavailable: The start failed; the log has the reason.
        """
        await self._config.restart()
        try:
            yield
        finally:
            await self.drain()

    async def drain(self) -> None:
        """Refuse new runs, wait for those in flight, flush the traces and exit the lifespan.

        Runs still in flight after `Timeouts.drain` are cancelled.
        """
        await self._config.end()

    async def work(self, concurrency: int | None = None) -> None:
        """Execute background runs until the task is cancelled.

        Args:
            concurrency: How many at once. Default: `Limits.worker_concurrency`.

        Raises:
            ValueError: The store is not PostgreSQL.
            Unavailable: The start failed; the log has the reason.
        """
        if self.store.conninfo is None:
            raise ValueError("A worker needs a PostgreSQL store: postgresql://...")
        if concurrency is not None:
            limits = self._config.limits
            self._config.limits = dataclasses.replace(limits, worker_concurrency=concurrency)
        async with self.lifespan():
            await asyncio.Event().wait()

    def run(self, target: str, argv: Sequence[str] | None = None) -> None:
        """Serve with uvicorn and the options of `agent-asgi serve`.

        Args:
            target: This app as "module:app"; worker processes import it.
            argv: The command line. Default: `sys.argv`.
        """
        from .server.cli import main  # a mounted app needs no uvicorn

        main(["serve", target, *(sys.argv[1:] if argv is None else argv)])

    def _start(self, start: Message, id_: str) -> Message:
        """Return the message that begins an answer, with the request's id; count a refusal."""
        start = {**start}
        if start["type"] != CLOSE:
            start["headers"] = with_id(start.get("headers", ()), id_)
        if start.get("status", 0) >= 400 or start["type"] == CLOSE:
            code = start.pop(REFUSED, "other")
            if code is not None:
                self._config.refused(code)
        return start

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._config.restart()
        except AgentError as error:
            await send({"type": "lifespan.startup.failed", "message": error.message})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain()
        await send({"type": "lifespan.shutdown.complete"})


def _require_each(name: str, members: Iterable[object], kind: type) -> None:
    for member in members:
        require("AgentApp", {f"each {name}": (member, kind)})


def _authenticated(
    app: ASGIApp,
    authenticate: Authenticate,
    config: AppConfig,
    protocols: Sequence[Protocol],
    playground: bool,
) -> ASGIApp:
    public = registry.public_paths(config, protocols) | viewer.PATHS
    more = registry.challenges(protocols)
    return Access(app, authenticate, playground=playground, public=public, challenges=more)


def _routes(
    config: AppConfig, protocols: Sequence[Protocol], playground: bool, *, index: bool
) -> list[BaseRoute]:
    health, metrics = Health(config), MetricsEndpoint(config)
    agents = registry.routes(config, protocols)
    models = Models(config, partial(registry.paths_of, agents, protocols))
    routes: list[BaseRoute] = [
        *agents,
        *(Route(prefix + "/models", models.models) for prefix in ("", "/v1")),
        *(Route(prefix + "/models/{id}", models.model) for prefix in ("", "/v1")),
        Route("/agent/info", models.agent),
        Route("/health", health.health),
        Route("/ready", health.ready),
        Route("/ping", health.ping),
        Route("/metrics", metrics.metrics),
        Route("/feedback", Feedback(config), methods=["POST"]),
    ]
    if playground:
        page = Playground(config)
        routes += [
            Route("/", page.playground),
            Route("/playground/{file}", page.playground_file),
            Route("/playground/traces/{id}", page.playground_trace),
            Route("/playground.json", page.playground_settings),
        ]
    elif index:
        routes.append(Route("/", Index(models).index))
    docs = Docs(config, routes, registry.operations(protocols), registry.schemas(protocols))
    routes += [
        Route("/openapi.json", docs.document),
        Route("/docs", viewer.viewer),
        Route("/docs/{file}", viewer.viewer_file),
    ]
    return routes
