"""Checks the package's runtime dependencies for known vulnerabilities; `make check` runs it.

pip-audit checks the installed versions of the dependencies and extras, including transitive ones,
but not the test tools. If its index does not answer, a message says so and the check passes, since
it must work without a network. A vulnerability that is found always fails the check.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = "sqlite,postgres,metrics,proxy,openai-agents,langgraph,pydantic-ai"
PACKAGE = f"agent-asgi[{EXTRAS}]"
ANSWER_SECONDS = 5
"""Timeout for one answer of the index."""
SECONDS = 60.0
"""Timeout for the whole audit."""
UNREACHABLE = re.compile(
    r"^(requests\.exceptions|pip_audit\._service)\.|^ERROR:pip_audit._cli:Tip: your network",
    re.MULTILINE,
)
"""What pip-audit prints, with exit code 1, if the index does not answer or answers nonsense."""


def main(command: str) -> None:
    """Run pip-audit and print the result.

    Args:
        command: The path of pip-audit.

    Raises:
        SystemExit: There is a vulnerability, or pip-audit itself failed.
    """
    pins = sorted(set(_pins(Requirement(PACKAGE), set())))
    try:
        code, out, err = _run(command, pins)
    except subprocess.TimeoutExpired:
        print(f"Audit skipped: the index did not answer within {SECONDS:g} s.")  # noqa: T201
        return
    if not out:
        if code == 1 and UNREACHABLE.search(err):
            print("Audit skipped: the index of vulnerabilities does not answer.")  # noqa: T201
            return
        sys.exit(f"pip-audit failed with {code}: {err}")
    dependencies = json.loads(out)["dependencies"]
    found = [line for each in dependencies for line in _vulnerabilities(each)]
    if found or code:
        sys.exit("\n".join(["Vulnerabilities found:", *found]))
    print(_summary(dependencies))  # noqa: T201


def _pins(wanted: Requirement, seen: set[str]) -> Iterator[str]:
    """Yield the installed versions of a requirement's dependencies, including transitive ones."""
    key = f"{canonicalize_name(wanted.name)}{sorted(wanted.extras)}"
    if key in seen:
        return
    seen.add(key)
    for text in requires(wanted.name) or ():
        each = Requirement(text)
        extras = wanted.extras or {""}
        if each.marker is None or any(each.marker.evaluate({"extra": name}) for name in extras):
            yield f"{canonicalize_name(each.name)}=={version(each.name)}"
            yield from _pins(each, seen)


def _run(command: str, pins: list[str]) -> tuple[int, str, str]:
    """Return pip-audit's exit code, stdout and stderr."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pins.txt")
        file.write_text("\n".join(pins))
        options = ["--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off"]
        options += [f"--timeout={ANSWER_SECONDS}", f"--requirement={file}"]
        done = subprocess.run(
            [command, *options], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    return done.returncode, done.stdout.strip(), done.stderr


def _vulnerabilities(dependency: dict[str, Any]) -> Iterator[str]:
    for each in dependency.get("vulns", ()):
        mended = ", ".join(each["fix_versions"]) or "no release"
        name = f"{dependency['name']} {dependency['version']}"
        yield f"  {name}: {each['id']}, mended in {mended}"


def _summary(dependencies: list[dict[str, Any]]) -> str:
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    known = len(dependencies) - len(unknown)
    if not known:
        return f"Audit skipped: the index knows none of {len(unknown)} packages."
    but = f" Not known to the index: {', '.join(unknown)}." if unknown else ""
    return f"Audit: {known} packages, no known vulnerability.{but}"


if __name__ == "__main__":
    main(sys.argv[1])
