"""HTTP without protocols: bodies, responses, streams, authentication, CORS."""
