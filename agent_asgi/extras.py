"""`MissingExtra`: a feature needs packages that are not installed."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "agent-asgi"


class MissingExtra(ImportError):
    """A feature needs packages that are not installed.

    Args:
        feature: What needs them.
        extra: The extra of this package that has them.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed: {install_command(extra)}"
        )


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this package, from where it was installed."""
    try:
        origin = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # a folder on the import path
        origin = {}
    url = origin.get("url")
    if url is None:
        return f"pip install '{NAME}[{extra}]'"
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e '{url2pathname(urlsplit(url).path)}[{extra}]'"
    version_control = origin.get("vcs_info", {}).get("vcs")
    prefix = f"{version_control}+" if version_control else ""
    return f"pip install '{NAME}[{extra}] @ {prefix}{url}'"
