"""The calculator's arithmetic and language, without the framework."""

from fractions import Fraction
from typing import Any

import pytest
from arithmetic import (
    Answer,
    NoAnswerError,
    NotUnderstoodError,
    shown,
    stated_number,
    understand,
)
from hypothesis import given
from hypothesis import strategies as st
from shapes import arguments_for, fitted


def solved(message: str, previous: Fraction | None = None) -> Answer:
    """Run all steps of a question."""
    question = understand(message, previous)
    for step in question.steps():
        step.run()
        if step.trouble:
            break
    return question.answer()


def value_of(message: str, previous: int | Fraction | None = None) -> Fraction | None:
    """Return the result of a question."""
    return solved(message, None if previous is None else Fraction(previous)).value


@pytest.mark.parametrize(
    ("message", "result"),
    [
        ("what is 12 * (3 + 4)?", "84"),
        ("What's 12 plus 30 divided by 6", "17"),
        ("12 / 4 / 3", "1"),
        ("10 - 4 - 3", "3"),
        ("7 squared", "49"),
        ("2 cubed plus one", "9"),
        ("square root of 81", "9"),
        ("the square root of 81 plus 3", "12"),
        ("√2", "1.414213562"),
        ("15% of 80", "12"),
        ("15 percent of 80?", "12"),
        ("half of 5", "2.5"),
        ("2 to the power of 10", "1024"),
        ("2 ** 3 ** 2", "512"),
        ("2 ^ -2", "0.25"),
        ("4 ^ 0.5", "2"),
        ("-2 ^ 2", "-4"),
        ("(-2) ^ 2", "4"),
        ("3 - -4", "7"),
        ("minus 3 times 2", "-6"),
        ("3x4", "12"),
        ("6 × 7 =", "42"),
        ("1,000,000 + 1", "1000001"),
        ("0.1 + 0.2", "0.3"),
        (".5 * 4", "2"),
        ("1.01 ^ 365", "37.78343433"),
        ("two plus two", "4"),
        ("please calculate 1 / 3 * 3", "1"),
        ("0 ^ 0", "1"),
    ],
)
def test_arithmetic(message: str, result: str) -> None:
    value = value_of(message)
    assert value is not None
    assert shown(value) == result


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("how many miles are 10 km", "10 km is about 6.213711922 miles."),
        ("how many minutes are there in an hour?", "1 hour is 60 minutes."),
        ("convert 100 fahrenheit to celsius", "100 fahrenheit is about 37.77777778 celsius."),
        ("-40°C in °F", "-40 °c is -40 °f."),
        ("what is minus 40 degrees celsius in fahrenheit", "-40 celsius is -40 fahrenheit."),
        ("0 kelvin to celsius", "0 kelvin is -273.15 celsius."),
        ("20 c to c", "20 c is 20 c."),
        ("5 kg in pounds", "5 kg is about 11.02311311 pounds."),
        ("5kg to g", "5 kg is 5000 g."),
        ("3 hours in minutes", "3 hours is 180 minutes."),
        ("10 litres in gallons", "10 litres is about 2.641720524 US gallons."),
        ("12 inches into feet", "12 inches is 1 feet."),
        ("a mile in yards", "1 mile is 1760 yards."),
        ("3 days in weeks", "3 days is about 0.4285714286 weeks."),
    ],
)
def test_conversions(message: str, said: str) -> None:
    assert solved(message).text.endswith(f" {said}")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "what is",
        "7",
        "I am 7",
        "3 +",
        "3 4",
        "(3 + 4",
        "3 + 4)",
        ")",
        "5 % 3",
        "times 3",
        "that + 1",
        "10 km in shoes",
        "5 feet 10 inches in cm",
        "3 + 10 km in miles",
        "twice 10 km in miles",
        "2e3 + 1",
        "__import__('os')",
        "٣ + ٤",
    ],
)
def test_what_it_does_not_understand(message: str) -> None:
    with pytest.raises(NotUnderstoodError):
        understand(message)


@pytest.mark.parametrize("message", ["1" * 201, "+".join("1" * 22), "5 kg in miles"])
def test_what_it_refuses_to_begin(message: str) -> None:
    with pytest.raises(NoAnswerError):
        understand(message)


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        ("what's 1 / 0", "1 ÷ 0 has no answer: nothing can be divided by zero."),
        ("3 + 4 / (2 - 2)", "2 - 2 = 0, then 4 ÷ 0 has no answer"),
        ("0 ^ -1", "nothing can be divided by zero"),
        ("9**9**9", "9 ^ 387420489 goes too far for me"),
        ("10 ^ 100", "goes too far for me"),
        ("10 ^ -100", "goes too far for me"),
        ("2 ^ 0.5 ^ 9999999", "goes too far for me"),
        ("square root of (0 - 4)", "√(-4) has no answer among the real numbers"),
        ("(-8) ^ 0.5", "(-8) ^ 0.5 has no answer among the real numbers"),
    ],
)
def test_trouble_on_the_way_is_explained(message: str, trouble: str) -> None:
    answer = solved(message)
    assert trouble in answer.text
    assert answer.value is None
    assert stated_number(answer.text) is None


def test_it_works_step_by_step() -> None:
    steps = understand("what is 12 * (3 + 4)?").steps()
    assert [step.run() for step in steps] == ["7", "84"]
    assert [str(step) for step in steps] == ["3 + 4", "12 * 7"]
    said = "3 + 4 = 7, then 12 × 7 = 84. The answer is 84."
    assert solved("12 * (3 + 4)").text == said
    assert solved("1 / 3").text == "1 ÷ 3 ≈ 0.3333333333. The answer is 1/3, about 0.3333333333."


