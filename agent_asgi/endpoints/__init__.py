"""Endpoints that speak no agent protocol: health, models, metrics, feedback, docs, playground."""
