"""The invocation API of Databricks Agent Bricks."""
