"""The commit that a process runs, tied to its traces."""

import logging
import os
import subprocess
from pathlib import Path

logger = logging.getLogger("agent_asgi.tracing")


def track_git_version(app: str | None = None) -> str | None:
    """Tie the traces of this process to the commit it runs.

    Sets MLflow's active model to `APP-git-HASH`. Best effort: without git, a commit, a server or
    the full `mlflow` distribution it is a warning. Call it before the app starts; it may reach a
    server.

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
    except Exception as error:  # noqa: BLE001  whatever fails, the agent is served
        logger.warning("The git version is not tracked: %s", error)
        return None
    return name
