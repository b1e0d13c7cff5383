"""`agent-asgi chat`: talk to an agent in the terminal."""
