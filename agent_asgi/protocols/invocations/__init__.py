"""MLflow's `/invocations`: its variant of the Responses API, and plain JSON."""
