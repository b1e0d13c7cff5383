"""An agent module that reads its settings on import."""

import os

GREETING = os.environ["SHOP_GREETING"]
