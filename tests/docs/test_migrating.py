"""What clients get from a dozen agents of MLflow's AgentServer, before and after migrating."""

import difflib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import ROOT

Json = dict[str, Any]
HERE = Path(__file__).parent / "migrating"
DELTAS = ("response.output_text.delta", "response.reasoning_summary_text.delta")
AGENTS = sorted(each.stem for each in HERE.glob("before/[!_]*.py"))


@pytest.fixture(scope="module")
def played(tracking_uri: str) -> Json:
    """Ask all agents in one process; return their answers."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.migrating.play"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("agent", AGENTS)
def test_client_gets_json_as_before(played: Json, agent: str) -> None:
    before, after = (played["answers"][agent][side]["json"] for side in ("before", "after"))
    assert (before["status"], before["type"]) == (after["status"], after["type"])
    assert before["status"] == 200
    (was,), (now,) = before["events"], after["events"]
    if "output" not in was:
        assert was == now
        return
    assert [plain(each) for each in was["output"]] == [plain(each) for each in now["output"]]
    assert was.get("custom_outputs") == now.get("custom_outputs")
    told, usage = was.get("usage", {}), now.get("usage", {})
    assert {key: told[key] for key in told if not key.endswith("details")}.items() <= usage.items()
    assert all(told[key].items() <= usage[key].items() for key in told if key.endswith("details"))
    assert was["metadata"].keys() == now["metadata"].keys() == {"trace_id"}


@pytest.mark.parametrize("agent", [each for each in AGENTS if each != "custom_inputs"])
def test_client_reads_its_stream_as_before(played: Json, agent: str) -> None:
    before, after = (played["answers"][agent][side]["stream"] for side in ("before", "after"))
    assert (before["status"], before["type"]) == (after["status"], after["type"])
    assert before["status"] == 200
    assert before["done"] is after["done"] is True
    if agent == "any_json":  # it also has the trace id, as requested
        assert before["events"] == after["events"][:-1]
        assert after["events"][-1].keys() == {"trace_id"}
    else:
        seen = read(before["events"])
        assert len(seen) > 1
        assert seen == read(after["events"])


def test_one_handler_serves_both_modes(played: Json) -> None:
    before, after = (
        played["answers"]["custom_inputs"][side]["stream"] for side in ("before", "after")
    )
    assert before["status"] == 500
    assert before["events"] == [{"detail": "No stream function registered"}]
    assert read(after["events"])[-1] == ("item", item("In en."))
    assert after["events"][-2]["response"]["custom_outputs"] == {"seen": {"language": "en"}}


@pytest.mark.parametrize("agent", [each for each in AGENTS if each != "any_json"])
def test_wrong_request_is_a_400_as_before_and_names_its_field(played: Json, agent: str) -> None:
    before, after = (played["answers"][agent][side]["wrong"] for side in ("before", "after"))
    assert before["status"] == after["status"] == 400
    assert "Invalid role: robot" in before["events"][0]["detail"]
    assert after["events"][0]["error"]["param"] == "input[0].role"


def test_failure_is_a_500_as_before_and_tells_nothing_of_the_exception(played: Json) -> None:
    before, after = (played["answers"]["any_json"][side]["wrong"] for side in ("before", "after"))
    assert before["status"] == after["status"] == 500
    assert before["events"] == [{"detail": "'numbers'"}]
    assert "numbers" not in str(after["events"])


def test_session_is_in_the_trace_as_before(played: Json) -> None:
    assert played["sessions"] == {"before": "c-9", "after": "c-9"}


def test_users_token_is_in_the_headers_as_before(played: Json) -> None:
    for side in ("before", "after"):
        events = played["answers"]["on_behalf"][side]["stream"]["events"]
        assert read(events)[-1] == ("item", item("client with token-of-ann"))


def test_custom_outputs_of_events_are_those_of_the_response(played: Json) -> None:
    before, after = (
        played["answers"]["responses_agent"][side]["stream"]["events"]
        for side in ("before", "after")
    )
    given = [each["custom_outputs"] for each in before if each.get("custom_outputs")]
    assert given == [{"asked": {"language": "en"}}]
    assert after[-2]["response"]["custom_outputs"] == given[0]
    assert not any("custom_outputs" in each for each in after)


def test_table_of_the_docs_counts_the_lines() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text()
    table = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert {name: tuple(map(int, counts)) for name, *counts in table} == {
        agent: changed(agent) for agent in AGENTS
    }


def changed(agent: str) -> tuple[int, int, int]:
    """Return how many lines an agent had, lost and gained, not counting blank ones."""
    before, after = (
        [line for line in (HERE / side / f"{agent}.py").read_text().splitlines() if line.strip()]
        for side in ("before", "after")
    )
    marks = [line[0] for line in difflib.ndiff(before, after)]
    return len(before), marks.count("-"), marks.count("+")


def read(events: list[Json]) -> list[tuple[str, Any]]:
    """Return the parts of a stream that Databricks' chat client reads, without ids.

    An item sent whole gets one delta, as it does after the migration.
    """
    seen: list[tuple[str, Any]] = []
    for event in events:
        kind = event.get("type", "")
        if kind in DELTAS:
            seen.append(("delta", event["delta"]))
        elif kind == "response.output_item.done":
            given = event["item"]
            text = "".join(each["text"] for each in given.get("content", given.get("summary", ())))
            if text and (not seen or seen[-1][0] != "delta"):
                seen.append(("delta", text))
            seen.append(("item", plain(given)))
        elif "error" in event:
            seen.append(("error", event["error"]))
    assert isinstance(events[-1]["trace_id"], str)
    return seen


def plain(given: Json) -> Json:
    """Return an item without its id, status and empty values."""
    kept = {
        key: each for key, each in given.items() if key not in ("id", "status") and each is not None
    }
    if isinstance(kept.get("content"), list):
        kept["content"] = [
            {key: each for key, each in part.items() if each not in ([], None)}
            for part in kept["content"]
        ]
    return kept


def item(text: str) -> Json:
    """Return a message as `plain` does."""
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": content}
