"""Serve an MLflow `ResponsesAgent` by its URI, from a registry and from memory."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import openai
import pytest
from mlflow.types.responses import ResponsesAgentRequest

from agent_asgi import AgentApp, Context
from agent_asgi.adapters.mlflow import router as router_of
from agent_asgi.testing import parse_frame
from tests.support import shop_model
from tests.support.asking import fetch
from tests.support.calling import connect, events_of, until
from tests.support.traces import traces

Json = dict[str, Any]
Serve = Callable[[Any], str]
KINDS = ["reasoning", "function_call", "function_call_output", "message"]
SHOWN = ["reasoning", "mcp_call", "message"]


@pytest.fixture(scope="module")
def model_id(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Log the agent from its file, register it as "shop" and return the model's id."""
    folder = tmp_path_factory.mktemp("artifacts")
    experiment = mlflow.create_experiment("t-shop-models", artifact_location=folder.as_uri())
    with mlflow.start_run(experiment_id=experiment):
        info = mlflow.pyfunc.log_model(
            name="shop",
            python_model=str(Path(shop_model.__file__)),
            registered_model_name="shop",
            pip_requirements=["mlflow"],
            input_example={"input": [{"role": "user", "content": "pens"}]},
        )
    return str(info.model_id)


def served(serve: Serve, name: str) -> tuple[openai.OpenAI, str]:
    """Serve the registered agent; return a client and the server's address."""
    url = serve(AgentApp(router_of("models:/shop/1", name=name)))
    return connect(url), url


@pytest.mark.usefixtures("model_id")
def test_stream_by_uri_has_text_tool_reasoning_usage_and_custom_outputs(serve: Serve) -> None:
    client, _ = served(serve, "t-shop-stream")
    with client.responses.stream(
        model="shop", input="pens", extra_body={"custom_inputs": {"a": 1}}
    ) as stream:
        deltas = [each.delta for each in stream if each.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert "".join(deltas) == response.output_text == "Turn1:pens,7pens."
    assert len(deltas) == 5
    assert [each.type for each in response.output] == SHOWN
    assert response.usage is not None
    assert (response.usage.total_tokens, response.usage.output_tokens) == (5, 2)
    assert response.to_dict()["custom_outputs"] == {"asked": {"a": 1}}


def test_spans_of_a_stream_are_nested_in_one_trace(serve: Serve, model_id: str) -> None:
    client, _ = served(serve, "t-shop-spans")
    stream = client.responses.create(model="shop", input="pens", stream=True, conversation="s-1")
    with stream:
        assert list(stream)[-1].type == "response.completed"
    (trace,) = traces(agent="t-shop-spans")
    root, inner, tool = sorted(trace.data.spans, key=lambda each: each.start_time_ns)
    assert root.inputs["input"] == "pens"
    assert [each["type"] for each in root.outputs["output"]] == KINDS
    assert (inner.name, inner.parent_id) == ("predict_stream", root.span_id)
    assert inner.inputs["request"]["input"][0]["content"] == "pens"
    assert (tool.name, tool.parent_id) == ("look", inner.span_id)
    assert trace.info.trace_metadata["mlflow.modelId"] == model_id
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s-1"


@pytest.mark.usefixtures("model_id")
def test_databricks_client_gets_predict_by_invocations(serve: Serve) -> None:
    _, url = served(serve, "t-shop-json")
    body = {
        "input": [{"role": "user", "content": "pens"}],
        "context": {"conversation_id": "c-9", "user_id": "ann"},
        "custom_inputs": {"b": 2},
        "databricks_options": {"return_trace": True},
    }
    reply = fetch(url, "POST", "/invocations", body=body)
    answer = parse_frame(b"data: " + reply.body) or {}
    assert [each["type"] for each in answer["output"]] == KINDS
    assert answer["usage"]["total_tokens"] == 5
    assert answer["custom_outputs"] == {"asked": {"b": 2}}
    (trace,) = traces(agent="t-shop-json")
    assert answer["metadata"]["trace_id"] == trace.info.trace_id
    names = [each.name for each in trace.data.spans if each.parent_id is not None]
    assert sorted(names) == ["look", "predict", "predict_stream"]
    assert trace.info.trace_metadata["mlflow.trace.session"] == "c-9"


@pytest.mark.usefixtures("model_id")
def test_databricks_client_streams_by_invocations(serve: Serve) -> None:
    _, url = served(serve, "t-shop-databricks")
    body = {
        "model": "shop",
        "input": [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "pens"},
        ],
        "stream": True,
        "context": {"conversation_id": "c-9", "user_id": "ann"},
        "databricks_options": {"return_trace": True},
    }
    headers = {"x-mlflow-return-trace-id": "true", "x-forwarded-access-token": "token"}
    events = events_of(fetch(url, "POST", "/invocations", body=body, headers=headers).body)
    items = [each["item"] for each in events if each.get("type") == "response.output_item.done"]
    assert [each["type"] for each in items] == KINDS
    deltas = [each for each in events if each.get("type") == "response.output_text.delta"]
    said = "".join(each["delta"] for each in deltas)
    assert said == items[-1]["content"][0]["text"] == "Turn2:pens,7pens."
    (trace,) = traces(agent="t-shop-databricks")
    assert events[-1]["trace_id"] == trace.info.trace_id


