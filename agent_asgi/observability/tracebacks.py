"""Tracebacks that begin with the user's code, without the frames that led to it."""

import importlib
import os
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
_OURS = (f"{Path(__file__).parents[1]}{os.sep}", str(Path(importlib.__file__).parent), "<frozen ")
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exc_info(error: BaseException) -> ExcInfo:
    """Return an exception with the traceback to log: from the user's first frame on.

    Frames of this package are left out.
    """
    entries: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    shown: TracebackType | None = None
    for entry in reversed(_shown(entries, lambda each: each.tb_frame.f_code.co_filename)):
        shown = TracebackType(shown, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return type(error), error, shown


def describe(error: BaseException) -> str:
    """Return an exception and its traceback as text, from the user's first frame on.

    Frames of this package are left out, and so are causes that have no other frames.
    """
    report = traceback.TracebackException.from_exception(error)
    _trim(report)
    return "".join(report.format()).rstrip()


def summarize(error: BaseException) -> str:
    """Return an exception as text: its type and message, then its traceback, if it has one."""
    message = "".join(traceback.format_exception_only(error)).rstrip()
    frames = describe(error).removesuffix(message).rstrip()
    return f"{message}\n\n{frames}" if frames else message


def _trim(report: traceback.TracebackException) -> None:
    reports = [report]
    for each in reports:  # grows meanwhile; a chain may be too long for a recursion
        shown = _shown([*each.stack], lambda frame: frame.filename)
        each.stack = traceback.StackSummary.from_list(shown)
        linked = (each.__cause__, each.__context__, *(each.exceptions or ()))
        reports += [other for other in linked if other is not None]
    for each in reports:
        if each.__cause__ is not None and not each.__cause__.stack:
            each.__cause__ = None
        if each.__context__ is not None and not each.__context__.stack:
            each.__context__ = None


def _shown(entries: Sequence[T], filename: Callable[[T], str]) -> list[T]:
    """Return the entries from the user's first on, without this package's and the import system's.

    If no entry is the user's, those of the libraries are returned.
    """
    others = [entry for entry in entries if not filename(entry).startswith(_OURS)]
    is_user = [not filename(entry).startswith(_LIBRARIES) for entry in others]
    return others[is_user.index(True) :] if any(is_user) else others
