"""Traces runs with MLflow and exports them."""
