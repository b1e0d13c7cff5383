"""`Target`: the module or file that a command line names, and the app or agent in it."""

import gc
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from uvicorn.importer import import_from_string

from ..agents.frameworks import ACCEPTED, is_agent, is_handler
from ..agents.router import AgentRouter
from ..errors import MissingExtra
from ..observability.tracebacks import describe, exc_info
from .options import fail

APP = "agent_asgi.app:AgentApp"
"""Serves a bare agent. The server knows apps by their import strings only, its own one too."""


HIDDEN = frozenset({"agent_asgi", "mlflow", "msgspec", "sse_starlette", "starlette", "uvicorn"})
"""The packages that the server needs; a file of such a name would be imported in their place."""


class Target(NamedTuple):
    """What a command line names."""

    module: str
    """The module's name."""
    attribute: str | None
    """The app or agent in it; None to look for it."""
    folder: Path
    """The folder that the module's name is relative to."""
    path: Path | None = None
    """The module's file, if it was named by that."""

    def __str__(self) -> str:
        return self.module if self.attribute is None else f"{self.module}:{self.attribute}"


def parse(text: str) -> Target:
    """Return the target that a text names, and make its module importable.

    Args:
        text: `module:attribute`, `module`, or the path of a file in place of the module.

    Raises:
        SystemExit: There is no such file, or its name is no module's.
    """
    head, colon, tail = text.rpartition(":")
    named = bool(colon) and all(part.isidentifier() for part in tail.split("."))
    module, attribute = (head, tail) if named else (text, None)
    if not module.endswith(".py") and not {os.sep, "/"} & {*module}:
        if not all(part.isidentifier() for part in module.split(".")):
            fail(f"{text!r} is neither `module:app` nor `module` nor the path of a file.")
        return Target(module, attribute, Path.cwd())
    path = Path(module).resolve()
    if path.stem in HIDDEN:
        fail(f"{module!r} would hide the package {path.stem!r}. Rename the file.")
    if path.is_dir():
        fail(f"{module!r} is a folder. Name a file in it.")
    if not path.is_file():
        fail(f"There is no file {module!r}.")
    if path.suffix != ".py" or "." in path.stem:
        fail(f"{module!r} is not a file that Python can import: its name must be like `agent.py`.")
    name, folder = _located(path)
    sys.path.insert(0, str(folder))
    return Target(name, attribute, folder, path)


def load_app(target: Target) -> tuple[str, Any]:
    """Import an ASGI app.

    Returns:
        The app's import string, and the app.

    Raises:
        SystemExit: It cannot be imported, or is no app.
    """
    name, value = _find(target)
    where = f"{target.module}:{name}"
    if is_agent(value) or is_handler(value):
        fail(
            f"{where!r} is not an app but {_kind(value)}. Serve AgentApp({name}), or run "
            f"`agent-asgi dev {where}`."
        )
    if not callable(value) or isinstance(value, type):
        fail(f"{where!r} is not an app but {_kind(value)}.")
    _require_handlers(where, value)
    return where, value


def load_any(target: Target) -> Any:
    """Import an app, or an agent and serve it.

    Returns:
        The app.

    Raises:
        SystemExit: It cannot be imported, or is neither an app nor an agent.
    """
    name, value = _find(target)
    where = f"{target.module}:{name}"
    if callable(value) and not isinstance(value, type) and not _needs_app(value):
        _require_handlers(where, value)
        return value
    try:
        app = import_from_string(APP)(value)
    except (ImportError, TypeError, ValueError) as error:
        fail(f"{where!r} cannot be served: {error}")
    _require_handlers(where, app)
    return app


def _require_handlers(where: str, app: Any) -> None:
    """End the process with a message if a router of an app has no handler."""
    try:
        for router in getattr(app, "routers", ()):
            if isinstance(router, AgentRouter):
                router.require_handler()
    except ValueError as error:
        fail(f"{where!r} cannot be served: {error}")


def _needs_app(value: Any) -> bool:
    """Return whether a callable is an agent or a handler, and no ASGI app."""
    if is_agent(value):
        return True
    # an ASGI app takes three arguments, a factory of one none
    return inspect.isroutine(value) and 0 < len(inspect.signature(value).parameters) < 3


def _located(path: Path) -> tuple[str, Path]:
    """Return the name of a file's module, with its packages, and the folder that has these."""
    names = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names), folder


def _find(target: Target) -> tuple[str, Any]:
    """Return the app or agent that a target names, and its name in the module."""
    module = _import(target)
    if target.attribute is None:
        return _only(module, str(target))
    value: Any = module
    for name in target.attribute.split("."):
        if not hasattr(value, name):
            fail(f"Module {target.module!r} has no {target.attribute!r}.{_offer(module)}")
        value = getattr(value, name)
    return target.attribute, value


def _import(target: Target) -> ModuleType:
    collects = gc.isenabled()
    gc.disable()  # what an import makes stays, and MLflow's makes much of it
    try:
        module = import_module(target.module)
    except MissingExtra as error:
        fail(f"{_place(error)}{error}")
    except Exception as error:  # noqa: BLE001  a module may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{target.module}.".startswith(f"{missing}."):
            fail(f"There is no module {missing!r}, neither in {str(Path.cwd())!r} nor installed.")
        fail(f"Cannot import {target.module!r}:\n\n{describe(error)}")
    finally:
        if collects:
            gc.enable()
    if target.path is not None and Path(module.__file__ or "").resolve() != target.path:
        fail(f"{target.path.name!r} has the name of another module. Rename the file.")
    return module


def _place(error: BaseException) -> str:
    """Return the line of the user's module that an exception comes from, for a message."""
    frames = traceback.extract_tb(exc_info(error)[2])
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""


def _only(module: ModuleType, target: str) -> tuple[str, Any]:
    """Return the one app or agent of a module, and its name."""
    if "app" in vars(module):
        return "app", vars(module)["app"]
    for fits in _KINDS:
        found = _values(module, fits)
        if len(found) == 1:
            return next(iter(found.items()))
        if found:
            names = ", ".join(f"{name} ({_kind(value)})" for name, value in found.items())
            fail(f"{target!r} has several: {names}. Name one: {target}:{next(iter(found))}.")
    return fail(
        f"{target!r} has no app and no agent. It needs `app = AgentApp(...)`; `agent-asgi dev` "
        f"also takes {ACCEPTED} that takes a ResponsesRequest."
    )


def _values(module: ModuleType, fits: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the public values of one kind in a module, by name; of functions only its own."""
    found: dict[int, str] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or not fits(value):
            continue
        if not inspect.isroutine(value) or value.__module__ == module.__name__:
            found.setdefault(id(value), name)
    return {name: vars(module)[name] for name in found.values()}


def _is_app(value: object) -> bool:
    return any(f"{kind.__module__}:{kind.__name__}" == APP for kind in type(value).__mro__)


def _is_router(value: object) -> bool:
    return isinstance(value, AgentRouter)


_KINDS: tuple[Callable[[Any], bool], ...] = (_is_app, _is_router, is_agent, is_handler)
"""What is looked for in a module, in this order."""


def _offer(module: ModuleType) -> str:
    """Return what a module has in place of what was named."""
    found = {name: value for fits in _KINDS for name, value in _values(module, fits).items()}
    if not found:
        return ""
    return f" It has {', '.join(f'{name} ({_kind(value)})' for name, value in found.items())}."


def _kind(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "a function" if inspect.isroutine(value) else f"of type {type(value).__name__}"
