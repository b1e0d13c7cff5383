"""Callers that ask for the trace's id, and callers that trace themselves."""

import concurrent.futures
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import mlflow
import pytest
from mlflow.tracing import get_tracing_context_headers_for_http_request

from agent_asgi import AgentApp
from tests.support.apps import ask
from tests.support.echo import echo_router
from tests.support.traces import traces

ELSEWHERE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


def post(url: str, body: Any, headers: Mapping[str, str]) -> str:
    given = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), given)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize("way", ["header", "options"])
@pytest.mark.parametrize("path", ["/responses", "/invocations"])
def test_trace_id_for_those_who_ask(path: str, way: str) -> None:
    router = echo_router(f"t-asked-{way}-{path[1:]}")
    headers = {"x-mlflow-return-trace-id": "true"} if way == "header" else {}
    options = {} if way == "header" else {"databricks_options": {"return_trace": True}}
    body = {"input": "x", **options}
    plain = ask(AgentApp(router), path, body, headers)
    streamed = ask(AgentApp(router), path, {**body, "stream": True}, headers)
    silent = ask(AgentApp(router), path, {"input": "x", "stream": True})
    ids = [each.headers["x-mlflow-trace-id"] for each in (plain, streamed, silent)]
    assert sorted(each.info.trace_id for each in traces(agent=router.name)) == sorted(ids)
    assert plain.json()["metadata"]["trace_id"] == ids[0]
    assert ids[2].encode() not in silent.body
    events = streamed.events()
    if path == "/responses":
        assert events[-1]["type"] == "response.completed"
        assert events[-1]["trace_id"] == ids[1]
        assert events[-1]["response"]["metadata"]["trace_id"] == ids[1]
    else:
        assert events[-1] == {"trace_id": ids[1]}
        assert [each for each in events if set(each) == {"trace_id"}] == events[-1:]
        assert streamed.body.endswith(b'"}\n\ndata: [DONE]\n\n')


@pytest.mark.parametrize(("flags", "continues"), [("00", False), ("01", False), ("00", True)])
def test_foreign_caller_is_a_link(flags: str, continues: bool) -> None:
    router = echo_router(f"t-foreign-{flags}-{continues}")
    traceparent = f"{ELSEWHERE}-{flags}"
    headers = {"traceparent": traceparent, "x-session-id": "s-foreign"}
    app = AgentApp(router, continue_trace=continues)
    answer = ask(app, "/responses", {"input": "x"}, headers)
    (trace,) = traces(agent=router.name)
    assert answer.headers["x-mlflow-trace-id"] == trace.info.trace_id
    assert "0af7651916cd43dd8448eb211c80319c" not in trace.info.trace_id
    _assert_complete(trace, traceparent, "s-foreign")


@pytest.mark.parametrize(
    "garbage",
    ["", "x", "00-0-0-01", f"{ELSEWHERE}-zz", f"00-{'0' * 32}-b7ad6b7169203331-01", ELSEWHERE * 9],
)
@pytest.mark.parametrize("continues", [False, True])
def test_garbage_traceparent_is_ignored(garbage: str, continues: bool) -> None:
    router = echo_router(f"t-garbage-{abs(hash((garbage, continues)))}")
    app = AgentApp(router, continue_trace=continues)
    assert ask(app, "/responses", {"input": "x"}, {"traceparent": garbage}).status == 200
    (trace,) = traces(agent=router.name)
    assert trace.info.state.value == "OK"
    assert "agent_asgi.traceparent" not in trace.info.tags
    assert trace.data.spans[0].links == []


def test_mlflow_caller_is_a_link(serve: Callable[[Any], str]) -> None:
    router = echo_router("t-linked")
    url = serve(AgentApp(router))
    with mlflow.start_span("caller of t-linked") as caller:
        headers = get_tracing_context_headers_for_http_request()
        post(f"{url}/responses", {"input": "x"}, {**headers, "x-session-id": "s-linked"})
    (trace,) = traces(agent="t-linked")
    assert trace.info.trace_id != caller.trace_id
    _assert_complete(trace, headers["traceparent"], "s-linked")
    (link,) = trace.data.spans[0].links
    assert (link.trace_id, link.span_id) == (caller.trace_id, caller.span_id)


def test_mlflow_callers_trace_is_continued(serve: Callable[[Any], str]) -> None:
    router = echo_router("t-continued")
    url = serve(AgentApp(router, continue_trace=True))
    with mlflow.start_span("caller of t-continued") as caller:
        headers = get_tracing_context_headers_for_http_request()
        post(f"{url}/responses", {"input": "x"}, headers)
        post(f"{url}/responses", {"input": "y"}, headers)
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(caller.trace_id)
    assert trace is not None
    spans = [each for each in trace.data.spans if each.name == "echo"]
    assert [each.parent_id for each in spans] == [caller.span_id] * 2
    assert trace.info.state.value == "OK"
    assert spans[0].outputs["output"][0]["content"][0]["text"] == "heard x"
    assert spans[1].inputs["input"] == "y"


REMOTE = """
import asyncio, sys
import mlflow, uvicorn
from agent_asgi import AgentApp, AgentRouter

router = AgentRouter("t-remote")

@router.stream
async def remote(request):
    with mlflow.start_span("inside"):
        await asyncio.sleep(0.02 * int(request["input"]))
        yield request["input"]

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

app = AgentApp(router, continue_trace=True)
Server(uvicorn.Config(app, port=0, log_level="warning")).run()
"""


def test_parallel_calls_to_another_process_are_one_trace() -> None:
    process = subprocess.Popen([sys.executable, "-c", REMOTE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/responses"
        with mlflow.start_span("caller of t-remote") as caller:
            headers = get_tracing_context_headers_for_http_request()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                calls = [pool.submit(post, url, {"input": str(n)}, headers) for n in range(8)]
                assert all("completed" in each.result() for each in calls)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        finally:
            process.kill()
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(caller.trace_id)
    assert trace is not None
    runs = {each.span_id: each for each in trace.data.spans if each.name == "remote"}
    assert sorted(each.inputs["input"] for each in runs.values()) == list("01234567")
    assert {each.parent_id for each in runs.values()} == {caller.span_id}
    inside = [each.parent_id for each in trace.data.spans if each.name == "inside"]
    assert sorted(inside) == sorted(runs)
    assert trace.info.state.value == "OK"


def _assert_complete(trace: Any, traceparent: str, session: str) -> None:
    assert trace.info.state.value == "OK"
    assert trace.info.request_preview
    assert "heard x" in trace.info.response_preview
    assert trace.info.trace_metadata["mlflow.trace.session"] == session
    assert trace.info.tags["agent_asgi.traceparent"] == traceparent
    (link,) = trace.data.spans[0].links
    assert link.trace_id == f"tr-{traceparent.split('-')[1]}"
    assert link.span_id == traceparent.split("-")[2]
