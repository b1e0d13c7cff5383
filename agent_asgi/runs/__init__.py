"""Runs: admitted, stepped, bounded in time, cancelled, reported."""
