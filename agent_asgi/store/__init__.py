"""Where responses, conversations' locks and background runs' events are kept."""

from .base import Record, Store
from .memory import MemoryStore
from .open import open_store

__all__ = ["MemoryStore", "Record", "Store", "open_store"]
