"""Tracebacks begin with the user's first frame, and have none of this package's."""

import json
import logging
from collections.abc import Callable

from agent_asgi import AgentRouter
from agent_asgi.observability.tracebacks import describe, exc_info
from agent_asgi.schema.decode import decode_body


def caught(fail: Callable[[], object]) -> Exception:
    """Return what a function raises."""
    try:
        fail()
    except Exception as error:
        return error
    raise AssertionError


def places(text: str) -> list[str]:
    """Return the functions of a traceback's frames."""
    return [line.split(" in ")[1] for line in text.splitlines() if line.startswith("  File ")]


def by_ours() -> None:
    AgentRouter(max_threads=0)


def by_library() -> None:
    json.loads("{")


def with_cause() -> None:
    try:
        by_library()
    except ValueError as error:
        raise KeyError("why") from error


def with_our_cause() -> None:
    decode_body(b"{", dict)


def deep(levels: int = 10_000) -> None:
    deep(levels - 1)


def test_frames_of_this_package_are_left_out() -> None:
    text = describe(caught(by_ours))
    assert places(text) == ["caught", "by_ours"]
    assert text.endswith("ValueError: max_threads must be at least 1.")


def test_frames_of_libraries_stay_below_the_user_s() -> None:
    assert places(describe(caught(by_library)))[:3] == ["caught", "by_library", "loads"]


def test_frames_of_libraries_above_the_user_s_are_left_out() -> None:
    error = caught(lambda: json.loads("1", parse_int=lambda text: by_ours()))
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_name != "loads":
        trace = trace.tb_next
    assert places(describe(error.with_traceback(trace)))[0] == "<lambda>"


def test_a_cause_is_shown_if_it_has_frames_of_the_user_s() -> None:
    text = describe(caught(with_cause))
    assert "The above exception was the direct cause" in text
    assert places(text)[:2] == ["with_cause", "by_library"]


def test_a_cause_within_this_package_is_not_shown() -> None:
    text = describe(caught(with_our_cause))
    assert places(text) == ["caught", "with_our_cause"]
    assert "exception was" not in text


def test_only_libraries_are_shown_if_there_is_nothing_else() -> None:
    error = caught(by_library)
    trace = error.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    text = describe(error.with_traceback(trace.tb_next.tb_next))
    assert places(text)[0] == "loads"


def test_a_syntax_error_has_its_line() -> None:
    text = describe(caught(lambda: compile("x = (\n", "mine.py", "exec")))
    assert 'File "mine.py", line 1' in text


def test_a_log_record_has_the_same_frames() -> None:
    for fail in (by_ours, by_library):
        error = caught(fail)
        text = logging.Formatter().formatException(exc_info(error))
        assert places(text) == places(describe(error))


def test_a_deep_recursion_is_no_trouble() -> None:
    error = caught(deep)
    assert isinstance(error, RecursionError)
    assert exc_info(error)[2] is not None
    assert "RecursionError" in describe(error)


def test_a_group_has_its_exceptions() -> None:
    def fail() -> None:
        raise ExceptionGroup("both", [caught(by_ours), caught(by_library)])

    text = describe(caught(fail))
    assert "max_threads must be at least 1" in text
    assert "router.py" not in text


def test_a_chain_that_no_recursion_could_follow() -> None:
    error = ValueError("first")
    for number in range(3000):
        following = ValueError(str(number))
        following.__context__ = error
        error = following
    assert describe(error).endswith("ValueError: 2999")
