"""Tests of `agent-asgi new`."""
