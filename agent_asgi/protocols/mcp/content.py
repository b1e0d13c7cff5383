"""What agents answer, as content of MCP: texts, images, recordings, files."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from ...schema import codec

Part = Mapping[str, Any]


def text_block(text: str) -> TextContent:
    """Return a text as content."""
    return TextContent(type="text", text=text)


def of_items(items: Sequence[Part]) -> list[ContentBlock]:
    """Return a response's items as content; texts that follow each other are one."""
    blocks: list[ContentBlock] = []
    answered = {item["call_id"] for item in items if item["type"] == "function_call_output"}
    for item in items:
        for block in _of_item(item, answered):
            if isinstance(block, TextContent) and blocks and isinstance(blocks[-1], TextContent):
                blocks[-1] = text_block(f"{blocks[-1].text}\n\n{block.text}")
            else:
                blocks.append(block)
    return blocks


def of_value(value: Any) -> list[ContentBlock]:
    """Return the result of a "json" router as content: its parts, else its text or JSON."""
    parts = value if isinstance(value, list) else [value]
    blocks = [_of_part(part) for part in parts if isinstance(part, dict)]
    known = [block for block in blocks if block is not None]
    if known and len(known) == len(parts):
        return known
    return [text_block(value if isinstance(value, str) else codec.encode(value).decode())]


def _of_item(item: Part, answered: Container[str]) -> Iterator[ContentBlock]:
    kind = item["type"]
    if kind == "function_call" and item["call_id"] not in answered:
        call = f"{item['name']}({item['arguments']})"
        yield text_block(f"The agent asks for a call of {call}, which a client of MCP cannot make.")
    if kind == "image_generation_call" and isinstance(item.get("result"), str):
        mime_type = f"image/{item.get('output_format') or 'png'}"
        yield ImageContent(type="image", data=item["result"], mime_type=mime_type)
    if kind != "message":
        return
    text = ""
    for part in item["content"]:
        block = _of_part(part)
        if isinstance(block, TextContent):
            text += block.text
        elif block is not None:
            if text:
                yield text_block(text)
            text = ""
            yield block
    if text:
        yield text_block(text)


def _of_part(part: Part) -> ContentBlock | None:
    """Return a part as content; None for one of another form."""
    kind = part.get("type")
    if not isinstance(kind, str):
        return None
    if kind in ("output_text", "input_text", "text", "refusal"):
        text = part.get("refusal" if kind == "refusal" else "text")
        return text_block(text) if isinstance(text, str) else None
    if kind in ("input_image", "output_image"):
        return _image(part.get("image_url"))
    if kind in ("input_audio", "output_audio"):
        return _audio(part.get("input_audio") or part)
    return _file(part) if kind in ("input_file", "output_file") else None


def _image(url: Any) -> ContentBlock | None:
    if not isinstance(url, str):
        return None
    data = _data(url)
    if data is None:
        return ResourceLink(type="resource_link", name="image", uri=url)
    return ImageContent(type="image", mime_type=data[0], data=data[1])


def _audio(part: Part) -> ContentBlock | None:
    data, form = part.get("data"), part.get("format") or "wav"
    if not isinstance(data, str):
        return None
    return AudioContent(type="audio", data=data, mime_type=f"audio/{form}")


def _file(part: Part) -> ContentBlock | None:
    name, url = str(part.get("filename") or "file"), part.get("file_url")
    if isinstance(url, str):
        return ResourceLink(type="resource_link", name=name, uri=url)
    content, uri = part.get("file_data"), f"file:///{name}"
    if not isinstance(content, str):
        return None
    data = _data(content)
    if data is None:
        resource = TextResourceContents(uri=uri, mime_type="text/plain", text=content)
        return EmbeddedResource(type="resource", resource=resource)
    blob = BlobResourceContents(uri=uri, mime_type=data[0], blob=data[1])
    return EmbeddedResource(type="resource", resource=blob)


def _data(url: str) -> tuple[str, str] | None:
    """Return the media type and the base64 data of a data URL; None for another text."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head[len("data:") : -len(";base64")] or "application/octet-stream", data
