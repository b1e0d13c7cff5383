"""What `agent-asgi dev` prints when it listens."""

import os
import sys
from importlib.util import find_spec
from typing import Any

from ..tracing import setup

VIEWER = "flask_swagger_ui"
"""The package without which `/docs` is a 404."""


def banner(app: Any, url: str) -> str:
    """Return where an app is reached, and what it keeps where.

    Args:
        app: The app.
        url: The URL that the server listens on.
    """
    if not hasattr(app, "routers"):  # the host of an AgentApp
        return _lines({"App": url})
    only_here = ", ".join(app.dev_protocols)
    more = f" (also {only_here}; `serve` needs protocols= for these)" if only_here else ""
    traces = setup.destination()
    name, path = ("Docs", "docs") if find_spec(VIEWER) else ("OpenAPI", "openapi.json")
    return _lines(
        {
            "Playground": f"{url}/" if app.has_playground else "none: the fallback serves /",
            "API": f"{url}/v1/responses{more}",
            name: f"{url}/{path}",
            "Agents": ", ".join(router.name for router in app.routers),
            "Store": app.store.url + ("" if app.store.shared else " (a reload forgets it)"),
            "Traces": "off (OTEL_SDK_DISABLED)" if traces is None else place(traces),
        }
    )


def place(uri: str) -> str:
    """Return a tracking URI, and the command that shows the traces of a database."""
    command = setup.viewer(uri)
    return uri if command is None else f"{uri} ({command})"


def _lines(rows: dict[str, str]) -> str:
    bold, plain = ("\033[1m", "\033[0m") if _has_colours() else ("", "")
    return "".join(f"  {bold}{name:<12}{plain}{text}\n" for name, text in rows.items())


def _has_colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
