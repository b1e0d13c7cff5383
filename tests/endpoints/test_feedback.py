"""`POST /feedback`: an assessment on the response's trace, and who may add one."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlflow
import pytest
from mlflow.tracing.client import TracingClient

import agent_asgi.tracing.query as room
from agent_asgi import AgentApp, AgentRouter
from agent_asgi.errors import Unavailable
from agent_asgi.tracing import feedback
from agent_asgi.tracing.options import TraceOptions
from agent_asgi.tracing.tracer import Tracer
from tests.support.asking import ANN, BOB, TOKENS, Reply, fetch
from tests.support.traces import traces

Serve = Callable[[Any], str]
BODY = {"input": "x", "model": "liked"}


def liked() -> AgentRouter:
    """Make an agent."""
    router = AgentRouter("liked")
    router.invoke(lambda request: "yes")
    return router


def answered(url: str, token: str | None = None, **more: Any) -> dict[str, Any]:
    """Call the agent; return the ids to send with feedback."""
    reply = fetch(url, "POST", "/responses", token, {**BODY, **more})
    id_ = reply.body.partition(b'"id":"')[2].partition(b'"')[0].decode()
    return {"response_id": id_, "trace_id": reply.headers["x-mlflow-trace-id"]}


def tell(url: str, token: str | None = None, **body: Any) -> Reply:
    """Send feedback."""
    return fetch(url, "POST", "/feedback", token, body)


def kept(response_id: str) -> list[tuple[Any, ...]]:
    """Return the assessments that MLflow has on the response's trace."""
    (trace,) = traces(response_id=response_id)
    return [
        (each.name, each.value, each.rationale, each.source.source_type, each.source.source_id)
        for each in trace.info.assessments
    ]


def test_feedback_is_an_assessment_and_the_second_replaces_the_first(serve: Serve) -> None:
    url = serve(AgentApp(liked()))
    ids = answered(url)
    first = tell(url, **ids, value=True, comment="Good.")
    assert first.status == 200
    assert kept(ids["response_id"]) == [("user_feedback", True, "Good.", "HUMAN", "anonymous")]
    second = tell(url, **ids, value=False)
    assert second.body == first.body.replace(b"true", b"false")
    assert kept(ids["response_id"]) == [("user_feedback", False, "Good.", "HUMAN", "anonymous")]


def test_of_several_at_once_one_is_kept(serve: Serve) -> None:
    url = serve(AgentApp(liked()))
    ids = answered(url)
    assert tell(url, **answered(url), value=True).status == 200  # imports MLflow
    with ThreadPoolExecutor(room.AT_ONCE) as pool:
        told = list(pool.map(lambda _: tell(url, **ids, value=True), range(room.AT_ONCE)))
    assert {each.status for each in told} == {200}
    assert len(kept(ids["response_id"])) == 1


def test_only_the_owner_gives_feedback(serve: Serve) -> None:
    url = serve(AgentApp(liked(), authenticate=TOKENS))
    mine, other = answered(url, ANN), answered(url, ANN)
    assert tell(url, None, **mine, value=True).status == 401
    told = tell(url, BOB, **mine, value=True)
    assert (told.status, told.error["code"]) == (404, "response_not_found")
    mixed = {**mine, "trace_id": other["trace_id"]}
    told = tell(url, ANN, **mixed, value=True)
    assert (told.status, told.error["code"]) == (404, "trace_not_found")
    assert tell(url, ANN, **mine, value=True).status == 200
    assert [each[-1] for each in kept(mine["response_id"])] == ["ann"]
    assert kept(other["response_id"]) == []


def test_what_is_not_there(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "GRACE_SECONDS", 0.1)
    url = serve(AgentApp(liked()))
    ids = answered(url)
    told = tell(url, **{**ids, "response_id": "resp_no"}, value=True)
    assert (told.status, told.error["param"]) == (404, "response_id")
    told = tell(url, **{**ids, "trace_id": "tr-no"}, value=True)
    assert (told.status, told.error["param"]) == (404, "trace_id")
    told = tell(url, **answered(url, store=False), value=True)
    assert (told.status, told.error["code"]) == (404, "response_not_found")


