"""The services that recipes call, on 127.0.0.1: an encyclopedia, and a shop with its issuer."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.docs.recipes.models import QUERIES
from tests.support.issuer import Issuer, issuing
from tests.support.servers import serving

ORDERS = {"ann": ["lamp", "desk"], "bob": ["bicycle"]}
CLIENT = ("agents", "s3cret")
BASIC = f"Basic {b64encode(':'.join(CLIENT).encode()).decode()}"


async def _search(request: Request) -> Response:
    """Find one article, in the form of MediaWiki's API."""
    query = request.query_params
    assert query["gsrlimit"] == "1"
    title = QUERIES[query["gsrsearch"]]
    url = f"https://en.wikipedia.org/wiki/{title.replace(' ', '_')}"
    page = {"pageid": 7, "title": title, "extract": f"About {title}.", "fullurl": url}
    return JSONResponse({"query": {"pages": {"7": page}}})


@contextmanager
def encyclopedia() -> Iterator[dict[str, str]]:
    """Run an encyclopedia; yield the environment of the recipe."""
    with serving(Starlette(routes=[Route("/api", _search)])) as server:
        yield {"WIKIPEDIA_URL": f"{server.url}/api"}


def _shop(issuer: Issuer) -> Starlette:
    def claims(token: str, audience: str) -> dict[str, Any]:
        keys = jwt.PyJWKSet.from_dict(issuer.key_set())
        known: dict[str, Any] = jwt.decode(token, keys.keys[0], ["RS256"], audience=audience)
        return known

    async def exchange(request: Request) -> Response:
        form = dict(item.split("=", 1) for item in (await request.body()).decode().split("&"))
        if request.headers["authorization"] != BASIC:
            return Response(status_code=401)
        user = claims(form["subject_token"], "agents")["sub"]
        return JSONResponse({"access_token": issuer.sign(sub=user, aud=form["audience"])})

    async def orders(request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        try:
            user = claims(token, "orders")["sub"]
        except jwt.InvalidTokenError:
            return Response(status_code=401)
        return JSONResponse([{"article": article} for article in ORDERS[user]])

    return Starlette(routes=[Route("/token", exchange, methods=["POST"]), Route("/orders", orders)])


@contextmanager
def shop() -> Iterator[dict[str, str]]:
    """Run an issuer, its exchange of tokens and a service; yield the environment of the recipe."""
    with issuing() as issuer, serving(_shop(issuer)) as server:
        yield {
            "ISSUER": issuer.url,
            "TOKEN_URL": f"{server.url}/token",
            "ORDERS_URL": f"{server.url}/orders",
            "CLIENT_ID": CLIENT[0],
            "CLIENT_SECRET": CLIENT[1],
            "ANNS_TOKEN": issuer.sign(sub="ann"),
            "BOBS_TOKEN": issuer.sign(sub="bob"),
        }
