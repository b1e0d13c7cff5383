# ruff: noqa: RUF001
"""Arithmetic in plain language, without `eval`: a message becomes steps, the steps an answer.

`understand("what is 12 * (3 + 4)?")` returns a `Question`; run its `steps()`, then call `answer()`.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import isqrt

LONGEST = 200
"""Maximum characters in a message."""
MOST_STEPS = 20
LARGEST = Fraction(10**100)
"""Results from this size on are refused, and so are those closer to zero than its reciprocal."""
MOST_BITS = 100_000
"""Maximum size of a power during its calculation."""
PRECISION = 120
"""Digits of a root, or of a fraction that has grown too large."""

NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
TOKEN = re.compile(rf"{NUMBER}|sqrt|that|minus|[-+*/^%()]")


class NotUnderstoodError(ValueError):
    """The message is not a question that this module understands."""


class NoAnswerError(ValueError):
    """The question is understood, but this module has no answer to it."""


def decimal(value: Fraction, digits: int) -> Decimal:
    """Round to a number of significant digits."""
    with localcontext(prec=digits):
        return Decimal(value.numerator) / value.denominator


def is_exact(value: Fraction) -> bool:
    """Return whether `shown` writes the number without rounding: up to 12 decimals."""
    return (value * 10**12).denominator == 1


def shown(value: Fraction) -> str:
    """Format a number: exactly, or to 10 significant digits."""
    text = format(decimal(value, PRECISION if is_exact(value) else 10), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def divide(left: Fraction, right: Fraction) -> Fraction:
    """Divide; refuse to divide by zero."""
    if not right:
        raise NoAnswerError("has no answer: nothing can be divided by zero")
    return left / right


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Raise to a power of bounded size; fractional exponents round."""
    if not base and exponent < 0:
        return divide(Fraction(1), base)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
    if abs(exponent) * bits > MOST_BITS:
        raise NoAnswerError("goes too far for me: I stop at 100 digits")
    if exponent.denominator == 1:
        return Fraction(base ** int(exponent))
    if base < 0:
        raise NoAnswerError("has no answer among the real numbers")
    with localcontext(prec=PRECISION):
        return Fraction(decimal(base, PRECISION) ** decimal(exponent, PRECISION))


def root(value: Fraction) -> Fraction:
    """Return the square root, exact if there is an exact one."""
    if value < 0:
        raise NoAnswerError("has no answer among the real numbers")
    exact = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    with localcontext(prec=PRECISION):
        return exact if exact**2 == value else Fraction(decimal(value, PRECISION).sqrt())


def bounded(value: Fraction) -> Fraction:
    """Refuse a value that is too large or too small to write; round one with too many digits."""
    if value and not 1 / LARGEST < abs(value) < LARGEST:
        raise NoAnswerError("goes too far for me: I stop at 100 digits")
    tame = value.denominator < LARGEST**2
    return value if tame else Fraction(decimal(value, PRECISION))


