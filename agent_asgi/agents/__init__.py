"""What a user registers: routers and their handlers."""
