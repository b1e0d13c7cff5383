"""The loop of `agent-asgi chat`: reads messages and commands until the end."""

from collections.abc import Callable

from .client import Client
from .conversation import Conversation
from .screen import DIM, RED, Screen

HELP = """\
/new         start a new conversation
/agent NAME  talk to another agent, in a new conversation
/trace       show the trace of the last answer
/raw         show events as JSON, or text again
/quit        leave; so does Ctrl-D
Ctrl-C stops an answer, and leaves if pressed again.
To send a message that begins with /, put a space before it."""


class Repl:
    """Reads lines and acts on each.

    Args:
        client: The server.
        screen: The terminal.
        agents: The names of the server's agents.
        agent: The one to talk to.
        place: Where traces go, if the server has no page of them. Default None: unknown.
    """

    def __init__(
        self,
        client: Client,
        screen: Screen,
        agents: list[str],
        agent: str,
        place: str | None = None,
    ) -> None:
        self._client = client
        self._screen = screen
        self._agents = agents
        self._place = place
        self._talk = Conversation(client, screen, agent)
        self._stopped = False
        """Whether the last thing the user did was to press Ctrl-C."""

    def run(self) -> bool:
        """Read lines until the end, and return whether no answer failed.

        Without a person at the terminal, a failure or Ctrl-C ends it.
        """
        going = True
        while going and (self._screen.interactive or not self._talk.failed):
            try:
                going = self._act(self._screen.read(f"{self._talk.agent}> "))
                self._stopped = False
            except EOFError:
                going = False
            except KeyboardInterrupt:
                if not self._screen.interactive:
                    raise
                going = not self._stopped
                self._stopped = True
                if going:
                    self._screen.line("(stopped; Ctrl-C again leaves)", DIM)
        self._screen.end_line()
        return not self._talk.failed

    def _act(self, line: str) -> bool:
        """Act on a line, and return whether to read another."""
        if not line.startswith("/"):
            if line.strip():
                self._talk.say(line.strip())
            return True
        name, _, rest = line.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        command = _COMMANDS.get(name)
        if command is None:
            self._screen.line(f"There is no command {name}. /help lists them.", RED)
        else:
            command(self, rest.strip())
        return True

    def _new(self, _: str) -> None:
        self._talk.restart(self._talk.agent)
        self._screen.line("(a new conversation)", DIM)

    def _agent(self, name: str) -> None:
        if name in self._agents:
            self._talk.restart(name)
            self._screen.line(f"(a new conversation with {name})", DIM)
        else:
            self._screen.line(f"Agents: {', '.join(self._agents)}", DIM)

    def _raw(self, _: str) -> None:
        self._talk.raw = not self._talk.raw

    def _trace(self, _: str) -> None:
        id_ = self._client.trace_id
        if id_ is None:
            self._screen.line("The last answer has no trace.", DIM)
            return
        page = self._client.traces(self._talk.agent)
        where = f" in {self._place}" if self._place else ""
        self._screen.line(f"{page}{id_}" if page else f"Trace {id_}{where}", DIM)

    def _help(self, _: str) -> None:
        self._screen.line(HELP, DIM)


_COMMANDS: dict[str, Callable[[Repl, str], None]] = {
    "/agent": Repl._agent,
    "/help": Repl._help,
    "/new": Repl._new,
    "/raw": Repl._raw,
    "/trace": Repl._trace,
}