OPERATIONS: dict[str, Callable[..., Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "^": power,
    "sqrt": root,
}
BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
SIGN_BINDING = 3


@dataclass(frozen=True)
class Answer:
    """The text of an answer, its number (None if it has none), and the steps that led to it."""

    text: str
    value: Fraction | None = None
    steps: tuple["Answer", ...] = ()


@dataclass(frozen=True)
class Number:
    """A number written in the message."""

    value: Fraction


@dataclass
class Step:
    """One operation on numbers, or on the results of earlier steps."""

    symbol: str
    operands: tuple["Number | Step", ...]
    value: Fraction | None = None
    trouble: str = ""

    def __str__(self) -> str:
        values = [shown(each.value) for each in self.operands if each.value is not None]
        if self.symbol == "sqrt":
            return f"sqrt({values[0]})"
        left, right = (f"({each})" if each.startswith("-") else each for each in values)
        return f"{left if self.symbol == '^' else values[0]} {self.symbol} {right}"

    def run(self) -> str:
        """Calculate the step; return the result, or the reason it failed, as text."""
        try:
            result = OPERATIONS[self.symbol](*(each.value for each in self.operands))
            self.value = bounded(result)
        except NoAnswerError as error:
            self.trouble = str(error)
            return f"error: {self} {error}"
        return shown(self.value)

    def answer(self) -> Answer:
        """Return the step's answer, once it has run."""
        asked = str(self).replace("*", "×").replace("/", "÷").replace("sqrt", "√")
        if self.value is None:
            return Answer(f"{asked} {self.trouble}")
        sign = "=" if is_exact(self.value) else "≈"
        return Answer(f"{asked} {sign} {shown(self.value)}", self.value)


@dataclass(frozen=True)
class Question:
    """A message that has been understood."""

    tree: Number | Step
    lead: str = "The answer is"
    unit: str = ""

    def steps(self) -> list[Step]:
        """Return the steps in the order to run them; stop at the first one that fails."""
        return list(walk(self.tree))

    def answer(self) -> Answer:
        """Return the answer, once the steps have run."""
        ran = [step for step in self.steps() if step.value is not None or step.trouble]
        steps = tuple(step.answer() for step in ran)
        told = ", then ".join(step.text for step in steps) + "."
        if self.tree.value is None:
            return Answer(told, None, steps)
        return Answer(f"{told} {self.lead} {self.result(self.tree.value)}.", self.tree.value, steps)

    def result(self, value: Fraction) -> str:
        """Format the result with its unit: exactly, as a small fraction, or rounded."""
        if is_exact(value) or self.unit:
            return f"{'' if is_exact(value) else 'about '}{shown(value)} {self.unit}".rstrip()
        fraction = f"{value}, " if value.denominator <= 100 else ""
        return f"{fraction}about {shown(value)}"


def walk(node: Number | Step) -> Iterator[Step]:
    """Iterate over the steps, each after the ones it depends on."""
    if isinstance(node, Step):
        for operand in node.operands:
            yield from walk(operand)
        yield node


class Parser:
    """Reads tokens by precedence: `^` before signs, then `*` and `/`, then `+` and `-`."""

    def __init__(self, tokens: list[str], previous: Fraction | None) -> None:
        self.tokens = [*tokens, "end"]
        self.previous = previous

    def whole(self) -> Number | Step:
        """Parse the whole expression."""
        tree = self.expression(1)
        if self.tokens != ["end"]:
            raise NotUnderstoodError(f"unexpected {self.tokens[0]}")
        return tree

    def expression(self, floor: int) -> Number | Step:
        """Parse operations that bind at least as tightly as `floor`."""
        left = self.operand()
        while (binding := BINDING.get(self.tokens[0], 0)) >= floor:
            symbol = self.tokens.pop(0)
            right = self.expression(binding if symbol == "^" else binding + 1)
            left = Step(symbol, (left, right))
        return left

    def operand(self) -> Number | Step:
        """Parse a number, a group, a root or a sign, with the percent signs that follow."""
        head = self.tokens.pop(0)
        if head == "-":
            return negative(self.expression(SIGN_BINDING))
        node = self.group() if head == "(" else self.root_or_number(head)
        while self.tokens[0] == "%":
            self.tokens.pop(0)
            node = Step("/", (node, Number(Fraction(100))))
        return node

    def group(self) -> Number | Step:
        """Parse up to the closing parenthesis."""
        inner = self.expression(1)
        if self.tokens.pop(0) != ")":
            raise NotUnderstoodError("a parenthesis is open")
        return inner

    def root_or_number(self, head: str) -> Number | Step:
        """Parse `sqrt` and its operand, the previous answer, or a number."""
        if head == "sqrt":
            return Step("sqrt", (self.operand(),))
        if head == "that" and self.previous is not None:
            return Number(self.previous)
        if not re.fullmatch(NUMBER, head):
            raise NotUnderstoodError(f"unexpected {head}")
        return Number(Fraction(head))


def negative(node: Number | Step) -> Number | Step:
    """Negate a number at once, anything else in a step."""
    if isinstance(node, Number):
        return Number(-node.value)
    return Step("-", (Number(Fraction(0)), node))


PHRASES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in {
        r"[−–]": "-",
        r"\*\*|(?:raised )?to the power of|raised to": "^",
        r"(?:the )?square root of|√": " sqrt ",
        r"×|\bx\b|\btimes\b|\bmultipl(?:y|ied) by\b": "*",
        r"÷|\bover\b|\bdivided? by\b": "/",
        r"\bplus\b|\badd\b": "+",
        r"\bless\b|\bsubtract\b": "minus",
        r"\bsquared\b": "^ 2",
        r"\bcubed\b": "^ 3",
        r"\bhalf of\b": "0.5 *",
        r"\bper ?cent\b": "%",
        r"% of\b": "% *",
        r"\b(?:it|this|the (?:answer|result))\b": "that",
    }.items()
]
FILLERS = (
    "what what's whats is are the a an please calculate compute convert turn how many much does do"
    " equal equals and then now so make makes of in there can could you tell me us give work out"
)
DIGITS = "zero one two three four five six seven eight nine ten eleven twelve"


def understand(message: str, previous: Fraction | None = None) -> Question:
    """Parse a message; `previous` is the answer that "and times 3?" continues from."""
    if len(message) > LONGEST:
        raise NoAnswerError(f"That is too long for me: I read up to {LONGEST} characters.")
    text = plain(message)
    question = conversion(text) or Question(expression(text, previous))
    if not question.steps():
        raise NotUnderstoodError("there is nothing to work out")
    if len(question.steps()) > MOST_STEPS:
        raise NoAnswerError(f"That takes more than the {MOST_STEPS} steps that I go.")
    return question


def plain(message: str) -> str:
    """Lowercase the text, separate numbers from words, write small numbers as digits."""
    text = message.lower().replace("’", "'").strip().rstrip("?!.= ")
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text)
    text = re.sub(r"(?<=[0-9])(?=[a-z°])|(?<=[a-z])(?=[0-9])", " ", text)
    for value, word in enumerate(DIGITS.split()):
        text = re.sub(rf"\b{word}\b", str(value), text)
    return " ".join(text.replace(",", " ").split())


