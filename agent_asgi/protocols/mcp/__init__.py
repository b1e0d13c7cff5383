"""MCP by the official SDK: each agent is a tool."""
