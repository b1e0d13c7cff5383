"""Writing traces several at a time: what is wrong with one does not harm the others."""

import base64
import copy
import pickle
import uuid

import mlflow
import pytest
from conftest import traces
from mlflow.entities import Span, Trace

from agent_asgi.tracing.sink import DatabaseSink, SpansFrame, Target, TraceFrame


@pytest.fixture
def trace(tracking_uri: str) -> Trace:
    """Give a trace that is in the database."""
    mlflow.tracing.enable()
    name = f"t-sink-{uuid.uuid4().hex}"
    span = mlflow.start_span_no_context(name, inputs="?", tags={"agent_asgi.agent": name})
    mlflow.start_span_no_context("inner", parent_span=span).end()
    span.end(outputs="!")
    (found,) = traces(agent=name)
    assert isinstance(found, Trace)
    return found


def another(trace: Trace) -> Trace:
    """Give a copy under another id."""
    number = uuid.uuid4().hex
    made = copy.deepcopy(trace)
    made.info.trace_id = f"tr-{number}"
    made.info.trace_metadata.pop("mlflow.trace.infoFinalized", None)
    made.info.tags.pop("mlflow.artifactLocation")
    made.data.spans = [
        Span.from_dict(
            {
                **(fields := each.to_dict()),
                "trace_id": base64.b64encode(bytes.fromhex(number)).decode(),
                "attributes": {**fields["attributes"], "mlflow.traceRequestId": f'"tr-{number}"'},
            }
        )
        for each in trace.data.spans
    ]
    return made


def packed(trace: Trace) -> bytes:
    return pickle.dumps(TraceFrame(trace, [], None))


@pytest.mark.parametrize("alone", [False, True])
def test_what_is_written_again_is_there_once(trace: Trace, tracking_uri: str, alone: bool) -> None:
    sink = DatabaseSink(Target(tracking_uri, tracking_uri), alone=alone)
    new = another(trace)
    experiment = str(trace.info.experiment_id)
    spans = pickle.dumps(SpansFrame(experiment, new.data.spans[1:], None))
    assert sink.write([spans]) == []
    assert sink.write([packed(trace), spans, packed(new)]) == []
    assert sink.write([packed(new)]) == []
    for each in (trace, new):
        found = mlflow.get_trace(each.info.trace_id)
        assert found is not None
        assert [span.name for span in found.data.spans] == [span.name for span in each.data.spans]
        assert found.info.tags == trace.info.tags | {
            "mlflow.artifactLocation": found.info.tags["mlflow.artifactLocation"]
        }
        assert found.info.response_preview == trace.info.response_preview


@pytest.mark.parametrize("alone", [False, True])
def test_traces_that_cannot_be_written(trace: Trace, tracking_uri: str, alone: bool) -> None:
    sink = DatabaseSink(Target(tracking_uri, tracking_uri), alone=alone)
    good, lost = another(trace), another(trace)
    lost.info.experiment_id = "987654321"
    failed = sink.write([b"no pickle", packed(lost), packed(good)])
    assert "UnpicklingError" in failed[0]
    assert all("987654321" in each for each in failed[1:])
    assert len(failed) == 3
    found = mlflow.get_trace(good.info.trace_id)
    assert found is not None
    assert len(found.data.spans) == 2
