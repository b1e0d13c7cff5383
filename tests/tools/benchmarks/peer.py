"""The peers of the benchmark, and what a correct answer of each looks like."""

import json
from dataclasses import dataclass

DONE = b"data: [DONE]\n\n"


class WrongAnswer(Exception):
    """A peer's answer was incorrect or incomplete."""


@dataclass(frozen=True)
class Peer:
    """One of the servers to compare.

    Args:
        name: Its column in the table.
        module: Its file in peers/.
        environment: The environment it runs in.
        path: The path of its requests.
        health: The path of its health check.
        end: The last bytes of its streams.
    """

    name: str
    module: str
    environment: str
    path: str = "/responses"
    health: str = "/health"
    end: bytes = DONE

    def request(
        self, command: str = "", *, stream: bool = False, background: bool = False
    ) -> bytes:
        """Return a complete HTTP request.

        Args:
            command: What to produce; a command of peers/work.py.
            stream: Whether to ask for a stream.
            background: Whether to ask for a background run; ours only.
        """
        body = {"input": [{"role": "user", "content": command}]}
        flags = {"stream": stream, "background": background}
        return post(self.path, {**body, **{name: True for name, on in flags.items() if on}})

    def check_json(self, status: int, body: bytes) -> None:
        """Check the answer to an invocation.

        Raises:
            WrongAnswer: It is incorrect or incomplete.
        """
        if status != 200 or body.count(b"token ") != 100 or not body.endswith(b"}"):
            raise WrongAnswer(f"{self.name}: {status}, {body[:300]!r}")

    def check_stream(self, status: int, body: bytes, deltas: int) -> None:
        """Check a complete stream.

        Raises:
            WrongAnswer: It is incorrect or incomplete.
        """
        found = body.count(b'"delta":')
        if status != 200 or found != deltas or not body.endswith(self.end):
            end = body[-300:]
            raise WrongAnswer(f"{self.name}: {status}, {found} of {deltas} deltas, {end!r}")

    def read_stream(self, status: int, body: bytes, deltas: int) -> None:
        """Check a complete stream in depth: every event is JSON, and the deltas add up to the text.

        Raises:
            WrongAnswer: They do not.
        """
        self.check_stream(status, body, deltas)
        data = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
        events = [json.loads(each) for each in data]
        text = "".join(each["delta"] for each in events if "delta" in each)
        done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
        if [item["content"][0]["text"] for item in done] != [text]:
            raise WrongAnswer(f"{self.name}: the deltas are not the text of the item.")


def post(path: str, body: object) -> bytes:
    """Return a POST request with a JSON body."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(content) + content


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


OURS = Peer("ours", "ours", "ours")
MLFLOW = Peer("mlflow", "mlflow_server", "mlflow")
BARE = Peer("bare", "bare", "ours")
AGENTCORE = Peer(
    "agentcore", "agentcore", "agentcore", path="/invocations", health="/ping", end=b"}\n\n"
)
PEERS = (OURS, MLFLOW, BARE, AGENTCORE)