def expression(text: str, previous: Fraction | None = None) -> Number | Step:
    """Parse arithmetic in words and signs."""
    for pattern, replacement in PHRASES:
        text = pattern.sub(replacement, text)
    text = " ".join(word for word in text.split() if word not in FILLERS.split())
    tokens = TOKEN.findall(text)
    if TOKEN.sub("", text).strip() or not tokens:
        raise NotUnderstoodError("there are words that mean nothing to me")
    if tokens[0] in {"+", "*", "/", "^"} or (tokens[0] == "minus" and previous is not None):
        tokens.insert(0, "that")
    return Parser([each.replace("minus", "-") for each in tokens], previous).whole()


UNITS: dict[str, dict[str, str]] = {
    "length": {
        "1": "m metre metres meter meters",
        "1000": "km kilometre kilometres kilometer kilometers",
        "0.01": "cm centimetre centimetres centimeter centimeters",
        "0.001": "mm millimetre millimetres millimeter millimeters",
        "1609.344": "mi mile miles",
        "0.9144": "yd yard yards",
        "0.3048": "ft foot feet",
        "0.0254": "inch inches",
    },
    "mass": {
        "1": "kg kilo kilos kilogram kilograms",
        "0.001": "g gram grams",
        "1000": "tonne tonnes",
        "0.45359237": "lb lbs pound pounds",
        "0.028349523125": "oz ounce ounces",
    },
    "time": {
        "1": "s sec second seconds",
        "60": "min minute minutes",
        "3600": "h hour hours",
        "86400": "day days",
        "604800": "week weeks",
    },
    "volume": {
        "1": "l litre litres liter liters",
        "0.001": "ml millilitre millilitres milliliter milliliters",
        "3.785411784": "gal gallon gallons",
        "0.473176473": "pint pints",
    },
    "temperature": {
        "celsius": "c °c celsius centigrade",
        "fahrenheit": "f °f fahrenheit",
        "kelvin": "k kelvin",
    },
}
KNOWN = {
    name: (kind, size)
    for kind, sizes in UNITS.items()
    for size, names in sizes.items()
    for name in names.split()
}
TO_CELSIUS = {"celsius": "{}", "fahrenheit": "({} - 32) * 5 / 9", "kelvin": "{} - 273.15"}
FROM_CELSIUS = {"celsius": "{}", "fahrenheit": "{} * 9 / 5 + 32", "kelvin": "{} + 273.15"}
AMOUNT = rf"(?P<amount>(?:-|minus )?{NUMBER}|an?) (?:degrees? )?(?P<unit>°?[a-z]+)"
TARGET = r"(?:degrees? )?(?P<target>°?[a-z]+)"
CONVERSIONS = (
    re.compile(rf"(?P<rest>(?:[a-z']+ )*?){AMOUNT} (?:in|to|into|as) {TARGET}"),
    re.compile(rf"how many {TARGET} (?P<rest>(?:[a-z']+ )*?){AMOUNT}"),
)


def conversion(text: str) -> Question | None:
    """Parse "10 km in miles" or "how many miles are 10 km"; return None for anything else."""
    for pattern in CONVERSIONS:
        found = pattern.fullmatch(text)
        if found and set(found["rest"].split()) <= set(FILLERS.split()):
            unit, target = found["unit"], found["target"]
            if unit in KNOWN and target in KNOWN:
                amount = re.sub("minus ", "-", re.sub("an?", "1", found["amount"]))
                tree = expression(converted(amount, unit, target))
                return Question(tree, f"{amount} {named(unit)} is", named(target))
    return None


def converted(amount: str, unit: str, target: str) -> str:
    """Rewrite a conversion as arithmetic."""
    (kind, size), (other, wanted) = KNOWN[unit], KNOWN[target]
    if kind != other:
        raise NoAnswerError(f"I cannot turn {unit} into {target}: {kind} is not {other}.")
    if size == wanted:
        return f"{amount} * 1"
    if kind == "temperature":
        return FROM_CELSIUS[wanted].format(f"({TO_CELSIUS[size].format(amount)})")
    ratio = Fraction(size) / Fraction(wanted)
    if is_exact(ratio):
        return f"{amount} * {shown(ratio)}"
    if is_exact(1 / ratio):
        return f"{amount} / {shown(1 / ratio)}"
    return f"{amount} * {size} / {wanted}"


def named(unit: str) -> str:
    """Return an unambiguous name for a unit."""
    return f"US {unit}" if unit.startswith(("gal", "pint")) else unit


def stated_number(text: str) -> Fraction | None:
    """Return the number that an answer states ("The answer is 1/3, ..."), or None."""
    stated = rf"(?:^(?=[-0-9./]+$)|\bis|:)\s*(?:about )?(-?{NUMBER}(?:/[0-9]+)?)(?![0-9])"
    found: list[str] = re.findall(stated, text)
    try:
        return bounded(Fraction(found[-1]))
    except (IndexError, ValueError, ZeroDivisionError):
        return None
