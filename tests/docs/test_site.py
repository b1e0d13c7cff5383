"""The site is complete: public names, links that mkdocs does not check, and variables."""

import re
import tomllib
from pathlib import Path

import agent_asgi
from tests.support.pages import ROOT

LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#([^)\s]+))?\)")
IMAGE = re.compile(r' (?:src|srcset)="([^"]+)"')
PATH = re.compile(r"`((?:docs|tests|agent_asgi)/[\w./-]+)`")
MODULE = re.compile(r"`([a-z]\w*(?:/\w+)?)`")
VARIABLE = re.compile(r"\bAGENT_ASGI_[A-Z_]+\b")


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = re.findall(r"^::: agent_asgi\.(\w+)$", pages, re.MULTILINE)
    assert set(agent_asgi.__all__) <= set(shown)


def test_the_links_of_readme_and_changelog() -> None:
    for name in ("README.md", "CHANGELOG.md"):
        page = (ROOT / name).read_text()
        assert all((ROOT / image).exists() for image in IMAGE.findall(page)), name
        for path, anchor in LINK.findall(page):
            assert (ROOT / path).exists(), f"{name}: {path}"
            assert not anchor or anchor in _anchors(ROOT / path), f"{name}: {path}#{anchor}"


def test_every_variable_is_in_the_configuration() -> None:
    sources = (path.read_text() for path in (ROOT / "agent_asgi").rglob("*.py"))
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert {name for source in sources for name in VARIABLE.findall(source)} == set(
        VARIABLE.findall(page)
    )


def test_every_extra_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "index.md").read_text().partition("## Extras")[2]
    shown = {
        name
        for row in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
        for name in re.findall(r"[\w-]+", row)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert shown == set(project["optional-dependencies"]) - {"test", "fuzz", "dev"}


def test_the_files_that_design_and_contributing_name() -> None:
    design, contributing = ((ROOT / "docs" / f"{name}.md") for name in ("design", "contributing"))
    named = PATH.findall(contributing.read_text()) + PATH.findall(design.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
    rows = re.findall(r"^\| .+? \| (.+?) \| .+ \|$", design.read_text(), re.MULTILINE)
    package = ROOT / "agent_asgi"
    modules = [module for row in rows for module in MODULE.findall(row)]
    assert len(modules) > 20
    assert [m for m in modules if not list(package.glob(m)) + list(package.glob(f"{m}.py"))] == []


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}
