"""MLflow's automatic tracing of a library."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def autologging(flavor: Any) -> Iterator[None]:
    """Trace the calls of a library until the block ends.

    Args:
        flavor: MLflow's module for the library, such as `mlflow.openai`.
    """
    flavor.autolog()
    try:
        yield
    finally:
        flavor.autolog(disable=True)
