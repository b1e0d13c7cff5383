"""Encoding and decoding JSON; validation errors name their field."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, TypeVar, Union

import msgspec
from msgspec import Raw, structs

from ..errors import InvalidJson, InvalidRequest
from .events import EVENTS, AnyEvent, Event, VendorEvent
from .ids import SURROGATE
from .plain import builtins, plain
from .responses import Response

T = TypeVar("T")

_encoder = msgspec.json.Encoder(enc_hook=plain)
_objects = msgspec.json.Decoder(dict[str, Any])
_values = msgspec.json.Decoder()
_events = msgspec.json.Decoder(Union[EVENTS])  # noqa: UP007  made at run time
_AT = re.compile(r" - at (?:`key` in )?`\$?(.*)`$")


def invalid(error: msgspec.ValidationError, prefix: str = "") -> InvalidRequest:
    """Return msgspec's error as a 400 whose `param` is the JSON path of the field.

    Args:
        error: The error.
        prefix: The path of the decoded value. Default: the body itself.
    """
    message, path = str(error), prefix
    if match := _AT.search(message):
        message, path = message[: match.start()], path + match[1].replace("[...]", "")
    if named := re.search(r"(?:missing required|contains unknown) field `(\w{1,100})`", message):
        path += f".{named[1]}"
    return _at(path, message)


def _at(path: str, message: str) -> InvalidRequest:
    path = path.lstrip(".")
    return InvalidRequest(f"{path}: {message}" if path else message, path or None)


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: It is not an object.
    """
    return strict(_objects, body)


def digest(body: bytes) -> str:
    """Return a hash of a body; the order of its keys and its white space do not change it.

    Raises:
        InvalidRequest: A number is out of range, in a field that no decoder has read.
    """
    plain_form = msgspec.json.encode(strict(_values, body), order="deterministic")
    return hashlib.sha256(plain_form).hexdigest()


def convert(body: dict[str, Any], wanted: Any) -> Any:
    """Convert a decoded body to the type of a handler's annotation.

    Args:
        body: The body.
        wanted: A msgspec type, or a class with pydantic's `model_validate`.

    Raises:
        InvalidRequest: A field is invalid; `param` names it.
    """
    validate = getattr(wanted, "model_validate", None)
    try:
        return msgspec.convert(body, wanted) if validate is None else validate(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except ValueError as error:  # pydantic's ValidationError is one
        raise _invalid_model(error, body) from error


def _invalid_model(error: ValueError, body: dict[str, Any]) -> InvalidRequest:
    errors = getattr(error, "errors", None)
    if errors is None:
        return InvalidRequest(str(error))
    first = errors()[0]
    return _at(_path(first["loc"], body), first["msg"])


def _path(loc: Sequence[str | int], value: Any) -> str:
    """Return the path of pydantic's `loc`, without the names of union members that it contains."""
    path = ""
    for number, key in enumerate(loc, 1):
        if isinstance(key, int):
            path += f"[{key}]"
            value = value[key] if isinstance(value, list) and key < len(value) else None
        elif isinstance(value, dict) and (key in value or number == len(loc)):
            path += f".{key}"
            value = value.get(key)
    return path


def encode(value: object) -> bytes:
    """Encode a value to JSON; pydantic models by their `model_dump`.

    Unpaired surrogates, which UTF-8 cannot encode, become U+FFFD.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(builtins(value)))


def encode_event(event: AnyEvent, buffer: bytearray, head: bytes = b"", end: bytes = b"") -> None:
    """Append an event's JSON to a buffer; append nothing if it cannot be encoded.

    Args:
        event: The event.
        buffer: The buffer.
        head: Bytes before the JSON. Default none.
        end: Bytes after the JSON. Default none.
    """
    before = len(buffer)
    buffer += head
    try:
        if type(event) is VendorEvent:
            # the type comes first, as in other events: `event_type` reads it there
            fields = {"type": event.type} | event.fields
            buffer += encode(fields | {"sequence_number": event.sequence_number})
        else:
            _encoder.encode_into(event, buffer, -1)
    except UnicodeEncodeError:
        del buffer[before:]
        buffer += head + encode(event)
    except BaseException:
        del buffer[before:]
        raise
    buffer += end


def on_one_line(frames: bytes) -> bytes:
    """Escape the line ends of Python's `splitlines` that are not line ends in an event stream.

    Clients that use it, for example httpx's `iter_lines`, would read model output as frames.
    """
    for char, escaped in _LINE_ENDS:
        if char in frames:
            frames = frames.replace(char, escaped)
    return frames


_LINE_ENDS = [(char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\x85\u2028\u2029"]
"""The others are below U+0020, where JSON escapes them anyway."""


def split_lines(lines: bytes) -> list[bytes]:
    """Return the lines of a log without their line feeds; each is the JSON of an event."""
    return lines.split(b"\n")[:-1]


def event_type(line: bytes) -> bytes:
    """Return the type of an event from its line in a log, without decoding the line."""
    end = line.index(b'"', _TYPE_AT)
    name = line[_TYPE_AT:end]
    if b"\\" in name:  # an escaped character in a vendor's type
        name = str(msgspec.json.decode(line)["type"]).encode()
    return name


_TYPE_AT = len(b'{"type":"')


def decode_event(line: bytes) -> AnyEvent:
    """Decode an event from its line in a log; one of an unknown type becomes a `VendorEvent`.

    The response of an event stays encoded.
    """
    try:
        event: Event = _events.decode(line)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(line)
        return VendorEvent(fields.pop("sequence_number"), fields)
    return event


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def short_form(response: Response | dict[str, Any]) -> dict[str, Any]:
    """Return a response without empty fields and without the request's settings, as MLflow's.

    Databricks' clients expect a field to be absent, not null.
    """
    fields = structs.asdict(response) if isinstance(response, Response) else response
    body = {name: fields[name] for name in _REQUIRED}
    body |= {name: fields[name] for name in _OPTIONAL if fields[name]}
    custom = fields.get("custom_outputs", msgspec.UNSET)
    return body if custom is msgspec.UNSET else body | {"custom_outputs": custom}


_REQUIRED = ("id", "object", "created_at", "status", "model", "output")
_OPTIONAL = ("usage", "error", "incomplete_details", "completed_at", "metadata")


def strict(decoder: msgspec.json.Decoder[T], raw: bytes | Raw, path: str = "") -> T:
    """Decode JSON.

    Args:
        decoder: The decoder.
        raw: The JSON.
        path: The path of the value in the body. Default: the body itself.

    Raises:
        InvalidJson: It is not JSON.
        InvalidRequest: A field is invalid; `param` names it.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, path) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"The body is not valid JSON: {_reason(error, bytes(raw))}") from error
    except RecursionError:
        raise InvalidJson("The body is nested too deeply.") from None


_PAIR = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]..[^\n]|\xed[\xa0-\xbf]")
"""Half of a surrogate pair, escaped or in UTF-8, but not at the end of a body that was cut off."""


def _reason(error: Exception, body: bytes) -> str:
    """Return why a body is not JSON; msgspec calls half of a surrogate pair truncated data."""
    if _HALF.search(_PAIR.sub(b"", body.replace(b"\\\\", b""))) is None:
        return str(error)
    return "it has half of a surrogate pair. The string was probably cut in the middle of an emoji."
