"""`predict_fn` under the real `mlflow.genai.evaluate`: one trace per row, with its scores."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest

from agent_asgi import AgentError, AgentRouter, ResponsesRequest, get_context, testing
from agent_asgi.testing import predict_fn
from tests.support.traces import traces


@pytest.fixture(scope="module")
def experiment(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create the experiment for the evaluations, with its files in a temporary folder."""
    folder: Path = tmp_path_factory.mktemp("artifacts")
    return str(mlflow.create_experiment("t-evaluations", artifact_location=folder.as_uri()))


def evaluate(experiment: str, router: AgentRouter, *inputs: dict[str, Any]) -> tuple[Any, str]:
    """Evaluate an agent with one scorer; return the result and the run's id."""
    from mlflow.genai import evaluate, scorer

    @scorer
    def echoes(inputs: dict[str, Any], outputs: Any, trace: Any) -> bool:
        return trace is not None and str(inputs.get("input", inputs.get("a"))) in str(outputs)

    # If MLflow exported a trace of an earlier test while importing its autologging integrations,
    # its hooks and Python's import lock would deadlock.
    mlflow.flush_trace_async_logging()
    data = [{"inputs": each} for each in inputs]
    with mlflow.start_run(experiment_id=experiment) as run:
        result = evaluate(data=data, predict_fn=predict_fn(router), scorers=[echoes])
    return result, run.info.run_id


@pytest.mark.parametrize("kind", ["async generator", "thread"])
def test_each_row_has_one_trace_with_its_inputs_outputs_and_score(
    experiment: str, kind: str
) -> None:
    name = f"t-eval-{kind.replace(' ', '-')}"
    router = AgentRouter(name, experiment="t-evaluations")
    if kind == "thread":

        @router.invoke
        def answer(request: ResponsesRequest) -> str:
            with mlflow.start_span("look"):
                time.sleep(0.01)
            return f"You said {request.input_text}."

    else:

        @router.stream
        async def stream(request: ResponsesRequest) -> AsyncIterator[str]:
            yield "You said "
            with mlflow.start_span("look"):
                await asyncio.sleep(0.01)
            yield f"{request.input_text}."

    rows = [{"input": f"row {n}", "user": "ann"} for n in range(4)]
    result, run = evaluate(experiment, router, *rows)
    assert result.metrics["echoes/mean"] == 1
    found = traces(agent=name)
    assert len(found) == 4
    by_input = sorted(found, key=lambda each: str(each.data.spans[0].inputs["input"]))
    for row, trace in zip(rows, by_input, strict=True):
        root, look = sorted(trace.data.spans, key=lambda each: each.start_time_ns)
        assert root.inputs == row
        text = root.outputs["output"][0]["content"][0]["text"]
        assert text == f"You said {row['input']}."
        assert (look.name, look.parent_id) == ("look", root.span_id)
        assert [each.value for each in trace.info.assessments] == [True]
        assert trace.info.trace_metadata["mlflow.sourceRun"] == run
        assert trace.info.trace_metadata["mlflow.trace.user"] == "ann"


def test_row_that_fails_says_why_and_keeps_its_trace(experiment: str) -> None:
    router = AgentRouter("t-eval-fails", experiment="t-evaluations")

    @router.stream
    async def fails(request: ResponsesRequest) -> AsyncIterator[str]:
        yield "So far "
        if request.input_text == "bad":
            raise ValueError("out of luck")
        yield f"{request.input_text}"

    evaluate(experiment, router, {"input": "good"}, {"input": "bad"})
    good, bad = (
        traces(agent="t-eval-fails", status="completed"),
        traces(agent="t-eval-fails", status="failed"),
    )
    assert len(good) == len(bad) == 1
    assert bad[0].data.spans[0].outputs["output"][0]["content"][0]["text"] == "So far "
    with pytest.raises(AgentError, match="ValueError: out of luck"):
        predict_fn(router)(input="bad")


def test_rows_share_one_event_loop_and_are_streams_where_they_say_so() -> None:
    loops = set()
    router = AgentRouter("t-eval-loop")

    @router.invoke
    async def whole(request: ResponsesRequest) -> str:
        loops.add(asyncio.get_running_loop())
        return "whole"

    @router.stream
    async def bits(request: ResponsesRequest) -> AsyncIterator[str]:
        loops.add(asyncio.get_running_loop())
        yield f"bits of {get_context().session_id}"

    predict = predict_fn(router)
    assert predict(input="x")["output"][0]["content"][0]["text"] == "whole"
    databricks: Any = {"stream": True, "databricks_options": {"return_trace": True}}
    streamed = predict(input="x", context={"conversation_id": "c"}, **databricks)
    assert streamed["output"][0]["content"][0]["text"] == "bits of c"
    assert len(loops) == 1
    assert len(traces(agent="t-eval-loop")) == 2


def test_json_router_is_given_its_json() -> None:
    router = AgentRouter("t-eval-json", protocol="json")

    @router.invoke
    async def add(request: dict[str, int]) -> dict[str, int]:
        return {"sum": request["a"] + request["b"]}

    @router.stream
    async def count(request: dict[str, int]) -> AsyncIterator[dict[str, int]]:
        for number in range(request["a"]):
            yield {"number": number}
        if request["b"]:
            raise ValueError("too far")

    predict = predict_fn(router)
    assert predict(a=1, b=2) == {"sum": 3}
    assert predict(a=2, b=0, stream=True) == [{"number": 0}, {"number": 1}]
    with pytest.raises(AgentError, match="too far"):
        predict(a=2, b=1, stream=True)


def test_json_that_has_an_error_of_its_own() -> None:
    router = AgentRouter("t-eval-soft", protocol="json")
    router.invoke(lambda: {"error": "not found"})
    router.stream(lambda: iter([{"error": "not found"}, {"error": None}]))
    predict = predict_fn(router)
    assert predict() == {"error": "not found"}
    assert predict(stream=True) == [{"error": "not found"}, {"error": None}]


@pytest.mark.parametrize("stream", [False, True])
def test_response_that_says_that_it_failed(stream: bool) -> None:
    router = AgentRouter("t-eval-failed")
    error = {"code": "server_error", "message": "upstream is down"}

    @router.stream
    async def forward(request: ResponsesRequest) -> AsyncIterator[Any]:
        yield {"type": "response.failed", "response": {"error": error}}

    with pytest.raises(AgentError, match="upstream is down"):
        predict_fn(router)(input="x", stream=stream)


def test_first_calls_that_come_at_once_share_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    def start() -> asyncio.AbstractEventLoop:
        time.sleep(0.05)
        loops.append(asyncio.new_event_loop())
        return loops[-1]

    monkeypatch.setattr(testing, "_started", functools.cache(start))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: testing._loop(), range(4)))
    for each in loops:
        each.close()
    assert len(loops) == len(found) == 1


def test_inputs_at_fault_name_their_field() -> None:
    router = AgentRouter("t-eval-wrong")
    router.invoke(lambda: "x")
    with pytest.raises(AgentError, match="a string or a list of items") as raised:
        predict_fn(router)(question="x")
    assert raised.value.param == "input"


def test_failure_with_a_note_is_told_without_it() -> None:
    router = AgentRouter("t-eval-note", protocol="json")

    @router.invoke
    async def fail() -> None:
        error = ValueError("boom")
        error.add_note("in the second node")
        raise error

    with pytest.raises(AgentError, match=r"^ValueError: boom$"):
        predict_fn(router)()