def test_a_trace_whose_tags_are_not_there_yet(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(AgentApp(liked()))
    ids = answered(url)
    assert tell(url, **ids, value=True).status == 200  # waits for the trace
    store = type(TracingClient().store)
    get, early = store.get_trace_info, [True]

    def slow(self: Any, trace_id: str) -> Any:
        info = get(self, trace_id)
        if early:
            early.clear()
            info.tags.clear()
        return info

    monkeypatch.setattr(store, "get_trace_info", slow)
    assert tell(url, **ids, value=False).status == 200
    assert not early


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"value": "yes"}, "value"),
        ({"value": None}, "value"),
        ({"response_id": 1}, "response_id"),
        ({"trace_id": ""}, "trace_id"),
        ({"trace_id": "../../2.0/mlflow/experiments/search?x="}, "trace_id"),
        ({"trace_id": "trace:/../../x"}, "trace_id"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"comment": ["x"]}, "comment"),
    ],
)
def test_a_bad_field_is_named(serve: Serve, wrong: dict[str, Any], param: str) -> None:
    url = serve(AgentApp(liked()))
    fields: dict[str, Any] = {"response_id": "r", "trace_id": "t", "value": True}
    told = tell(url, **(fields | wrong))
    assert (told.status, told.error["param"]) == (400, param)
    del fields["value" if param == "comment" else param]
    assert tell(url, **fields).status == 400


def test_tracing_off_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    url = serve(AgentApp(liked()))
    reply = fetch(url, "POST", "/responses", None, BODY)
    id_ = reply.body.partition(b'"id":"')[2].partition(b'"')[0].decode()
    told = tell(url, response_id=id_, trace_id="tr-1", value=True)
    assert (told.status, told.error["code"], told.error["param"]) == (
        400,
        "not_supported",
        "trace_id",
    )


def test_an_mlflow_that_has_not_answered_yet_is_told() -> None:
    given = feedback.Feedback("tr-1", "resp_1", True, None, "ann")
    with pytest.raises(Unavailable):
        asyncio.run(Tracer([], TraceOptions()).keep_feedback(given))


def test_an_mlflow_that_does_not_answer_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(AgentApp(liked()))
    ids = answered(url)
    hold, held = threading.Event(), threading.Semaphore(0)

    def hang(_: Any) -> None:
        held.release()
        hold.wait(10)
        raise OSError("No server.")

    monkeypatch.setattr(room, "SECONDS", 0.2)
    monkeypatch.setattr(feedback, "exported", hang)
    try:
        for _ in range(room.AT_ONCE):
            told = tell(url, **ids, value=True)
            assert (told.status, told.error["code"]) == (503, "unavailable")
            assert "right now" in told.error["message"]
            assert held.acquire(timeout=10)
        told = tell(url, **ids, value=True)
        assert (told.status, told.headers["retry-after"]) == (503, "1")
        assert "busy" in told.error["message"]
    finally:
        hold.set()


def test_a_thread_that_cannot_start_leaves_room_for_later_ones(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(AgentApp(liked()))
    ids = answered(url)
    mlflow.flush_trace_async_logging()

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    given = feedback.Feedback(ids["trace_id"], ids["response_id"], True, None, "ann")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        for _ in range(room.AT_ONCE):
            with pytest.raises(Unavailable):
                asyncio.run(feedback.keep(given))
    assert tell(url, **ids, value=True).status == 200


def test_a_failure_of_mlflow_tells_the_client_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise OSError("secret.example refuses.")

    url = serve(AgentApp(liked()))
    ids = answered(url)
    monkeypatch.setattr(feedback, "exported", fail)
    told = tell(url, **ids, value=True)
    assert (told.status, b"secret" in told.body) == (503, False)
    assert "secret.example refuses." in caplog.text


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/#/experiments/7/traces"),
        ("https://me:secret@ml.example/a/", "https://ml.example/a/#/experiments/7/traces"),
        ("sqlite:////home/secret/mlflow.db", None),
        ("databricks", None),
    ],
)
def test_a_traces_page_is_known_where_mlflow_serves_one(
    monkeypatch: pytest.MonkeyPatch, uri: str, page: str | None
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracer = Tracer([], TraceOptions())
    assert tracer.page(None) is None
    tracer._ids[None] = "7"
    tracer._ready.set()
    assert tracer.page(None) == (page and f"{page}?selectedEvaluationId=")
