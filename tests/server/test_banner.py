"""The lines that `agent-asgi dev` prints when it listens."""

import sys

import mlflow
import pytest

from agent_asgi import AgentApp, AgentRouter
from agent_asgi import config as settings
from agent_asgi.server.banner import banner

URL = "http://127.0.0.1:8000"


async def front(scope: object, receive: object, send: object) -> None:
    """Serve a front end."""


@pytest.fixture
def before_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process one that has not imported MLflow, without settings for it."""
    monkeypatch.delitem(sys.modules, "mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def lines(app: object) -> dict[str, str]:
    """Return the banner's lines by their labels."""
    return dict(line.split(None, 1) for line in banner(app, URL).splitlines())


@pytest.mark.usefixtures("before_mlflow")
def test_an_app_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "development", True)
    shown = lines(AgentApp(AgentRouter("tutor"), AgentRouter("coder")))
    assert list(shown) == ["Playground", "API", "Docs", "Agents", "Store", "Traces"]
    assert shown["Playground"] == f"{URL}/"
    assert shown["API"].startswith(f"{URL}/v1/responses (also A2A, ")
    assert shown["Agents"] == "tutor, coder"
    assert shown["Store"] == "memory:// (a reload forgets it)"
    assert shown["Traces"].startswith("sqlite:///mlflow.db (mlflow ui ")


@pytest.mark.usefixtures("before_mlflow")
def test_an_app_with_choices_of_its_own() -> None:
    app = AgentApp(AgentRouter(), fallback=front, store="sqlite:///kept.db")
    shown = lines(app)
    assert shown["Playground"] == "none: the fallback serves /"
    assert shown["API"] == f"{URL}/v1/responses"
    assert shown["Store"] == "sqlite:///kept.db"


@pytest.mark.usefixtures("before_mlflow")
def test_a_playground_in_front_of_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "development", True)
    app = AgentApp(AgentRouter(), fallback=front, playground=True)
    assert lines(app)["Playground"] == f"{URL}/"


@pytest.mark.usefixtures("before_mlflow")
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("MLFLOW_TRACKING_URI", "http://me:secret@host:5000", "http://host:5000"),
        ("MLFLOW_TRACKING_URI", "databricks", "databricks"),
        (
            "MLFLOW_TRACKING_URI",
            "postgresql://me:secret@host/db?password=secret&a=b",
            "postgresql://host/db?a=b (mlflow ui --backend-store-uri 'postgresql://host/db?a=b')",
        ),
        (
            "MLFLOW_TRACKING_URI",
            "sqlite:////my data/a@b.db",
            "sqlite:////my data/a@b.db (mlflow ui --backend-store-uri 'sqlite:////my data/a@b.db')",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host/v1/traces", "http://host/v1/traces"),
        ("OTEL_SDK_DISABLED", "true", "off (OTEL_SDK_DISABLED)"),
    ],
)
def test_where_traces_go(
    name: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert lines(AgentApp(AgentRouter()))["Traces"] == shown


def test_where_traces_go_that_the_module_has_set() -> None:
    assert lines(AgentApp(AgentRouter()))["Traces"].startswith(mlflow.get_tracking_uri())


def test_a_host_has_an_address() -> None:
    assert lines(front) == {"App": URL}


def test_without_the_viewer_the_document_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_asgi.server.banner.VIEWER", "no_such_package")
    router = AgentRouter()
    router.invoke(lambda request: "hi")
    shown = lines(AgentApp(router))
    assert (shown.get("Docs"), shown["OpenAPI"]) == (None, f"{URL}/openapi.json")
