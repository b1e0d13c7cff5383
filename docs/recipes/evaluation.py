"""Evaluates the RAG recipe with MLflow: python evaluation.py"""

from typing import Any

import mlflow
from mlflow.entities import Feedback, SpanType, Trace
from mlflow.genai import scorer
from rag import router

from agent_asgi.testing import predict_fn

QUESTIONS = {
    "What may a hotel in Paris cost?": "Hotels",
    "How many days of annual leave do I have?": "Annual leave",
    "What do I do on the first day of an illness?": "Illness",
    "What do you pay for a desk when working from home?": "Working from home",
}
DATA = [
    {"inputs": {"input": question}, "expectations": {"source": source}}
    for question, source in QUESTIONS.items()
]


@scorer
def finds_source(trace: Trace, expectations: dict[str, Any]) -> bool:
    """Check that the search returns the passage: whatever the model makes of it."""
    spans = [span for span in trace.data.spans if span.span_type == SpanType.RETRIEVER]
    found = [document["metadata"]["title"] for span in spans for document in span.outputs]
    return expectations["source"] in found


@scorer
def cites_source(outputs: dict[str, Any], expectations: dict[str, Any]) -> Feedback:
    """Check that the answer cites the passage."""
    parts = [part for item in outputs["output"] for part in item["content"]]
    cited = [citation["title"] for part in parts for citation in part["annotations"]]
    return Feedback(value=expectations["source"] in cited, rationale=f"cited: {cited}")


@scorer
def is_short(outputs: dict[str, Any]) -> bool:
    return len(outputs["output"][-1]["content"][0]["text"].split()) < 60


def main() -> None:
    mlflow.set_experiment("handbook")
    scorers = [finds_source, cites_source, is_short]
    result = mlflow.genai.evaluate(data=DATA, predict_fn=predict_fn(router), scorers=scorers)
    for name, value in sorted(result.metrics.items()):
        print(f"{name}: {value:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
