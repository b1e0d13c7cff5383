"""Chat Completions in terms of Responses: requests one way, answers the other. Pure."""
