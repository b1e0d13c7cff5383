"""The metrics and logs of a server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .metrics import Metrics


def create_metrics(agents: Iterable[str]) -> "Metrics | None":
    """Return the metrics of an app, or None if prometheus_client is not installed.

    Args:
        agents: Names of the app's agents.
    """
    try:
        from .metrics import Metrics
    except ImportError:  # the extra `metrics` is not installed
        return None
    return Metrics(agents)
