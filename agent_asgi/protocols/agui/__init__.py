"""AG-UI in terms of Responses: run inputs one way, events the other. Pure."""
