"""Run a recipe in a separate folder, with its model and services on 127.0.0.1."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.docs.recipes.models import MODELS
from tests.docs.recipes.services import encyclopedia, shop
from tests.docs.test_tutorial import Reader, reading
from tests.support.chat_model import Call, ChatModel, Json, thinking
from tests.support.pages import ROOT

RECIPES = ROOT / "docs" / "recipes"
TRACED = ("evaluation", "rag")
"""The recipes that record spans; the others start sooner without."""
SERVICES: dict[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {
    "research": encyclopedia,
    "on-behalf": shop,
}
PATIENCE = 300.0


@contextmanager
def recipe(
    name: str,
    folder: Path,
    *,
    think: Callable[[Json], str | Call] | None = None,
    pause: float = 0,
) -> Iterator[tuple[Reader, ChatModel]]:
    """Copy the recipes to a folder; yield a reader of one, and the model that it calls.

    Args:
        name: The name of the recipe's page.
        folder: The folder.
        think: What the model answers. Default: what the page shows.
        pause: Seconds before each piece of the model's streams. Default none.
    """
    shutil.copytree(RECIPES, folder, dirs_exist_ok=True)
    think = think or MODELS[name]
    services = SERVICES.get(name, lambda: nullcontext({}))
    with reading(folder) as reader, services() as env, thinking(think, pause) as model:
        reader.patience = PATIENCE
        reader.env |= {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none", **env}
        reader.env |= {"OTEL_SDK_DISABLED": str(name not in TRACED).lower()}
        reader.env |= {"OWN_URL": f"http://127.0.0.1:{reader.port}"}
        yield reader, model
