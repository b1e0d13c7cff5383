"""The Markdown table that the benchmark prints."""

import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from tests.tools.benchmarks.environments import CannotInstall, installed
from tests.tools.benchmarks.figures import Figure, Measured, Row, misses, number, ratio
from tests.tools.benchmarks.servers import CORES

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
COLUMNS = ("", "ours", "against MLflow", "target", "against bare", "target", "against AgentCore")


def table(rows: Mapping[str, Measured], known: Mapping[str, Row]) -> str:
    """Return the table.

    Args:
        rows: The measured values of each row.
        known: The rows by name.
    """
    lines = [write((*COLUMNS, "met")), write(["---"] * (len(COLUMNS) + 1))]
    for name, measured in rows.items():
        lines += [line(known[name], figure, measured) for figure in known[name].figures]
    return "\n".join(lines)


def filled(page: str, text: str) -> str:
    """Replace the text between a page's two markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"The page has no {BEGIN} ... {END}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def line(row: Row, figure: Figure, measured: Measured) -> str:
    """Return one figure's line."""
    sign = ">=" if figure.more else "<="
    wanted = [f"{sign} {number(each)}" if each else "-" for each in (figure.mlflow, figure.bare)]
    ratios = [str(ratio(measured, figure, name)) for name in ("mlflow", "bare", "agentcore")]
    cells = [figure.title, ours(figure, measured), ratios[0], wanted[0], ratios[1], wanted[1]]
    return write([*cells, ratios[2], verdict(row, figure, measured)])


def ours(figure: Figure, measured: Measured) -> str:
    """Return the median of our own values, and their limit."""
    values = [each[figure.key] * figure.scale for each in measured.get("ours", [])]
    if not values:
        return "-"
    limit = "" if figure.limit is None else f" (limit {number(figure.limit)})"
    return number(statistics.median(values)) + limit


def verdict(row: Row, figure: Figure, measured: Measured) -> str:
    """Return whether the targets are met, or else which are missed."""
    if not measured.get("ours"):
        return "not measured"
    if not any((figure.mlflow, figure.bare, figure.limit is not None)):
        return "report"
    wanted = [("mlflow", figure.mlflow), ("bare", figure.bare)]
    lacking = [name for name, target in wanted if target and not measured.get(name)]
    missed = misses(measured, figure) + [f"{name} not measured" for name in lacking]
    return "yes" if not missed else "NO: " + ", ".join(missed)


def write(cells: object) -> str:
    """Return a line of a Markdown table."""
    assert isinstance(cells, (list, tuple))
    return "| " + " | ".join(cells) + " |"


def machine() -> dict[str, str]:
    """Return the date, the machine and the versions."""
    versions = [f"Python {platform.python_version()}"]
    for environment, package in (
        ("ours", "uvicorn"),
        ("ours", "starlette"),
        ("mlflow", "mlflow"),
        ("mlflow", "fastapi"),
        ("agentcore", "bedrock-agentcore"),
    ):
        try:
            versions.append(f"{package} {installed(environment, package)}")
        except CannotInstall as error:
            versions.append(f"{package} cannot be installed ({error})")
    return {
        "date": time.strftime("%F"),
        "machine": f"{processor()}, {len(CORES)} cores, {memory()} GB, {platform.release()}",
        "versions": ", ".join(versions),
    }


def processor() -> str:
    """Return the processor's name."""
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.split(":", 1)[1].strip()
    return platform.machine()


def memory() -> int:
    """Return the machine's memory in GB."""
    return round(int(Path("/proc/meminfo").read_text().split()[1]) / 1e6)
