"""Tools that the model's provider executes, as chunks of a UI message stream."""

from .chunks import OWN, Json, write

HOSTED = {
    "web_search_call": ("action",),
    "file_search_call": ("queries",),
    "code_interpreter_call": ("code",),
}
"""The types of their calls, with the fields of the input; what else a call has is its output."""
ID = "hosted_"
"""How their ids in the stream begin."""
_NOT_OUTPUT = {"id", "type", "status"}


def begin_hosted(item: Json, buffer: bytearray) -> None:
    """Write that a call begins."""
    write(buffer, "tool-input-start", **_about(item), toolName=_name(item), **OWN)


def end_hosted(item: Json, buffer: bytearray) -> None:
    """Write the input and the output of a call."""
    names = HOSTED[item["type"]]
    given = {name: item[name] for name in names if item.get(name) is not None}
    write(buffer, "tool-input-available", **_about(item), toolName=_name(item), input=given, **OWN)
    if item.get("status") in ("failed", "incomplete"):
        write(buffer, "tool-output-error", **_about(item), errorText="The tool failed.", **OWN)
    else:
        output = {name: value for name, value in item.items() if name not in (*_NOT_OUTPUT, *names)}
        write(buffer, "tool-output-available", **_about(item), output=output, **OWN)


def _about(item: Json) -> Json:
    return {"toolCallId": ID + item["id"]}


def _name(item: Json) -> str:
    name: str = item["type"]
    return name.removesuffix("_call")
