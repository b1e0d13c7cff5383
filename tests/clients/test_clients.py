"""Real clients against a real server: what each sees is what the table in docs/clients.md says."""

import pytest

from tests.clients.clients import CLIENTS
from tests.clients.harness import run
from tests.clients.packages import PYTHON, installed, pinned
from tests.clients.page import MARKS, PAGE, table
from tests.clients.verdict import wrong


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """Fail if the clients are not installed."""
    if not PYTHON.exists():
        pytest.fail("`make install-clients` installs the clients of these tests.")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_sees_what_is_expected(client: str) -> None:
    assert wrong(client, run(client)) == {}


def test_the_pinned_versions_are_installed() -> None:
    assert installed() == pinned()


def test_the_page_shows_the_pinned_versions_and_that_every_client_works() -> None:
    (shown,) = MARKS.findall(PAGE.read_text())
    assert shown == table(pinned(), {}), "run `make clients`"
