"""Every property, each with its share of the cases."""

from typing import Any

from fuzz.bodies import BODIES
from fuzz.chat import CHAT
from fuzz.harness import Property
from fuzz.headers import HEADERS, PATHS
from fuzz.outputs import OUTPUTS
from fuzz.raw import RAW
from fuzz.sockets import SOCKETS

PROPERTIES: tuple[Property[Any], ...] = (BODIES, CHAT, HEADERS, PATHS, SOCKETS, OUTPUTS, RAW)
