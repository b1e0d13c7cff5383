"""Simulate a deployment from measured costs, and find the resource that is saturated first."""
