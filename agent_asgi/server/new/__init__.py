"""`agent-asgi new`: a project to begin with."""
