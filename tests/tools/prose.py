"""Finds phrases that no native technical writer would use; `make check` runs it on `PATHS`.

It reads Markdown without its code, and the docstrings and other texts in Python files. A line that
quotes such a phrase is ignored if it contains `prose: allow`, in a comment of the file's language.
To check other paths: `python -m tests.tools.prose docs agent_asgi README.md`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.pages import ROOT

PATHS = (
    "agent_asgi/config.py",
    "agent_asgi/context.py",
    "agent_asgi/endpoints",
    "agent_asgi/errors.py",
    "agent_asgi/proxy",
    "agent_asgi/testing.py",
    "docs/adapters",
    "docs/ag-ui.md",
    "docs/agent-bricks.md",
    "docs/approvals.md",
    "docs/background.md",
    "docs/calling-agents.md",
    "docs/chat-completions.md",
    "docs/conformance.md",
    "docs/context.md",
    "docs/conversations.md",
    "docs/design.md",
    "docs/evaluation.md",
    "docs/handlers.md",
    "docs/mcp.md",
    "docs/migrating.md",
    "docs/mounting.md",
    "docs/protocols.md",
    "docs/proxy.md",
    "docs/responses.md",
    "docs/scaling.md",
    "docs/several-agents.md",
    "docs/streaming.md",
    "docs/testing.md",
    "docs/tools.md",
    "docs/webhooks.md",
    "docs/websocket.md",
    "docs/which-protocol.md",
)
"""Files and folders without findings. It grows until it names all of them."""
PHRASES = (
    r"affairs?",
    r"alike",
    r"all the same",
    r"anew",
    r"as (?:ever|it came|they came|it may be)",
    r"as [\w ]+ (?:has|have) (?:it|them)(?=\s*[.,;:)])",
    r"at (?:hand|work)",
    r"at the (?:least|most)",
    r"be it",
    r"beside",
    r"(?:begins?|begun|made|starts?|started) again(?=\s*[.,;:)])",
    r"fails? to come",
    r"for one(?=\s*[.;:])",
    r"gives? (?:back|the|an?|no|items|none)",
    r"go(?:es)? on",
    r"going on",
    r"half said",
    r"hitherto",
    r"hold(?:s|ing)? up",
    r"in mid-\w+",
    r"in the midst",
    r"(?<!there\s)is no (?!longer|more)",
    r"let(?:s|ting)? go",
    r"likewise",
    r"mend(?:s|ed|ing)?",
    r"of (?:its|their|your|his|my|our|one's) own",
    r"of yours",
    r"some (?:two|three|four|five|ten|\d+) \w+",
    r"take[ns]? (?:in|for its own)",
    r"tells? (?:of|whether|nothing)",
    r"(?:are|be|been|being|had|has|have|is|unless|was|were) told",
    r"there(?:by|in|of|with)",
    r"till",
    r"unless given",
    r"upon",
    r"wants? (?:an?|it|no|that|the|to be)",
    r"what (?:came|comes|gives|goes|is given|there was)",
    r"where(?:by|in|upon)",
    r"who asks",
    r"(?:(?<=\.\s)|(?<=;\s)|^)Where (?:an?|it|no|nothing|that|the|there|they|this)",
    r", where (?:it|no|none|nothing|that|there|they|this)",
)
FOUND = re.compile(
    rf"(?<![\w-])(?:{'|'.join(PHRASES)})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE | re.MULTILINE
)
CODE = re.compile(r"^ *```.*?^ *```$|`[^`]*`|<!--.*?-->|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
ALLOW = "prose: allow"


def main(paths: list[str]) -> None:
    """Print each finding as `file:line: phrase`.

    Args:
        paths: Files and folders, relative to the repository.

    Raises:
        SystemExit: There are findings.
    """
    found = [
        f"{file.relative_to(ROOT)}:{line}: {phrase}"
        for path in paths
        for file in _files(ROOT / path)
        for line, phrase in findings(file)
    ]
    if found:
        sys.exit("\n".join(found))


def findings(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the phrase of each finding in a Markdown or Python file."""
    source = file.read_text()
    lines = source.splitlines()
    for start, text in [(1, source)] if file.suffix == ".md" else _texts(source):
        for match in FOUND.finditer(CODE.sub(_blank, text)):
            line = start + text.count("\n", 0, match.start())
            if ALLOW not in lines[line - 1]:
                yield line, " ".join(match[0].split())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in (".md", ".py"))


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield each string literal of several words with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def _blank(match: re.Match[str]) -> str:
    """Return as many blanks as the match has characters; line breaks stay."""
    return re.sub(r"[^\n]", " ", match[0])


if __name__ == "__main__":
    main(sys.argv[1:] or list(PATHS))
