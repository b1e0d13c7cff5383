"""The site's search finds the right page first, by its own code in a real Chromium."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.browsing import chromium
from tests.support.pages import ROOT

PAGES = {
    "approval": "approvals",
    "background run": "background",
    "cancel": "background",
    "change port": "serving",
    "chat history": "conversations",
    "citations": "citations",
    "conversation": "conversations",
    "CopilotKit": "ag-ui",
    "crash recovery": "crash-recovery",
    "database connection": "serving",
    "delete old runs": "stores",
    "deploy": "deployment",
    "deploy databricks": "databricks",
    "docker": "deployment",
    "environment variables": "configuration",
    "error codes": "errors",
    "evaluate agent": "evaluation",
    "fastapi": "mounting",
    "health probe": "serving",
    "hello world": "tutorial",
    "how do I ask a human before a tool runs?": "approvals",
    "human in the loop": "approvals",
    "image": "files-and-images",
    "invoke or stream": "handlers",
    "jwt": "auth",
    "kubernetes": "deployment",
    "langgraph": "adapters/langgraph",
    "max tokens": "handlers",
    "mcp claude": "mcp",
    "migrate from MLflow": "migrating",
    "mlflow ResponsesAgent": "adapters/mlflow",
    "multi-tenant": "auth",
    "multiple agents one app": "several-agents",
    "nginx buffering": "streaming",
    "open playground": "playground",
    "openai api key": "tutorial",
    "playground": "playground",
    "postgres": "stores",
    "progress events": "handlers",
    "prometheus": "observability",
    "rate limit": "rate-limits",
    "reconnect stream": "streaming",
    "resume": "background",
    "retry": "responses",
    "run server": "serving",
    "startup shutdown": "serving",
    "stop button": "front-ends",
    "structured output": "structured-output",
    "sub-agent": "sub-agents",
    "token usage": "tracing",
    "tool call": "tools",
    "tool exception": "tools",
    "unit test": "testing",
    "upload image": "files-and-images",
    "useChat": "ui-stream",
    "websocket": "websocket",
}
"""What people search for, and the page that the first result is on."""
SEARCH = """async ([worker, queries]) => {
  const index = await (await fetch("search/search_index.json")).json();
  const search = new Worker(worker);
  const ask = (type, data) => new Promise((resolve) => {
    search.onmessage = (event) => event.data.type === type + 1 && resolve(event.data.data);
    search.postMessage({ type, data });
  });
  await ask(0, { ...index, options: { suggest: true } });
  const first = {};
  for (const query of queries) first[query] = (await ask(2, query)).items[0]?.[0].location;
  return first;
}"""
"""Asks the site's search worker, which takes a message to set up (0) and one for a query (2)."""


def test_the_first_result(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1"},
        check=True,
        timeout=300,
    )
    (worker,) = tmp_path.glob("assets/javascripts/workers/search.*.js")
    with serving_files(tmp_path) as url, chromium() as browser:
        page = browser.new_page()
        foreign: list[str] = []
        page.on("request", lambda request: foreign.append(request.url))
        page.goto(url)
        first = page.evaluate(SEARCH, [str(worker.relative_to(tmp_path)), list(PAGES)])
    found = {query: (place or "").partition("#")[0].strip("/") for query, place in first.items()}
    assert found == PAGES
    assert [each for each in foreign if not each.startswith((url, "data:"))] == []


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve a folder and yield its URL."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
