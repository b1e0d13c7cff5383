"""Links traces to the git commit that produced them."""

import logging
import os
import subprocess
from pathlib import Path

logger = logging.getLogger("agent_asgi.tracing")


def track_git_version(app: str | None = None) -> str | None:
    """Link the traces of this process to its git commit.

    Sets MLflow's active model to `APP-git-HASH`. Without git, a commit, a reachable server or the
    full `mlflow` distribution, it only logs a warning. Call it before the app starts: it may
    query a tracking server.

    Args:
        app: The app's name. Default: `DATABRICKS_APP_NAME`, else "local".

    Returns:
        The name set, or None.
    """
    try:
        import mlflow

        commit = subprocess.run(
            ["git", "rev-parse", "--short=8", "HEAD"],  # noqa: S607  the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            cwd=Path.cwd(),
        ).stdout.strip()
        name = f"{app or os.environ.get('DATABRICKS_APP_NAME') or 'local'}-git-{commit}"
        mlflow.set_active_model(name=name)
    except Exception as error:  # noqa: BLE001  the agent is served without it
        logger.warning("The git version is not tracked: %s", error)
        return None
    return name
