"""The OpenAPI document of an app, and the viewer that shows it."""
