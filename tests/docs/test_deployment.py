"""The Dockerfile, the Kubernetes manifests and the platforms of docs/deployment.md."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml
from packaging.requirements import Requirement

from agent_asgi import AgentApp, AgentRouter, Context, Timeouts
from agent_asgi.server.cli import _parser
from agent_asgi.server.shutdown import LAST_SECONDS
from tests.support.calling import Serve, until
from tests.support.commands import running
from tests.support.pages import ROOT
from tests.support.servers import free_port

BIN = Path(sys.executable).parent
DOCKERFILE = ROOT / "docs" / "deploy" / "Dockerfile"
MANIFESTS = ROOT / "docs" / "deploy" / "kubernetes.yaml"
EXTRAS = ("postgres", "metrics")
"""What the image installs in addition to the package's dependencies."""

AGENT = """
from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("echo")

@router.invoke
async def echo(request: ResponsesRequest) -> str:
    return "here"

app = AgentApp(router)
"""


def instruction(name: str) -> str:
    """Return the arguments of a Dockerfile instruction, with its lines joined."""
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    (found,) = [line for line in lines if line.startswith(f"{name} ")]
    return found.removeprefix(f"{name} ")


def command() -> list[str]:
    """Return the image's command line."""
    words: list[str] = json.loads(instruction("CMD"))
    return words


def manifests(kind: str) -> list[Any]:
    """Return the Kubernetes objects of a kind."""
    found = [each for each in yaml.safe_load_all(MANIFESTS.read_text()) if each["kind"] == kind]
    assert found
    return found


def pods() -> list[Any]:
    """Return the pod spec of each Deployment."""
    return [each["spec"]["template"]["spec"] for each in manifests("Deployment")]


@pytest.mark.parametrize(
    "argv",
    [("hadolint", str(DOCKERFILE)), ("kubernetes-validate", "--strict", str(MANIFESTS))],
    ids=["Dockerfile", "Kubernetes"],
)
def test_the_linters_are_content(argv: tuple[str, ...]) -> None:
    done = subprocess.run([BIN / argv[0], *argv[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_has_what_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    names = {re.sub(r"[>=\d.\s]+$", "", each) for each in wanted}
    run = instruction("RUN").replace('"', "").split("&&")
    there = {word for line in run[:2] for word in line.split()[4:] if not word.startswith("--")}
    assert there == {"agent-asgi", "mlflow-tracing"} | names - {"mlflow"}
    assert all(Requirement(each) for each in there)


def test_the_image_command_serves_is_healthy_and_ends(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(AGENT)
    port = free_port()
    argv = [str(BIN / command()[0]), *command()[1:]]
    argv[argv.index("--port") + 1] = str(port)
    argv[argv.index("--host") + 1] = "127.0.0.1"
    argv[argv.index("--drain-lead") + 1] = "0.5"
    check = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    assert (check[0], ":8000/health" in check[2]) == ("python", True)
    check = [sys.executable, *(each.replace(":8000", f":{port}") for each in check[1:])]
    with running(argv, tmp_path, port) as process:
        assert subprocess.run(check, timeout=20).returncode == 0
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 503)
        assert process.wait(20) == 0
    assert subprocess.run(check, stderr=subprocess.DEVNULL, timeout=20).returncode == 1


def test_the_ports_are_one() -> None:
    port = int(command()[command().index("--port") + 1])
    assert instruction("EXPOSE") == str(port)
    serving = pods()[0]["containers"][0]
    assert serving["ports"] == [{"name": "http", "containerPort": port}]
    (service,) = manifests("Service")
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    probes = [serving[name]["httpGet"] for name in serving if name.endswith("Probe")]
    assert {each["port"] for each in probes} == {"http"}


def test_all_select_the_serving_pods() -> None:
    serving, working = manifests("Deployment")
    labels = serving["spec"]["template"]["metadata"]["labels"]
    assert serving["spec"]["selector"]["matchLabels"] == labels
    for kind in ("PodDisruptionBudget", "Service"):
        (spec,) = (each["spec"] for each in manifests(kind))
        assert spec["selector"] in (labels, {"matchLabels": labels})
    (scaler,) = manifests("HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == serving["metadata"]["name"]
    assert working["spec"]["template"]["metadata"]["labels"] != labels


def test_the_probes_ask_what_is_served(serve: Serve) -> None:
    url = serve(AgentApp(router()))
    serving = pods()[0]["containers"][0]
    paths = {name: serving[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")}
    assert paths == {"liveness": "/health", "readiness": "/ready"}
    for path in paths.values():
        assert until(partial(served, url + path))


def served(url: str) -> bool:
    """Return whether a path answers with success."""
    return bool(httpx.get(url).status_code == 200)


def test_a_pod_has_time_for_its_end() -> None:
    serving, working = pods()
    times = Timeouts()
    lead = float(command()[command().index("--drain-lead") + 1])
    runs = times.drain + times.cleanup
    ready = serving["containers"][0]["readinessProbe"]
    assert lead >= 2 * ready["periodSeconds"] * ready["failureThreshold"]
    for pod, seconds in ((serving, lead + runs), (working, runs)):
        grace = pod["terminationGracePeriodSeconds"]
        assert seconds < grace < seconds + LAST_SECONDS


def test_the_command_lines_are_known() -> None:
    for argv in (command(), pods()[1]["containers"][0]["command"]):
        assert argv[0] == "agent-asgi"
        assert _parser().parse_args(argv[1:]).target == "agent:app"


def router(protocol: Any = "responses") -> AgentRouter:
    """Create a slow agent that answers with its session."""
    made = AgentRouter("agent", protocol=protocol)

    async def reply(request: dict[str, Any], context: Context) -> str:
        said = request.get("prompt") or request["input"]
        if said == "wait":
            await context.cancelled.wait()
        return f"{said} in {context.session_id}"

    made.invoke(reply)
    return made


SESSION = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 33}


def test_bedrock_agentcore_runs_any_json(serve: Serve) -> None:
    url = serve(AgentApp(router("json")))
    ping = httpx.get(f"{url}/ping")
    assert (ping.status_code, ping.headers["content-type"]) == (200, "application/json")
    assert ping.json().keys() == {"status", "time_of_last_update"}
    assert isinstance(ping.json()["time_of_last_update"], int)
    answer = httpx.post(f"{url}/invocations", json={"prompt": "hi"}, headers=SESSION)
    assert (answer.status_code, answer.json()) == (200, f"hi in {'s' * 33}")


def test_bedrock_agentcore_runs_responses_and_hears_of_runs_in_flight(serve: Serve) -> None:
    url = serve(AgentApp(router(), timeouts=Timeouts(drain=0.1)))
    body = {"input": "hi", "stream": True}
    answer = httpx.post(f"{url}/invocations", json=body, headers=SESSION)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert f"hi in {'s' * 33}" in answer.text

    def status() -> str:
        said: str = httpx.get(f"{url}/ping").json()["status"]
        return said

    assert status() == "Healthy"
    with ThreadPoolExecutor(1) as pool:
        kept = httpx.post(f"{url}/responses", json={"input": "wait", "background": True}).json()
        until(lambda: status() == "HealthyBusy")
        pool.submit(httpx.post, f"{url}/responses/{kept['id']}/cancel").result()
        until(lambda: status() == "Healthy")
