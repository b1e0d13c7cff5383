"""The object that a command line names."""

import gc
from typing import Any

from uvicorn.importer import ImportFromStringError, import_from_string

from ..agents.router import AgentRouter
from .options import fail


def load(target: str) -> Any:
    """Import an app by its name, such as `module:app`.

    Raises:
        SystemExit: It cannot be imported, or is no app.
    """
    collects = gc.isenabled()
    gc.disable()  # what an import makes stays, and MLflow's makes much of it
    try:
        app = import_from_string(target)
    except (ImportFromStringError, ImportError) as error:
        fail(f"Cannot import {target!r}: {error}")
    finally:
        if collects:
            gc.enable()
    if not callable(app):
        advice = " Serve AgentApp(router)." if isinstance(app, AgentRouter) else ""
        fail(f"{target!r} is not an app but of type {type(app).__name__}.{advice}")
    return app