@pytest.mark.usefixtures("model_id")
def test_three_turns_in_a_session(serve: Serve) -> None:
    client, _ = served(serve, "t-shop-turns")
    before, texts = None, []
    for text in ("pens", "ink", "paper"):
        response = client.responses.create(model="shop", input=text, previous_response_id=before)
        before = response.id
        texts.append(response.output_text)
    assert texts == ["Turn1:pens,7pens.", "Turn2:ink,7pens.", "Turn3:paper,7pens."]


@pytest.mark.usefixtures("model_id")
@pytest.mark.parametrize("stream", [False, True])
def test_failure_tells_the_client_nothing(serve: Serve, stream: bool) -> None:
    agent = f"t-shop-fails-{stream}"
    client, _ = served(serve, agent)
    with pytest.raises(openai.InternalServerError) as raised:
        client.responses.create(model="shop", input="fail", stream=stream)
    assert "secret" not in str(raised.value)
    (trace,) = traces(agent=agent)
    inner = next(each for each in trace.data.spans if each.parent_id is not None)
    assert trace.info.state == inner.status.status_code == "ERROR"
    assert "secret of the shop" in str(inner.events)


def test_clients_leaving_closes_the_generator_and_ends_its_span(serve: Serve) -> None:
    router = router_of(shop_model.Shop(), name="t-shop-leaves")
    client = connect(serve(AgentApp(router)))
    with client.responses.create(model="shop", input="go on", stream=True) as stream:
        next(each for each in stream if each.type == "response.output_text.delta")
    until(lambda: shop_model.closed == ["go on"])
    (trace,) = until(lambda: traces(agent="t-shop-leaves", status="cancelled"))
    root, inner, tool = sorted(trace.data.spans, key=lambda each: each.start_time_ns)
    assert inner.parent_id == root.span_id
    assert tool.parent_id == inner.span_id
    assert root.outputs["output"][-1]["content"][0]["text"].startswith("Turn1:go")


def test_agent_without_predict_stream_serves_both(serve: Serve) -> None:
    router = router_of(shop_model.Plain())
    assert (router.name, router.stream_handler) == ("Plain", None)
    client = connect(serve(AgentApp(router)))
    with client.responses.stream(model="Plain", input="x") as stream:
        assert stream.get_final_response().output_text == "hello"


def test_request_that_mlflow_refuses_names_its_field(serve: Serve) -> None:
    url = serve(AgentApp(router_of(shop_model.Shop())))
    tools = [{"type": "function", "name": "look"}]
    for wrong, param in (
        ({"input": "x", "tools": tools}, "tools[0].parameters"),
        ({"input": [{"type": "acme:note"}]}, "input[0].content"),
    ):
        reply = fetch(url, "POST", "/responses", body=wrong)
        assert reply.status == 400
        assert reply.error["param"] == param


@pytest.mark.usefixtures("model_id")
def test_name_is_that_of_the_registered_model() -> None:
    router = router_of("models:/shop/1", description="Sells pens", max_threads=2)
    assert (router.name, router.description, router.max_threads) == ("shop", "Sells pens", 2)
    mlflow.MlflowClient().set_registered_model_alias("shop", "champion", "1")
    assert router_of("models:/shop@champion").name == "shop"


def test_logged_model_without_a_name_has_that_of_its_class(model_id: str) -> None:
    run = mlflow.get_logged_model(model_id).source_run_id
    for uri in (f"models:/{model_id}", f"runs:/{run}/shop"):
        assert router_of(uri).name == "Shop"


def test_handler_runs_where_nothing_is_traced() -> None:
    router = router_of(shop_model.Shop())
    assert router.stream_handler is not None
    request = ResponsesAgentRequest.model_validate({"input": [{"role": "user", "content": "pens"}]})
    outputs = list(router.stream_handler(request, Context("resp_1", "shop")))
    assert outputs[-1].response["usage"] == shop_model.USAGE


def test_other_models_are_refused(tmp_path: Path) -> None:
    chat: Any = shop_model.Chat()
    with pytest.raises(TypeError, match=r"Chat is not an mlflow\.pyfunc\.ResponsesAgent"):
        router_of(chat)
    experiment = mlflow.create_experiment("t-other-models", artifact_location=tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment):
        info = mlflow.pyfunc.log_model(name="f", python_model=upper, pip_requirements=["mlflow"])
    with pytest.raises(TypeError, match=r"models:/m-.* is not an mlflow\.pyfunc\.ResponsesAgent"):
        router_of(info.model_uri)


def upper(model_input: list[str]) -> list[str]:
    """Act as a model that is not an agent."""
    return [each.upper() for each in model_input]


def test_slim_distribution_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent_asgi.adapters.mlflow")
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(ImportError, match="pip install mlflow"):
        importlib.import_module("agent_asgi.adapters.mlflow")


@pytest.fixture(autouse=True)
def nothing_closed() -> Iterator[None]:
    """Forget which streams were closed."""
    yield
    shop_model.closed.clear()
