"""An agent's module that reads its settings when it is imported."""

import os

GREETING = os.environ["SHOP_GREETING"]
