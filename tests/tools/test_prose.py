"""`tests/tools/prose.py` finds phrases in prose, and ignores code and allowed lines."""

from pathlib import Path

import pytest

from tests.support.pages import ROOT
from tests.tools import prose


def test_markdown(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "The run goes\non. Where it ends, `anew` is code.\n\n"
        "```python\nprint('anew')\n```\n\nLater it begins anew.\n"
    )
    assert list(prose.findings(page)) == [(1, "goes on"), (2, "Where it"), (8, "anew")]


def test_python(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Return it.\n\nIt is told.\n"""\n\nanew = "anew"  # begins anew\n'
        'error = f"Number {anew} fails, as ever."\n'
    )
    assert list(prose.findings(module)) == [(3, "is told"), (7, "as ever")]


def test_allowed_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("We never say anew. <!-- prose: allow -->\nIt begins anew.\n")
    assert list(prose.findings(page)) == [(2, "anew")]


def test_findings_fail_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("It begins anew.\n")
    (tmp_path / "docs" / "data.json").write_text("anew")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"^docs/page\.md:1: anew$"):
        prose.main(["docs"])


def test_the_checked_paths_have_no_findings() -> None:
    assert all((ROOT / path).exists() for path in prose.PATHS)
    prose.main(list(prose.PATHS))
