"""The command `agent-asgi new`."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import fail

if TYPE_CHECKING:
    from ..options import Commands

TEMPLATES = Path(__file__).parent / "templates"
FRAMEWORKS = ("plain", "openai-agents", "langgraph", "pydantic-ai", "mlflow")
PLACEHOLDER = "my-agent"
"""The project's name in the templates."""
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*", re.IGNORECASE)
EXAMPLES = """\
examples:
  agent-asgi new tutor
  agent-asgi new tutor --framework langgraph --docker

Agents of the frameworks need OPENAI_API_KEY to answer. Plain agents and all tests need no key.
"""


def add_parser(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "new",
        help="create a project with an agent, its tests and a README",
        description="Create a project with an agent, its tests and a README, in a new folder.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="the project, its folder and its agent")
    parser.add_argument(
        "--framework",
        choices=FRAMEWORKS,
        default="plain",
        help="what the agent is written with (default: plain Python)",
    )
    parser.add_argument("--docker", action="store_true", help="add a Dockerfile")
    parser.set_defaults(command=new)


def new(options: argparse.Namespace) -> None:
    """Create the project and say what to do next.

    Raises:
        SystemExit: The name is invalid, or the folder exists or cannot be created.
    """
    if not _NAME.fullmatch(options.name):
        fail(f"{options.name!r} must be letters, digits and single - . _ between them.")
    folder = Path(options.name)
    try:
        folder.mkdir()
    except OSError as error:
        fail(f"Cannot create {options.name!r}: {error.strerror}.")
    layers = [
        "shared",
        options.framework.replace("-", "_"),
        *(["docker"] if options.docker else []),
    ]
    for layer in layers:
        _copy(TEMPLATES / layer, folder, options.name)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    sys.stdout.write(
        f"Created {folder}: {', '.join(map(str, files))}\n\n"
        f"  cd {folder}\n  pip install -e '.[test]'\n  pytest\n  agent-asgi dev agent.py\n"
    )


def _copy(layer: Path, folder: Path, name: str) -> None:
    """Write the files of a layer of templates, over those of the layers before it.

    A template of a Python file ends in `.py-tpl`, so that no tool takes it for the package's code.
    """
    for source in layer.rglob("*"):
        if source.is_file():
            path = source.relative_to(layer)
            file = re.sub("^dot_", ".", path.name).removesuffix("-tpl")
            target = folder / path.with_name(file)
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text("utf-8").replace(PLACEHOLDER, name), "utf-8")
