"""Python values as JSON: subclasses of texts and numbers, numpy's, paths, secrets, keys."""

import datetime
import json
from collections import Counter, UserDict, deque
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from markupsafe import Markup
from pydantic import AnyUrl, BaseModel, ConfigDict, SecretStr

from agent_asgi import Usage
from agent_asgi.schema import codec
from agent_asgi.schema.plain import builtins


class Loud(str):
    """A text that prints itself otherwise."""

    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"


class Colour(str, Enum):  # noqa: UP042  the older form, which many libraries have
    RED = "red"


class Count(int):
    pass


class Share(float):
    pass


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Loud("quiet"), "quiet"),
        (Colour.RED, "red"),
        (AIMessage("hi").text, "hi"),
        (Markup("<b>"), "<b>"),
        (np.str_("hi"), "hi"),
        (Count(3), 3),
        (Share(1.5), 1.5),
        (np.int64(3), 3),
        (np.float32(1.5), 1.5),
        (np.float64("nan"), None),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (Path("/a/b"), "/a/b"),
        (AnyUrl("http://a.example/b"), "http://a.example/b"),
        (SecretStr("hidden"), "**********"),
        (UserDict(a=1), {"a": 1}),
        (MappingProxyType({"a": np.int64(1)}), {"a": 1}),
        (Counter("aa"), {"a": 2}),
        (deque([1]), [1]),
        (range(2), [0, 1]),
        ({"a": 1}.keys(), ["a"]),
        (Model(value=np.int64(1)), {"value": 1}),
        (Model(value=SecretStr("hidden")), {"value": "**********"}),
    ],
    ids=repr,
)
def test_a_value(value: Any, expected: Any) -> None:
    assert json.loads(codec.encode({"value": value})) == {"value": expected}
    plain = builtins({"value": [value]})["value"][0]
    assert json.loads(json.dumps(plain).replace("NaN", "null")) == expected
    assert type(plain) in (str, int, float, bool, list, dict, type(None))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (1, "1"),
        (np.int64(1), "1"),
        (np.str_("hi"), "hi"),
        (Path("/a"), "/a"),
        (Colour.RED, "red"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_a_key(key: Any, expected: str) -> None:
    assert json.loads(codec.encode({"value": {key: 1}})) == {"value": {expected: 1}}
    assert builtins({"value": {key: 1}}) == {"value": {expected: 1}}


@pytest.mark.parametrize("value", [object(), 1j, ValueError("no"), Loud, {(1, 2): 3}], ids=type)
def test_what_is_not_json_names_its_type(value: Any) -> None:
    for convert in (codec.encode, builtins):
        with pytest.raises(TypeError, match=r"encoded as JSON|key of a JSON object"):
            convert([value])


def test_a_usage_of_any_numbers() -> None:
    details: Any = {"cached_tokens": np.int64(1), "audio_tokens": Count(2), "note": "x"}
    usage = Usage(
        input_tokens=np.int64(3),  # type: ignore[arg-type]  # as an agent of numpy's may
        output_tokens=2.0,  # type: ignore[arg-type]  # as some vendors send it
        total_tokens=None,  # type: ignore[arg-type]
        input_tokens_details=details,
        output_tokens_details=Model(value=1),  # type: ignore[arg-type]  # an SDK's object
    )
    assert codec.encode(usage) == codec.encode(
        {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "input_tokens_details": {
                "cached_tokens": 1,
                "cache_write_tokens": 0,
                "audio_tokens": 2,
            },
            "output_tokens_details": {"reasoning_tokens": 0, "value": 1},
        }
    )


@pytest.mark.parametrize("value", ["3", float("nan"), float("inf"), True, object(), [1]], ids=type)
def test_a_usage_is_checked_when_it_is_made(value: Any) -> None:
    with pytest.raises(TypeError, match="Usage: input_tokens must be a number"):
        Usage(input_tokens=value)
    with pytest.raises(TypeError, match=r"cached_tokens|details|encoded"):
        Usage(input_tokens_details={"cached_tokens": value})
    with pytest.raises(TypeError, match=r"details|encoded"):
        Usage(output_tokens_details=value)
