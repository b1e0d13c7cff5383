"""A2A 1.0: tasks in terms of stored responses, over JSON-RPC and HTTP+JSON."""
