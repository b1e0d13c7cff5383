"""Traces of runs by MLflow, and how they leave the process; the only importers of mlflow."""
