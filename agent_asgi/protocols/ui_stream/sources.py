"""Citations, files and a vendor's data as chunks."""

import mimetypes
from collections.abc import Mapping
from typing import Any

from .chunks import Json

_PLACE = ("type", "sequence_number", "output_index", "item_id", "id", "transient")
"""The members of a vendor's event that are not its data."""


def source_chunk(annotation: Mapping[str, Any], id: str) -> Json | None:
    """Return a citation as a chunk; None if it cites neither a page nor a document.

    Args:
        annotation: The citation.
        id: The id of the source in the message.
    """
    url, name = annotation.get("url"), annotation.get("filename")
    title = annotation.get("title")
    titled = {"title": title} if isinstance(title, str) else {}
    if isinstance(url, str):
        return {"type": "source-url", "sourceId": id, "url": url, **titled}
    file = name or annotation.get("file_id")
    if not isinstance(file, str):
        return None
    kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
    named = {"filename": name} if isinstance(name, str) else {}
    document = {"type": "source-document", "sourceId": id, "mediaType": kind, "title": file}
    return document | titled | named


def file_url(part: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the URL and the media type of a picture in an output; None if there is none.

    Args:
        part: A part of a message with an `image_url`, or an `image_generation_call` item.
    """
    url = part.get("image_url")
    if isinstance(url, str):
        head = url.removeprefix("data:").partition(";")[0]
        return url, head if url.startswith("data:image/") else "image/png"
    result = part.get("result")
    if not isinstance(result, str):
        return None
    kind = f"image/{part.get('output_format') or 'png'}"
    return f"data:{kind};base64,{result}", kind


def data_chunk(fields: Mapping[str, Any]) -> Json:
    """Return a vendor's event or item, for example `acme:progress`, as a chunk `data-progress`.

    The id of the item, by which a later chunk replaces this one, and `transient` become members of
    the chunk. If the only other member is `data`, that is the data; otherwise all of them are.
    """
    data = {name: value for name, value in fields.items() if name not in _PLACE}
    chunk: Json = {"type": f"data-{fields['type'].partition(':')[2]}"}
    id_ = fields.get("id", fields.get("item_id"))
    if isinstance(id_, str):
        chunk["id"] = id_
    if fields.get("transient") is True:
        chunk["transient"] = True
    return chunk | {"data": data["data"] if data.keys() == {"data"} else data}
