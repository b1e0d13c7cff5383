"""The table in docs/clients.md: what was tried with which client."""

import re
from collections.abc import Collection, Mapping

from tests.clients.clients import CLIENTS
from tests.clients.expectations import COLUMNS, Client
from tests.clients.packages import Packages
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "clients.md"
MARKS = re.compile(r"(?<=<!-- made by `make clients` -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table(packages: Packages, wrong: Mapping[str, Collection[str]]) -> str:
    """Return the table and its notes.

    Args:
        packages: The packages and their versions.
        wrong: By client, the columns in which it did not see what is expected.
    """
    titles = [column.replace("_", " ").removeprefix("error ") for column in COLUMNS]
    lines = [f"| client | packages | {' | '.join(titles)} |", "|---|---|" + ":-:|" * len(titles)]
    notes: list[str] = []
    for name, client in CLIENTS.items():
        tried = ", ".join(packages[client.language][package] for package in client.packages)
        cells = (_cell(client, column, wrong.get(name, ()), notes) for column in COLUMNS)
        lines.append(f"| {client.title} | {tried} | {' | '.join(cells)} |")
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([*lines, "", *numbered, ""])


def _cell(client: Client, column: str, wrong: Collection[str], notes: list[str]) -> str:
    """Return a cell; add its note to the notes unless it is there already."""
    mark = "✗" if column in wrong else "–" if column in client.absent else "✓"
    note = client.absent.get(column) or client.differs.get(column, (None, ""))[1]
    if not note:
        return mark
    if note not in notes:
        notes.append(note)
    return f"{mark} {notes.index(note) + 1}"
