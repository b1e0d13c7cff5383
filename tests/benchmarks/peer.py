"""The peers of the benchmark, and what a right answer of each looks like."""

import json
from dataclasses import dataclass

DONE = b"data: [DONE]\n\n"


class WrongAnswer(Exception):
    """A peer answered something else than the whole right answer."""


@dataclass(frozen=True)
class Peer:
    """One of the servers that are compared.

    Args:
        name: Its column.
        module: Its file in peers/.
        environment: Which environment it runs in.
        path: Where it is asked.
        health: Where it says that it is up.
        end: How its streams end.
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
        """Give a whole HTTP request.

        Args:
            command: What to say, as peers/work.py knows it.
            stream: Whether the answer is to be a stream.
            background: Whether the run goes on without its client; ours only.
        """
        body = {"input": [{"role": "user", "content": command}]}
        flags = {"stream": stream, "background": background}
        return post(self.path, {**body, **{name: True for name, on in flags.items() if on}})

    def check_json(self, status: int, body: bytes) -> None:
        """Check the answer to an invocation.

        Raises:
            WrongAnswer: It is not whole.
        """
        if status != 200 or body.count(b"token ") != 100 or not body.endswith(b"}"):
            raise WrongAnswer(f"{self.name}: {status}, {body[:300]!r}")

    def check_stream(self, status: int, body: bytes, deltas: int) -> None:
        """Check a whole stream.

        Raises:
            WrongAnswer: It is not whole.
        """
        found = body.count(b'"delta":')
        if status != 200 or found != deltas or not body.endswith(self.end):
            end = body[-300:]
            raise WrongAnswer(f"{self.name}: {status}, {found} of {deltas} deltas, {end!r}")

    def read_stream(self, status: int, body: bytes, deltas: int) -> None:
        """Check a whole stream thoroughly: every event is JSON, and the texts add up.

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
    """Give a POST request of JSON."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(content) + content


def get(path: str) -> bytes:
    """Give a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


OURS = Peer("ours", "ours", "ours")
MLFLOW = Peer("mlflow", "mlflow_server", "mlflow")
BARE = Peer("bare", "bare", "ours")
AGENTCORE = Peer(
    "agentcore", "agentcore", "agentcore", path="/invocations", health="/ping", end=b"}\n\n"
)
PEERS = (OURS, MLFLOW, BARE, AGENTCORE)
