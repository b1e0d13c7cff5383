"""Principals from the header `x-user`."""

import openai
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection


class ByHeader(AuthenticationBackend):
    """Trusts the header `x-user`."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the principal; None if the header is missing."""
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(), SimpleUser(name))


OWNERS = [Middleware(AuthenticationMiddleware, backend=ByHeader())]


def as_user(client: openai.OpenAI, name: str) -> openai.OpenAI:
    """Return a client for a user."""
    return client.with_options(default_headers={"x-user": name})
