"""Follow the pages of docs/recipes as a reader would, with models and services on 127.0.0.1."""

import re
from pathlib import Path

import pytest

from tests.docs.recipes.running import RECIPES, recipe
from tests.docs.test_tutorial import Reader
from tests.support.pages import FENCE
from tests.support.servers import free_port

PAGES = sorted(page.stem for page in RECIPES.glob("*.md") if page.stem != "index")
SHOWN = re.compile(r"--8<--\ndocs/recipes/(.+)\n--8<--\n")
EXPORT = re.compile(r"^export .+\n", re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    page = (RECIPES / f"{name}.md").read_text().replace("8001", str(free_port()))
    blocks = [found for found in FENCE.finditer(page) if found["how"] is not None]
    with recipe(name, tmp_path) as (reader, model):
        for found in sorted(blocks, key=lambda found: "save" not in found["how"]):  # no reload
            follow(reader, found["how"].removeprefix("tutorial: "), found["code"])
        assert model.bodies


def follow(reader: Reader, step: str, code: str) -> None:
    """Carry out one block; exported variables of the test's services stay as they are."""
    if step == "shows":
        shown = SHOWN.fullmatch(code)
        assert shown is not None
        assert (reader.folder / shown[1]).is_file()
        return
    if step == "serve":
        for name, value in re.findall(r"(\w+)=(\S+)", "".join(EXPORT.findall(code))):
            reader.env.setdefault(name, value)
        code = EXPORT.sub("", code)
    reader.follow(step, code)


def test_the_index_names_every_recipe() -> None:
    named = re.findall(r"^\| \[.+\]\((.+)\.md\)", (RECIPES / "index.md").read_text(), re.MULTILINE)
    assert sorted(named) == PAGES
