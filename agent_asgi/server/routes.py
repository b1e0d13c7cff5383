"""The command `agent-asgi routes`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from .options import add_environment, add_target, apply_environment, fail
from .target import load_any, parse

if TYPE_CHECKING:
    from .options import Commands

HEAD = ("METHOD", "PATH", "WHAT IT DOES", "AGENT")
UNLISTED = frozenset({"not_offered", "playground_file", "viewer_file"})
"""Routes that nobody calls by hand."""
Row = tuple[str, str, str, str]


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "routes",
        help="list the paths of an app",
        description="List the methods and paths of an app, with the protocol and the agent of "
        "each. If no agent is named, a request's `model` names it, or none is needed.",
        epilog="example:\n  agent-asgi routes agent.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    add_environment(parser)
    parser.set_defaults(command=show)


def show(options: argparse.Namespace) -> None:
    """Write the table of an app's routes to standard output.

    Raises:
        SystemExit: The target has no routes.
    """
    apply_environment(options)
    app = load_any(parse(options.target))
    routes = getattr(app, "routes", None)
    if routes is None:
        fail(f"{options.target!r} is a {type(app).__name__} and lists no routes.")
    rows = [HEAD, *_rows(routes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _rows(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[Row]:
    summary = _summary_of(routes)
    for route in routes:
        if isinstance(route, Mount):
            yield from _rows(route.routes, prefix + route.path)
        elif isinstance(route, Route | WebSocketRoute) and route.name not in UNLISTED:
            methods = sorted((getattr(route, "methods", None) or {"WEBSOCKET"}) - {"HEAD"})
            does = summary(methods[0], route.path) or route.name
            yield ", ".join(methods), prefix + route.path, does, _agent(route)


def _summary_of(routes: Sequence[BaseRoute]) -> Callable[[str, str], str | None]:
    """Return the function that describes a route by the app's OpenAPI document, if it has one."""
    endpoints = {route.path: route.endpoint for route in routes if isinstance(route, Route)}
    docs = getattr(endpoints.get("/openapi.json"), "__self__", None)
    return getattr(docs, "summary", lambda *_: None)


def _agent(route: Route | WebSocketRoute) -> str:
    endpoint = getattr(route.endpoint, "__self__", route.endpoint)
    return getattr(getattr(endpoint, "router", None), "name", "")
