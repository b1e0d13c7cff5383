"""`Skill`: what an agent can do, as its card says."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]


class Skill(Struct, rename="camel", omit_defaults=True):
    """What an agent can do, for other agents."""

    id: Text
    """Its id, unique in the agent."""
    name: Text
    """Its name."""
    description: Text
    """What it does."""
    tags: Annotated[list[str], Meta(min_length=1)]
    """Keywords."""
    examples: list[str] | None = None
    """Examples of what to ask."""
    input_modes: list[str] | None = None
    """The media types that it takes. Default: the agent's."""
    output_modes: list[str] | None = None
    """The media types that it returns. Default: the agent's."""


def skills_of(values: Iterable[Any]) -> tuple[Skill, ...]:
    """Return skills from dicts or objects with their members.

    Raises:
        ValueError: A member is missing or wrong; the message names it.
    """
    skills: list[Skill] = []
    for number, value in enumerate(values):
        try:
            skills.append(msgspec.convert(value, Skill, from_attributes=True))
        except msgspec.ValidationError as error:
            raise ValueError(f"AgentRouter: skills[{number}]: {error}") from error
    return tuple(skills)
