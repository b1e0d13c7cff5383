"""What a machine may lack."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip a test if this machine lacks something; fail it in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"This machine has no {what}.")
    raise AssertionError