@pytest.mark.parametrize(
    ("message", "result"),
    [
        ("and times 3?", 252),
        ("plus 1", 85),
        ("minus 4", 80),
        ("and divided by 2, then plus 1", 43),
        ("squared", 7056),
        ("what is 50% of that?", 42),
        ("square root of (it + 16)", 10),
        ("-5 + 3", -2),
    ],
)
def test_follow_up(message: str, result: int) -> None:
    assert value_of(message, 84) == result


@pytest.mark.parametrize("message", ["1 / 3", "12 * (3 + 4)", "5 - 9", "2 / 8", "10 km in m"])
def test_an_answer_states_its_number(message: str) -> None:
    answer = solved(message)
    assert stated_number(answer.text) == answer.value


@pytest.mark.parametrize("text", ["", "I cannot say", "It is 1/0", f"It is {'9' * 5000}", "3 = 4"])
def test_a_text_that_states_no_number(text: str) -> None:
    assert stated_number(text) is None


SIGNED = st.integers(-99, 99).map(lambda n: (f"({n})", Fraction(n)))
PLAIN = st.decimals(0, 99, places=2).map(lambda d: (str(d), Fraction(d)))
Pair = tuple[str, Fraction | None]


def combined(parts: tuple[Pair, str, Pair]) -> Pair:
    """Join two expressions and their values."""
    (left, a), symbol, (right, b) = parts
    text = f"({left} {symbol} {right})"
    if a is None or b is None or (symbol == "/" and b == 0):
        return text, None
    values = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}
    return text, values[symbol]


def expressions(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    """Combine two expressions into new ones."""
    return st.tuples(inner, st.sampled_from("+-*/"), inner).map(combined)


LEAVES: st.SearchStrategy[Pair] = st.one_of(SIGNED, PLAIN)
TREES = expressions(st.recursive(LEAVES, expressions, max_leaves=6))


@given(TREES)
def test_it_agrees_with_fractions(pair: Pair) -> None:
    text, expected = pair
    assert solved(text).value == expected


@given(st.lists(st.integers(1, 99), min_size=2, max_size=12), st.data())
def test_precedence_agrees_with_python(numbers: list[int], data: st.DataObject) -> None:
    symbols = [data.draw(st.sampled_from("+-*/")) for _ in numbers[1:]]
    text = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(symbols, numbers[1:], strict=True))
    python = "".join(f"Fraction({each})" if each.isdigit() else each for each in text.split())
    assert solved(text).value == eval(python, {"Fraction": Fraction})


@given(st.text(alphabet="0123456789.+-*/^%() sqrtha√", max_size=220))
def test_any_text_is_answered_or_refused(text: str) -> None:
    try:
        answer = solved(text)
    except (NotUnderstoodError, NoAnswerError):
        return
    assert len(answer.text) < 20_000


@given(st.text(max_size=220))
def test_any_text_states_a_number_or_none(text: str) -> None:
    assert stated_number(text) is None or any(each.isdigit() for each in text)


@pytest.mark.parametrize("text", ["(" * 200, "-" * 199 + "1", "(" * 99 + "1" + ")" * 99 + "+1"])
def test_deep_nesting_is_no_danger(text: str) -> None:
    try:
        assert solved(text).value is not None
    except (NotUnderstoodError, NoAnswerError):
        assert True


WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer"},
        "note": {"type": ["string", "null"]},
    },
    "required": ["city", "note"],
}


@pytest.mark.parametrize(
    ("message", "arguments", "missing"),
    [
        ("What's the weather in Paris?", {"city": "Paris", "note": None}, []),
        ("weather in New York right now", {"city": "New York", "note": None}, []),
        (
            "The next 3 days in Rome in celsius",
            {"city": "Rome", "unit": "celsius", "days": 3, "note": "celsius"},
            [],
        ),
        ("What's the weather?", {"note": None}, ["city"]),
    ],
)
def test_arguments_come_from_the_message(
    message: str, arguments: dict[str, Any], missing: list[str]
) -> None:
    filled, lacking = arguments_for(WEATHER, message)
    assert {key: each for key, each in filled.items() if key not in missing} == arguments
    assert lacking == missing


SHAPE = {
    "type": "object",
    "properties": {
        "result": {"type": "integer"},
        "exact": {"type": "number"},
        "text": {"type": "string"},
        "sure": {"type": "boolean"},
        "steps": {"type": "array", "items": {"type": "string"}},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        "kind": {"const": "sum"},
    },
}
PART = {"Part": {"type": "object", "properties": {"output": {"type": "number"}}}}


def test_an_answer_fits_a_shape() -> None:
    filled = fitted(solved("12 * (3 + 4)"), SHAPE, PART)
    assert filled["result"] == filled["exact"] == 84
    assert filled["text"].endswith("The answer is 84.")
    assert filled["sure"] is True
    assert filled["steps"] == ["3 + 4 = 7", "12 × 7 = 84"]
    assert filled["parts"] == [{"output": 7}, {"output": 84}]
    assert filled["kind"] == "sum"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"$ref": "#"},
        {"type": "string", "enum": ["red", "green"]},
        {"anyOf": [{"type": "integer"}]},
    ],
)
def test_a_shape_that_the_answer_does_not_fit(schema: dict[str, Any]) -> None:
    with pytest.raises(NoAnswerError):
        fitted(solved("1 / 2"), schema, {})


def test_a_number_that_is_not_there_becomes_null_or_nothing() -> None:
    assert fitted(Answer("What?"), {"type": ["number", "null"]}, {}) is None
    assert fitted(Answer("What?"), {"type": "string"}, {}) == "What?"
    with pytest.raises(NoAnswerError):
        fitted(Answer("What?"), {"type": "number"}, {})
