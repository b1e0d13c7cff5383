"""The metrics and logs of a server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .metrics import Metrics

GENAI_BUCKETS = tuple(0.1 * 2**power for power in range(13))
"""Upper bounds of the buckets of `gen_ai.invoke_agent.duration` in seconds, as OpenTelemetry's
conventions recommend."""


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
