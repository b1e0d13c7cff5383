"""Tests of `agent-asgi chat`."""
