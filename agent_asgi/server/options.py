"""What the commands share: options and their types, and the end with a message."""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # generic only to type checkers

MESSAGE_PREFIX = "agent-asgi: "
"""The beginning of the command's own messages."""


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the argument that `target.parse` reads."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a file or module, optionally with a name in it: agent.py:app",
    )


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Add the options that `apply_environment` reads."""
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default: text"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="level of all loggers, including yours (default: info)",
    )
    parser.add_argument(
        "--env-file", metavar="FILE", help="environment variables to set before the app is imported"
    )


def apply_environment(options: argparse.Namespace) -> None:
    """Set what the user's module may read: the import path and the environment."""
    sys.path.insert(0, str(Path.cwd()))
    _load_env(options.env_file)
    if options.log_format == "json":  # MLflow's handlers write text
        os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")


def positive(text: str) -> int:
    """Return a number that is at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def port(text: str) -> int:
    """Return a port; 0 stands for any that is free."""
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def seconds(text: str) -> float:
    """Return a time that is not negative."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def fail(message: str) -> NoReturn:
    """End the process with a message and the exit code 1."""
    sys.exit(f"{MESSAGE_PREFIX}{message}")


def _load_env(path: str | None) -> None:
    if path is None:
        return
    if not Path(path).is_file():
        fail(f"There is no file {path!r}.")
    from dotenv import load_dotenv  # comes with uvicorn[standard]

    load_dotenv(path)
