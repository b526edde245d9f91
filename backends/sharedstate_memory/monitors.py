"""MONITOR: telling some sessions of every command that is executed.

    1339518083.107412 [0 127.0.0.1:60866] "set" "key" "a value\\n"

Told are the commands of all clients, those of transactions when EXEC runs them, and those
of scripts, whose address is `lua`. Not told are administration, and passwords.

An engine has one of these only while somebody monitors.

Source: https://redis.io/docs/latest/commands/monitor/
"""

from __future__ import annotations

from sharedstate_memory.pauses import is_like_write
from sharedstate_memory.replies import CommandFailure, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.session import Session

_REDACTED = b"(redacted)"

# What stands in quotes as it is: the bytes from the blank to the tilde, two aside.
_PLAIN = bytes(byte for byte in range(32, 127) if byte not in b'"\\')

_ESCAPES = {
    ord('"'): b'\\"',
    ord("\\"): b"\\\\",
    ord("\n"): b"\\n",
    ord("\r"): b"\\r",
    ord("\t"): b"\\t",
    ord("\a"): b"\\a",
    ord("\b"): b"\\b",
}


class Monitors:
    """The sessions of one engine that are told of every command."""

    __slots__ = ("_engine", "_sessions")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[Session, None] = {}

    def __contains__(self, session: Session) -> bool:
        return session in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Tell a session from now on."""
        self._sessions[session] = None

    def discard(self, session: Session) -> None:
        """Tell a session no more. One that was not told is fine."""
        self._sessions.pop(session, None)

    def check(self, session: Session, spec: CommandSpec) -> None:
        """Raise the refusal of a command that uses keys, to a session that monitors."""
        uses_keys = "readonly" in spec.flags or is_like_write(spec)
        if uses_keys and session in self._sessions:
            raise CommandFailure(b"ERR Replica can't interact with the keyspace")

    def feed_before(self, session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
        """Tell of a command that runs others, before these are told of."""
        if session.transaction is None and "skip_monitor" in spec.flags:
            self._feed(session.db.index, session.address, argv)

    def feed_after(self, session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
        """Tell of any other command, when it has been executed."""
        if "admin" not in spec.flags and "skip_monitor" not in spec.flags:
            self._feed(session.db.index, session.address, _redacted(spec, argv))

    def feed_script(self, database: int, spec: CommandSpec, argv: list[bytes]) -> None:
        """Tell of a command that a script executes."""
        if "admin" not in spec.flags:
            self._feed(database, b"lua", argv)

    def _feed(self, database: int, address: bytes, argv: list[bytes]) -> None:
        seconds, microseconds = divmod(self._engine.now_us, 1_000_000)
        if address.startswith(b"/"):
            address = b"unix:" + address.removesuffix(b":0")
        words = b" ".join(map(_quoted, argv))
        head = b"%d.%06d [%d %b] " % (seconds, microseconds, database, address)
        line = Status(head + words)
        for session in self._sessions:
            session.deliver(line)


def monitor(session: Session) -> None:
    """Tell a session of every command from now on."""
    engine = session.engine
    if engine.monitors is None:
        engine.monitors = Monitors(engine)
    engine.monitors.add(session)
    engine.review_sessions()


def monitor_no_more(session: Session) -> None:
    """Tell a session no more. One that was not told is fine."""
    engine = session.engine
    if engine.monitors is None:
        return
    engine.monitors.discard(session)
    if not engine.monitors:
        engine.monitors = None
        engine.review_sessions()


def _redacted(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """A command's words without its passwords."""
    if spec.name == "AUTH":
        return [argv[0], *[_REDACTED] * (len(argv) - 1)]
    if spec.name == "HELLO":
        options = [word.upper() for word in argv]
        if b"AUTH" in options:
            first = options.index(b"AUTH") + 1
            secret = range(first, first + 2)
            return [_REDACTED if at in secret else word for at, word in enumerate(argv)]
    return argv


def _quoted(word: bytes) -> bytes:
    if not word.translate(None, _PLAIN):
        return b'"%b"' % word
    return b'"%b"' % b"".join(map(_escaped, word))


def _escaped(byte: int) -> bytes:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return b"%c" % byte if byte in _PLAIN else b"\\x%02x" % byte
