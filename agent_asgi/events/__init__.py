"""Turn a handler's outputs into ordered events. Pure: nothing here does I/O."""
