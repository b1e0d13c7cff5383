"""Answers mentions in Slack: uvicorn slack_bot:app"""

import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, InvalidWebhookSignatureError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_asgi import AgentApp, AgentRouter, Output, ResponsesRequest, Webhook
from agent_asgi.adapters.chat_completions import outputs

MODEL = os.environ.get("OPENAI_MODEL", "gpt-5-mini")
SLACK = os.environ.get("SLACK_URL", "https://slack.com/api")
SIGNING_SECRET = os.environ["SLACK_SIGNING_SECRET"].encode()
HEADERS = {"authorization": f"Bearer {os.environ['SLACK_BOT_TOKEN']}"}
WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]
OWN_URL = os.environ.get("OWN_URL", "http://127.0.0.1:8000")
MAX_AGE = 300
"""Seconds after which a signature is refused, so that nobody can send a request again."""

router = AgentRouter("helper", description="Answers in Slack")
model = AsyncOpenAI()


@router.stream
async def helper(request: ResponsesRequest) -> AsyncIterator[Output]:
    messages: Any = request.messages
    return outputs(await model.chat.completions.create(model=MODEL, messages=messages, stream=True))


ended = Webhook(f"{OWN_URL}/ended", WEBHOOK_SECRET, allow_private=True)
agents = AgentApp(router, store="sqlite:///slack.db", webhooks=[ended], single_user=True)
inside = DefaultAsyncHttpxClient(transport=httpx2.ASGITransport(agents))  # nobody else reaches it
client = AsyncOpenAI(base_url="http://agents/v1", http_client=inside, webhook_secret=WEBHOOK_SECRET)


def is_signed(request: Request, body: bytes) -> bool:
    """Return whether Slack sent this within the last minutes."""
    sent = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    digest = hmac.new(SIGNING_SECRET, b"v0:%b:%b" % (sent.encode(), body), hashlib.sha256)
    recent = sent.isdecimal() and abs(time.time() - int(sent)) < MAX_AGE
    return recent and hmac.compare_digest(f"v0={digest.hexdigest()}".encode(), signature.encode())


async def from_slack(request: Request) -> Response:
    """Start a run for a mention; Slack waits three seconds, then sends the event again."""
    body = await request.body()
    if not is_signed(request, body):
        return Response(status_code=401)
    message = json.loads(body)
    if message["type"] == "url_verification":
        return JSONResponse({"challenge": message["challenge"]})
    event = message["event"]
    if event["type"] == "app_mention":
        thread = event.get("thread_ts", event["ts"])
        await client.responses.create(
            model="helper",
            input=event["text"],
            background=True,
            conversation=f"{event['channel']}-{thread}",
            metadata={"channel": event["channel"], "thread_ts": thread},
            extra_headers={"idempotency-key": message["event_id"]},
        )
    return Response()


async def from_ourselves(request: Request) -> Response:
    """Post the answer of a run that has ended."""
    body = await request.body()
    try:
        client.webhooks.verify_signature(body, request.headers)
    except (InvalidWebhookSignatureError, ValueError):  # no header is a ValueError
        return Response(status_code=401)
    run = await client.responses.retrieve(json.loads(body)["data"]["id"])
    text = run.output_text or "That did not work. Please ask again."
    async with httpx2.AsyncClient(timeout=20, headers=HEADERS) as slack:
        answer = await slack.post(
            f"{SLACK}/chat.postMessage", json={"text": text, **(run.metadata or {})}
        )
    return Response(status_code=204 if answer.json().get("ok") else 502)


routes = [
    Route("/slack/events", from_slack, methods=["POST"]),
    Route("/ended", from_ourselves, methods=["POST"]),
]
app = Starlette(routes=routes, lifespan=agents.lifespan)
