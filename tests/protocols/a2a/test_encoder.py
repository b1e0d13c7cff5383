"""The encoder: a log and live events give the same frames, whatever texts and ids contain."""

import json

from hypothesis import given
from hypothesis import strategies as st

from agent_asgi.background.log_writer import LINES
from agent_asgi.protocols.a2a.binding import Binding, RpcBinding
from agent_asgi.protocols.a2a.encoder import TaskEncoder
from agent_asgi.protocols.a2a.request import file_part
from agent_asgi.protocols.a2a.task import TaskView, Turn, artifact_of, as_timestamp
from agent_asgi.schema.events import OutputTextDelta, RefusalDelta
from agent_asgi.schema.requests import ResponsesRequest
from agent_asgi.schema.responses import Response


def encoder(binding: Binding) -> TaskEncoder:
    response = Response(id="resp_1", status="in_progress")
    return TaskEncoder(binding, TaskView([Turn(ResponsesRequest(input="x"), response)]))


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(st.sampled_from(["msg_1", 'a"b\\', "ü"]), texts), max_size=6))
def test_a_log_and_live_events_give_the_same_frames(deltas: list[tuple[str, str]]) -> None:
    for binding in (Binding(), RpcBinding("a")):
        live, replayed = bytearray(), bytearray()
        one, other = encoder(binding), encoder(binding)
        for number, (id_, text) in enumerate(deltas):
            event = OutputTextDelta(
                sequence_number=number, item_id=id_, output_index=0, content_index=0, delta=text
            )
            one.write(event, live)
            line = bytearray()
            LINES.write(event, line)
            other.replay(bytes(line.removesuffix(b"\n")), replayed)
        assert live == replayed
        frames = [json.loads(each[6:]) for each in bytes(live).split(b"\n\n") if each]
        results = [each.get("result", each) for each in frames]
        said = [each["artifactUpdate"]["artifact"] for each in results]
        assert [(each["artifactId"], each["parts"][0]["text"]) for each in said] == deltas


def test_a_refusal_streams_as_a_text() -> None:
    buffer = bytearray()
    event = RefusalDelta(
        sequence_number=0, item_id="m", output_index=0, content_index=0, delta="No."
    )
    encoder(Binding()).write(event, buffer)
    update = json.loads(bytes(buffer)[6:])["artifactUpdate"]
    assert update["artifact"] == {"artifactId": "m", "parts": [{"text": "No."}]}
    assert (update["taskId"], update["contextId"]) == ("resp_1", "resp_1")


def test_files_of_other_protocols() -> None:
    assert file_part("aGk=", "a", data=True).raw == "aGk="
    assert file_part("file-1").url == "file-1"
    part = file_part("data:image/png;base64,aGk=")
    assert (part.media_type, part.raw) == ("image/png", "aGk=")


def test_an_image_in_a_message_is_a_file() -> None:
    part = {"type": "output_image", "image_url": "data:image/svg+xml;base64,aGk="}
    artifact = artifact_of({"type": "message", "id": "msg_1", "content": [part]})
    assert artifact is not None
    assert (artifact.parts[0].media_type, artifact.parts[0].raw) == ("image/svg+xml", "aGk=")


def test_times_are_in_utc_with_milliseconds() -> None:
    assert as_timestamp(0) == "1970-01-01T00:00:00.000Z"
