"""Detached runs: queues, execution, recovery, and their logs."""
