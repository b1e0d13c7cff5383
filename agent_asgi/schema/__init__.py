"""msgspec structs of the wire: requests, items, events, responses."""
