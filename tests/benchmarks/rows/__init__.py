"""The rows of the table."""

from . import paced, throughput

ROWS = (*throughput.ROWS, *paced.ROWS)
