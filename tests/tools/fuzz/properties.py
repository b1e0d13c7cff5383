"""All the properties."""

from typing import Any

from tests.tools.fuzz.agui import AGUI
from tests.tools.fuzz.bodies import BODIES
from tests.tools.fuzz.chat import CHAT
from tests.tools.fuzz.clients import CLIENTS
from tests.tools.fuzz.harness import Property
from tests.tools.fuzz.headers import HEADERS, PATHS
from tests.tools.fuzz.outputs import OUTPUTS
from tests.tools.fuzz.raw import RAW
from tests.tools.fuzz.sockets import SOCKETS

PROPERTIES: tuple[Property[Any], ...] = (
    *(BODIES, CHAT, AGUI, *CLIENTS, HEADERS, PATHS, SOCKETS, OUTPUTS, RAW),
)
