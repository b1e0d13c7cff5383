"""Hostile input: what comes in and what a handler gives, as bad as it can be made.

`make fuzz` runs all of it; tests/test_fuzz.py runs some hundred cases of each.
"""
