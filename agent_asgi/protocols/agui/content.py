"""Converting the parts of a content to those of Responses. Pure."""

from collections.abc import Sequence
from typing import Any

from ...errors import InvalidRequest
from .request_schema import (
    AudioPart,
    BinaryPart,
    DataSource,
    FileSource,
    ImagePart,
    MediaPart,
    Part,
    Source,
    TextPart,
    UrlSource,
    VideoPart,
)

Json = dict[str, Any]
_KINDS: dict[str, str] = {"image": "image", "audio": "audio", "video": "video"}
"""The kinds of media by the first half of their media types; others are documents."""


def parts(content: Sequence[Part], path: str) -> list[Json]:
    """Return a content in the form of Responses.

    Args:
        content: The parts.
        path: The path of the content in the body.

    Raises:
        InvalidRequest: A part has no data.
    """
    return [_part(part, f"{path}[{n}]") for n, part in enumerate(content)]


def _part(part: Part, path: str) -> Json:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, BinaryPart):
        kind = _KINDS.get(part.mime_type.partition("/")[0], "document")
        return _media(kind, _source(part, path), part.filename)
    filename = (part.metadata or {}).get("filename")
    return _media(_kind(part), part.source, filename if isinstance(filename, str) else None)


def _kind(part: MediaPart) -> str:
    if isinstance(part, ImagePart):
        return "image"
    if isinstance(part, AudioPart):
        return "audio"
    return "video" if isinstance(part, VideoPart) else "document"


def _source(part: BinaryPart, path: str) -> Source:
    if part.data is not None:
        return DataSource(value=part.data, mime_type=part.mime_type)
    if part.url is not None:
        return UrlSource(value=part.url, mime_type=part.mime_type)
    if part.id is not None:
        return FileSource(value=part.id, mime_type=part.mime_type)
    raise InvalidRequest(f"{path}: needs `data`, `url` or `id`.", path)


def _media(kind: str, source: Source, filename: str | None) -> Json:
    if isinstance(source, FileSource):
        return {"type": "input_image" if kind == "image" else "input_file", "file_id": source.value}
    if kind == "audio" and isinstance(source, DataSource):
        audio = {"data": source.value, "format": _format(source.mime_type)}
        return {"type": "input_audio", "input_audio": audio}
    url = source.value
    if isinstance(source, DataSource):
        url = f"data:{source.mime_type};base64,{source.value}"
    if kind in ("image", "video"):
        return {"type": f"input_{kind}", f"{kind}_url": url}
    name = "file_data" if isinstance(source, DataSource) else "file_url"
    return {"type": "input_file", name: url} | ({} if filename is None else {"filename": filename})


def _format(mime_type: str) -> str:
    """Return the name of an audio format as OpenAI's API has it, for example `mp3`."""
    name = mime_type.partition("/")[2].partition(";")[0].removeprefix("x-")
    return {"mpeg": "mp3", "wave": "wav"}.get(name, name)
