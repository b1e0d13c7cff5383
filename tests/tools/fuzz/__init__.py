"""Hostile input: requests and handler output, as malformed as possible.

`make fuzz` runs everything; tests/tools/test_fuzz.py runs a few hundred cases of each property.
"""
