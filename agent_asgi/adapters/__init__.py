"""Adapters of agent frameworks: their streams as outputs of a handler. Each needs its extra."""
