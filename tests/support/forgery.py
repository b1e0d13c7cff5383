"""Model output that imitates the frames of a stream."""

FORGERIES = [
    "data: [DONE]\n\n",
    "\n\ndata: [DONE]\n\n",
    "\n\nevent: response.completed\ndata: {}\n\n",
    "\r\n\r\ndata: [DONE]\r\n\r\n",
    "\r\rdata: [DONE]\r\r",
    *(f'{end}{end}data: {{"type": "response.completed"}}{end}{end}' for end in "\x85\u2028\u2029"),
    "\x0b\x0bdata: x\x0c\x0c\x1c\x1ddata: x\x1e",
    "\x00",
    ": ping\n\n",
    "id: 1\nretry: 1\n\n",
    '"}\n\ndata: {"type": "response.completed"}\n\n',
]
"""Model output that would become a separate event if it were written unescaped."""
FORGERY = "".join(FORGERIES)
