"""A client of the Responses API that needs no package."""

import json
from collections.abc import Generator
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

SILENCE = 600.0
"""How long a server may send nothing, in seconds; agent_asgi sends heartbeats in between."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Event = dict[str, Any]


class ServerError(Exception):
    """The server cannot be reached or answers with an error; the message is for the user."""


class Client:
    """Calls a server by the Responses API.

    Args:
        url: Where its `/responses` is, for example `http://127.0.0.1:8000` or
            `https://api.example.com/v1`.
        token: A bearer token. Default None.

    Attributes:
        trace_id: The trace of the newest answer; None if it is not traced.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.trace_id: str | None = None
        self._url = url.rstrip("/")
        self._token = token
        self._opener = _opener(url)

    def agents(self) -> list[str]:
        """Return the names of the agents.

        Raises:
            ServerError: The server cannot be reached or lists no agents.
        """
        try:
            return [model["id"] for model in self._get("/models")["data"]]
        except (KeyError, TypeError) as error:
            raise ServerError(f"{self._url}/models lists no models.") from error

    def traces(self, agent: str) -> str | None:
        """Return the address of an agent's traces, to be followed by an id; None if unknown."""
        try:
            agents = self._get("/playground.json")["agents"]
            pages: list[str | None] = [each["traces"] for each in agents if each["name"] == agent]
        except (KeyError, TypeError, ServerError):
            return None  # the server has no playground
        return pages[0] if pages else None

    def stream(self, body: Event) -> Generator[Event, None, None]:
        """Run an agent and yield its events; closing the iterator cancels the run.

        Raises:
            ServerError: The server cannot be reached, refuses the request or breaks off.
        """
        with self._open("/responses", {**body, "stream": True}) as answer:
            self.trace_id = answer.headers.get("x-mlflow-trace-id")
            if answer.headers.get_content_type() != "text/event-stream":
                raise ServerError(f"{self._url}/responses does not stream.")
            try:
                for line in answer:
                    if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                        yield json.loads(line[5:])
            except (HTTPException, OSError, ValueError) as error:
                raise ServerError(f"The answer broke off: {error}.") from error

    def _get(self, path: str) -> Any:
        try:
            with self._open(path) as answer:
                return json.load(answer)
        except (HTTPException, OSError, ValueError) as error:
            raise ServerError(f"{self._url}{path} is no JSON: {error}.") from error

    def _open(self, path: str, body: Event | None = None) -> HTTPResponse:
        content = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, content, {"content-type": "application/json"})  # noqa: S310  http(s)
        if self._token:  # a redirect does not take it along
            request.add_unredirected_header("authorization", f"Bearer {self._token}")
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=SILENCE)
        except HTTPError as error:
            with error:
                raise ServerError(_message(error)) from error
        except (HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise ServerError(f"Cannot reach {self._url}: {reason}.") from error
        return answer


def _opener(url: str) -> OpenerDirector:
    """Return an opener that asks a proxy of the environment, but not for this machine."""
    local = urlsplit(url).hostname in LOOPBACK
    return build_opener(ProxyHandler({})) if local else build_opener()


def _message(error: HTTPError) -> str:
    """Return what an error response says."""
    try:
        detail = json.loads(error.read())["error"]
        message = f"{detail['message']} ({detail.get('code') or error.code})"
    except (KeyError, TypeError, ValueError, OSError, HTTPException):
        message = f"HTTP {error.code} {error.reason}."
    return f"{message} Pass --token." if error.code == 401 else message
