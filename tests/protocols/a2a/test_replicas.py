"""Two servers over one database: a task that one runs can be followed and ended by the other."""

import threading

from tests.protocols.a2a.agents import (
    Json,
    app,
    call,
    frames,
    get,
    message,
    post,
    reason_of,
    send,
    state_of,
    text_of,
)
from tests.protocols.a2a.test_waiting import YES
from tests.support.calling import QUICK, Serve


def test_a_task_is_followed_and_cancelled_by_another_server(serve: Serve, postgres: str) -> None:
    one, two = (serve(app(store=postgres, single_user=True, timeouts=QUICK)) for _ in range(2))
    sent = {"message": message("20"), "configuration": {"returnImmediately": True}}
    task = call(one, "slow", "SendMessage", sent)["result"]["task"]
    seen: dict[str, list[Json]] = {}

    def follow(url: str) -> None:
        seen[url] = frames(post(url, "slow", "SubscribeToTask", {"id": task["id"]}))

    followers = [threading.Thread(target=follow, args=(url,)) for url in (one, two)]
    for each in followers:
        each.start()
    for each in followers:
        each.join(30)
    updates = [[frame for frame in seen[url] if "artifactUpdate" in frame] for url in (one, two)]
    assert updates[0] == updates[1]
    assert len(updates[0]) == 21
    assert {state_of(seen[url][-1]["statusUpdate"]) for url in (one, two)} == {"COMPLETED"}
    assert get(one, "slow", task["id"]) == get(two, "slow", task["id"])
    long = call(one, "slow", "SendMessage", sent | {"message": message("600")})["result"]["task"]
    assert state_of(call(two, "slow", "CancelTask", {"id": long["id"]})["result"]) == "CANCELED"


def test_a_question_is_answered_at_another_server(serve: Serve, postgres: str) -> None:
    one, two = (serve(app(store=postgres, timeouts=QUICK)) for _ in range(2))
    task = send(one, "asker", "write")
    done = send(two, "asker", YES, taskId=task["id"])
    assert (state_of(done), text_of(done)) == ("COMPLETED", "One moment. The mail is sent.")
    assert get(one, "asker", task["id"]) == done


def test_of_two_answers_one_counts(serve: Serve, postgres: str) -> None:
    urls = [serve(app(store=postgres, timeouts=QUICK)) for _ in range(2)]
    task = send(urls[0], "asker", "write")
    told: list[Json] = []

    def answer(url: str) -> None:
        told.append(call(url, "asker", "SendMessage", {"message": message(YES, taskId=task["id"])}))

    threads = [threading.Thread(target=answer, args=(url,)) for url in urls]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    (done,) = [each["result"]["task"] for each in told if "result" in each]
    assert text_of(done) == "One moment. The mail is sent."
    (refused,) = [each["error"] for each in told if "error" in each]
    assert reason_of(refused)[1] in (
        "UNSUPPORTED_OPERATION",
        "CONVERSATION_LOCKED",
        "INVALID_PARAMS",
    )
