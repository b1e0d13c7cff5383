"""What a command line names: files, modules, and the one app or agent in them."""

import itertools
import sys
from pathlib import Path

import pytest

from agent_asgi import AgentApp
from agent_asgi.server.target import load_any, load_app, parse

NUMBERS = itertools.count()
ROUTER = """
from agent_asgi import AgentApp, AgentRouter, Context, ResponsesRequest
router = AgentRouter("r")
other = AgentRouter("o")
router.invoke(lambda request: "x")
other.invoke(lambda request: "x")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def module(folder: Path, code: str) -> str:
    """Write a module that was not imported before, and return its name."""
    name = f"target_{next(NUMBERS)}"
    (folder / f"{name}.py").write_text(code)
    return name


def refused(text: str, served: bool = True) -> str:
    with pytest.raises(SystemExit) as raised:
        (load_app if served else load_any)(parse(text))
    return str(raised.value)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (ROUTER + "app = AgentApp(router)\nanother = AgentApp(other)", "app"),
        (ROUTER + "service = AgentApp(router)", "service"),
        (ROUTER + "service = AgentApp(router)\nalias = service", "service"),
        (ROUTER + "_hidden = AgentApp(router)\nservice = AgentApp(router)", "service"),
        ("async def app(scope, receive, send): ...", "app"),
    ],
)
def test_the_app_of_a_module_is_found(folder: Path, code: str, found: str) -> None:
    name = module(folder, code)
    where, app = load_app(parse(name))
    assert where == f"{name}:{found}"
    assert load_any(parse(f"{name}.py")) is app
    assert load_app(parse(where))[1] is app


@pytest.mark.parametrize(
    ("code", "agent"),
    [
        (ROUTER + "del other", "r"),
        (ROUTER + "del other\nasync def reply(request: ResponsesRequest): ...", "r"),
        (ROUTER + "del router, other\nasync def reply(request: ResponsesRequest): ...", "reply"),
        (ROUTER + "del router, other\ndef reply(r: dict, context: Context): ...", "reply"),
        (
            "from agent_asgi import ResponsesRequest as R\ndef reply(r: R): ...\ndef f(x): ...",
            "reply",
        ),
    ],
)
def test_the_one_agent_of_a_module_is_served(folder: Path, code: str, agent: str) -> None:
    app = load_any(parse(module(folder, code)))
    assert isinstance(app, AgentApp)
    assert [router.name for router in app.routers] == [agent]


def test_a_package_is_named_by_its_init_file(folder: Path) -> None:
    name = f"package_{next(NUMBERS)}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("async def app(scope, receive, send): ...")
    target = parse(f"{name}/__init__.py")
    assert (target.module, target.folder) == (name, folder)
    assert load_app(target)[0] == f"{name}:app"


def test_a_factory_of_an_app_is_called_by_uvicorn(folder: Path) -> None:
    name = module(folder, "def create(): ...")
    assert load_any(parse(f"{name}:create")).__name__ == "create"


def test_a_named_function_needs_no_annotation(folder: Path) -> None:
    name = module(folder, "def reply(request):\n    return 'hi'")
    assert isinstance(load_any(parse(f"{name}:reply")), AgentApp)


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (ROUTER, "{}", "has several: router (of type AgentRouter), other (of type AgentRouter)"),
        (ROUTER, "{}", "Name one: {}:router."),
        (ROUTER, "{}:nothing", "has no 'nothing'. It has router (of type AgentRouter), other"),
        ("", "{}:nothing", "has no 'nothing'."),
        ("x = 1", "{}", "has no app and no agent. It needs `app = AgentApp(...)`"),
        (ROUTER, "{}:router", "is not an app but of type AgentRouter. Serve AgentApp(router)"),
        (ROUTER, "{}:router", "or run `agent-asgi dev {}:router`"),
        ("x = 1", "{}:x", "is not an app but of type int."),
        ("", "{}:x:y", "is neither `module:app` nor"),
        ("", "{}.nothing", "There is no module '{}"),
        ("", "no_{}", "There is no module 'no_{}', neither in"),
        ("", "./no_{}.py", "There is no file './no_{}.py'"),
        ("", "./", "'./' is a folder"),
    ],
)
def test_what_serves_nothing_is_one_clear_line(
    folder: Path, code: str, text: str, message: str
) -> None:
    name = module(folder, code)
    told = refused(text.format(name))
    assert told.startswith("agent-asgi: ")
    assert message.format(name, name) in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("my.agent.py", "its name must be like `agent.py`"),
        ("agent.txt", "its name must be like `agent.py`"),
        ("json.py", "'json.py' has the name of another module"),
    ],
)
def test_files_that_cannot_be_imported(folder: Path, file: str, message: str) -> None:
    (folder / file).write_text("app = 1")
    assert message in refused(f"./{file}")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "from langgraph.graph import MessagesState, StateGraph\nx = StateGraph(MessagesState)",
            "Compile it first",
        ),
        ("x = 3", "not 3. Call other agents in a handler"),
        ("from agent_asgi import AgentRouter\nx = AgentRouter", "Pass an instance"),
    ],
)
def test_what_dev_cannot_serve(folder: Path, code: str, message: str) -> None:
    name = module(folder, code)
    assert message in refused(f"{name}:x", served=False)


def test_an_error_of_the_module_has_its_lines_and_no_others(folder: Path) -> None:
    inner = module(folder, "def build():\n    raise KeyError('settings')")
    code = f"import {inner}\ntry:\n    {inner}.build()\nexcept KeyError as error:\n    raise"
    name = module(folder, f"{code} ValueError('no settings') from error")
    told = refused(name)
    lines = [line for line in told.splitlines() if line.startswith("  File ")]
    assert [line.rpartition("line ")[2] for line in lines] == [
        "3, in <module>",
        "2, in build",
        "5, in <module>",
    ]
    assert told.splitlines()[-1] == "ValueError: no settings"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".", "'.' is neither `module:app` nor `module` nor the path of a file."),
        ("..", "'..' is neither"),
        ("my-agent", "'my-agent' is neither"),
        ("mlflow.py", "'mlflow.py' would hide the package 'mlflow'. Rename the file."),
        ("agent_asgi.py:app", "'agent_asgi.py' would hide the package 'agent_asgi'."),
    ],
)
def test_names_that_cannot_be_imported(folder: Path, text: str, message: str) -> None:
    (folder / "mlflow.py").touch()
    (folder / "agent_asgi.py").touch()
    assert message in refused(text)


@pytest.mark.parametrize("served", [True, False])
def test_a_router_without_a_handler_is_one_sentence(folder: Path, served: bool) -> None:
    code = "from agent_asgi import AgentApp, AgentRouter\napp = AgentApp(AgentRouter('idle'))"
    name = module(folder, code)
    message = refused(name, served)
    assert message.startswith(f"agent-asgi: '{name}:app' cannot be served: Router 'idle' has no ")
    assert "\n" not in message
