"""A log that says once that a server is down, whoever complains of it."""

import functools
import logging

unreachable = logging.getLogger("agent_asgi.tracing.server")
"""For warnings of a server that is down: one in five minutes, MLflow's and urllib3's included."""

QUIET_SECONDS = 300.0
EXPORTING = ("agent-asgi-trac", "MlflowTraceLogging", "OtelBatch")
"""How the names of the threads begin that export."""


class Hush(logging.Filter):
    """Lets one warning in five minutes pass: a server that is down is one, not thousands."""

    last = -QUIET_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes."""
        exports = (record.threadName or "").startswith(EXPORTING)
        ours = exports or not record.name.startswith("urllib3")
        if record.levelno < logging.WARNING or not ours:
            return True
        if record.created - Hush.last < QUIET_SECONDS:
            return False
        Hush.last = record.created
        return True


_filter = Hush()


@functools.cache
def hush() -> None:
    """Have all who complain of a server that is down share one warning in five minutes."""
    for name in (
        unreachable.name,
        "mlflow.tracing.export.mlflow_v3",
        "mlflow.tracing.export.async_export_queue",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "urllib3.connectionpool",
    ):
        logging.getLogger(name).addFilter(_filter)
