"""What the Python clients have in common: a tool, the form of an answer, the report of an error."""

from typing import Any

from pydantic import BaseModel

from tests.support.weather_tool import TOOL as WEATHER

__all__ = ["DEGREES", "QUESTION", "SUM", "WEATHER", "Sum", "seen_error"]

DEGREES: dict[str, str] = {"Paris": "24 degrees", "Rome": "30 degrees"}
QUESTION = "What is the weather in Paris and in Rome?"
SUM = "What is 12 * (3 + 4)?"


class Sum(BaseModel):
    """The form of a structured answer."""

    answer: int


def seen_error(error: Exception) -> dict[str, Any]:
    """Return what the user of a client sees of an error."""
    return {"status": getattr(error, "status_code", None), "message": str(error)}
