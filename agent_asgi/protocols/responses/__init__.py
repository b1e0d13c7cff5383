"""The OpenAI Responses API over HTTP and WebSocket."""
