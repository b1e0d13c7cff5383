"""What the recipes refuse, and what they do when something fails."""

import hashlib
import hmac
import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.docs.recipes.running import recipe
from tests.docs.test_tutorial import Reader
from tests.support.asking import Reply, fetch
from tests.support.calling import connect, error_of
from tests.support.chat_model import Json
from tests.support.receiver import receiving

SECRET = b"8f742231b10e8888abcd99yyyzzz85a5"
MENTION = {
    "type": "event_callback",
    "event_id": "Ev1",
    "event": {"type": "app_mention", "channel": "C1", "ts": "17.5", "text": "What is a bot?"},
}


def url_of(reader: Reader) -> str:
    """Return the URL of the recipe that a reader serves."""
    return f"http://127.0.0.1:{reader.port}"


def payments(folder: Path) -> list[Any]:
    """Return the amounts in the ledger, in euros."""
    if not (folder / "payments.db").exists():
        return []
    with closing(sqlite3.connect(folder / "payments.db")) as ledger:
        return [cents // 100 for (cents,) in ledger.execute("SELECT cents FROM payments")]


def answer(asked: Any, *, approve: bool) -> Any:
    """Return the answer to the request for approval in a response, as arguments of `create`."""
    (request,) = (item for item in asked.output if item.type == "mcp_approval_request")
    reply = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve}
    return {"previous_response_id": asked.id, "input": [reply]}


def test_a_payment_is_asked_for_made_once_and_after_a_restart(tmp_path: Path) -> None:
    with recipe("payment", tmp_path) as (reader, _):
        serve = "agent-asgi serve payment:app"
        reader.serve(serve)
        client = connect(url_of(reader), timeout=120)
        small = client.responses.create(input="Pay 20 euros to Ann for bill 1.")
        assert (small.output_text, payments(tmp_path)) == ("Bill 1 is paid.", [20])

        again = client.responses.create(input="Pay 20 euros to Ann for bill 1.")
        assert (again.output_text, payments(tmp_path)) == ("Bill 1 is not paid.", [20])

        refused = client.responses.create(input="Pay 70 euros to Bob for bill 2.")
        assert payments(tmp_path) == [20]
        done = client.responses.create(**answer(refused, approve=False))
        assert (done.output_text, payments(tmp_path)) == ("Bill 2 is not paid.", [20])

        asked = client.responses.create(input="Pay 90 euros to Eve for bill 3.")
        reader.end(signal.SIGTERM)
        reader.serve(serve)
        done = client.responses.create(**answer(asked, approve=True))
        assert (done.output_text, payments(tmp_path)) == ("Bill 3 is paid.", [20, 90])
        with pytest.raises(openai.BadRequestError):
            client.responses.create(**answer(asked, approve=True))
        assert payments(tmp_path) == [20, 90]


def signed(body: bytes, *, age: int = 0, secret: bytes = SECRET) -> dict[str, str]:
    """Return the headers with which Slack signs a body."""
    sent = str(int(time.time()) - age)
    digest = hmac.new(secret, f"v0:{sent}:".encode() + body, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": sent, "x-slack-signature": f"v0={digest}"}


def post(reader: Reader, event: Json, **signing: Any) -> Reply:
    """Send a signed event."""
    headers = signed(json.dumps(event).encode(), **signing)
    return fetch(url_of(reader), "POST", "/slack/events", body=event, headers=headers)


def test_slack_must_sign_and_gets_an_apology(tmp_path: Path) -> None:
    def fails(_: Json) -> str:
        raise RuntimeError("no model")

    with recipe("slack-bot", tmp_path, think=fails) as (reader, _), receiving() as slack:
        reader.env |= {
            "SLACK_SIGNING_SECRET": SECRET.decode(),
            "SLACK_BOT_TOKEN": "xoxb-1",
            "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "SLACK_URL": slack.url,
        }
        reader.serve("agent-asgi serve slack_bot:app")
        challenge = {"type": "url_verification", "challenge": "c"}
        assert json.loads(post(reader, challenge).body) == {"challenge": "c"}
        assert post(reader, MENTION, age=3600).status == 401
        assert post(reader, MENTION, age=-3600).status == 401
        assert post(reader, MENTION, secret=b"guessed").status == 401
        for path in ("/slack/events", "/ended"):
            assert fetch(url_of(reader), "POST", path, body=MENTION).status == 401
        for path in ("/v1/responses", "/invocations"):
            assert fetch(url_of(reader), "POST", path, body={"input": "hi"}).status == 404
        assert slack.requests == []

        assert post(reader, MENTION).status == 200
        (posted,) = slack.wait(1, seconds=120)
        assert posted.headers["authorization"] == "Bearer xoxb-1"
        assert posted.event["text"] == "That did not work. Please ask again."


def test_a_text_that_is_no_invoice_is_a_422(tmp_path: Path) -> None:
    with recipe("extraction", tmp_path, think=lambda _: '{"number": "17"}') as (reader, model):
        reader.serve("agent-asgi serve extraction:app")
        client = connect(url_of(reader), timeout=120)
        with pytest.raises(openai.UnprocessableEntityError) as raised:
            client.responses.create(input="Hello.")
        assert error_of(raised) == (422, "not_an_invoice", None)
        assert len(model.bodies) == 3


def test_users_do_not_see_each_others_answers(tmp_path: Path) -> None:
    with recipe("on-behalf", tmp_path) as (reader, _):
        reader.serve("agent-asgi serve on_behalf:app")
        tokens = [reader.env["ANNS_TOKEN"], reader.env["BOBS_TOKEN"]]
        ann, bob = (connect(url_of(reader), api_key=token, timeout=120) for token in tokens)
        made = ann.responses.create(input="What did I order?")
        assert made.output_text == "You ordered: lamp, desk."
        assert ann.responses.retrieve(made.id).id == made.id
        with pytest.raises(openai.NotFoundError):
            bob.responses.retrieve(made.id)
        assert fetch(url_of(reader), "GET", f"/v1/responses/{made.id}").status == 401


def test_labels_are_text_in_the_chart(tmp_path: Path) -> None:
    chart = {"title": "<script>", "bars": [{"label": "</svg>&", "value": 2}]}
    with recipe("chart", tmp_path) as (reader, _):
        reader.env["CODE"] = f"import chart; print(chart.Chart(**{chart}).svg())"
        reader.run('python -c "$CODE"')
        assert "<title>&lt;script&gt;</title>" in reader.printed
        assert "&lt;/svg&gt;&amp;</text>" in reader.printed
        assert reader.printed.count("</svg>") == 1
