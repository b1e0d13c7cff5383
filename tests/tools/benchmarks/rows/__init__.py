"""The rows of the table, in order."""

from . import background, memory, paced, start, sync, throughput, traced, workers

ROWS = (
    *throughput.ROWS,
    *paced.ROWS,
    *traced.ROWS,
    *sync.ROWS,
    *memory.ROWS,
    *start.ROWS,
    *background.ROWS,
    *workers.ROWS,
)
