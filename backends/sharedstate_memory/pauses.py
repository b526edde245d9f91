"""CLIENT PAUSE: holding clients back for a while, and serving them afterwards.

A pause holds back all commands, or those that may write. A command that is held back is
postponed: its session waits as one does for a list, and when the pause is over, those who
waited are served in the order in which they came.

    command ──► held back ──► waits ──┬── the pause is over ──► executed, answered
                                      └── the client goes ──► forgotten

Nothing changes by itself meanwhile, so that whoever paused the clients sees data that
stays: no key is evicted, and none expires. A key whose time comes is hidden instead, for
no reader must see it, and expires when the pause is over.

An engine has one of these only while there is a pause.

Source: https://redis.io/docs/latest/commands/client-pause/
"""

from __future__ import annotations

from sharedstate_memory.replies import BLOCKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.blocking import Hold
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace, Value
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import Program
    from sharedstate_memory.session import Session

# So many who were held back and have gone may stay in the list.
_GONE_KEPT = 64

# Commands that others would have to hear of, though they are no writes by themselves.
_LIKE_WRITES = frozenset(("PUBLISH", "SPUBLISH", "EVAL", "EVALSHA", "FCALL"))


def is_like_write(spec: CommandSpec) -> bool:
    """Whether a command writes, or may do so by a script, or sends messages."""
    return spec.is_write or spec.name in _LIKE_WRITES


class Pause:
    """A pause that lasts until `until_ms`: of all commands if `is_total`."""

    __slots__ = (
        "_engine",
        "_hidden",
        "_is_in_force",
        "_postponed",
        "is_total",
        "until_ms",
    )

    stops_eviction = True

    def __init__(self, engine: Engine, until_ms: int, *, is_total: bool) -> None:
        self._engine = engine
        self._postponed: list[tuple[Hold, Handler, list[bytes]]] = []
        self._hidden: list[tuple[Keyspace, bytes, Value]] = []
        # Not before the unit is over that began it: a transaction goes on, and may write.
        self._is_in_force = False
        self.until_ms = until_ms
        self.is_total = is_total

    def extend(self, until_ms: int, *, is_total: bool) -> None:
        """Let another pause begin before this is over: the longer and stricter counts."""
        self.until_ms = max(self.until_ms, until_ms)
        self.is_total = self.is_total or is_total

    def holds_back(self, session: Session, spec: CommandSpec, argv: list[bytes]) -> bool:
        """Whether a command has to wait. Ends the pause if its time is over."""
        if self.end_if_over(self._engine.now_ms):
            return False
        return self.is_total or _may_write(session, spec, argv)

    def postpone(self, session: Session, argv: list[bytes]) -> Reply:
        """Let a session wait for the end of the pause with this command."""
        state = session.state
        waits = self._engine.waits
        self._postponed.append((waits.hold(session), state, argv))
        if len(self._postponed) > 2 * len(waits) + _GONE_KEPT:
            self._postponed = [each for each in self._postponed if not each[0].is_over]
        return BLOCKED

    def hide(self, db: Keyspace, key: bytes) -> None:
        """Let a key whose time has come be seen by nobody, and expire after the pause."""
        own_ms = db.deadline_of(key)
        is_over = own_ms is not None and own_ms <= self._engine.now_ms
        if not (is_over and self._is_in_force):
            # Only fields of it are over, or those who write are not held back yet.
            db.expire(key)
            return
        value = db.data.pop(key, None)
        if value is not None:
            self._hidden.append((db, key, value))
            db.break_watches(key)

    def end_if_over(self, now_ms: int) -> bool:
        """End the pause if its time is over. Whether it was. Asked between units only."""
        self._is_in_force = True
        if now_ms < self.until_ms:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Let everything go on, and serve those who waited."""
        engine = self._engine
        engine.pause = None
        engine.review_sessions()
        for db, key, value in self._hidden:
            db.data[key] = value
            db.expire(key)
        engine.settle(0, [])
        for wait, state, argv in self._postponed:
            if not wait.is_over:
                engine.waits.release(wait)
                _serve(wait.session, state, argv)


def pause(engine: Engine, until_ms: int, *, is_total: bool) -> None:
    """Hold clients back until a time, in milliseconds since the epoch."""
    if engine.pause is not None:
        engine.pause.extend(until_ms, is_total=is_total)
        return
    engine.pause = Pause(engine, until_ms, is_total=is_total)
    engine.review_sessions()


def _may_write(session: Session, spec: CommandSpec, argv: list[bytes]) -> bool:
    if spec.name == "EXEC":
        return session.transaction is not None and session.transaction.may_write
    return is_like_write(spec) and not _only_reads(session.engine, spec, argv)


def _only_reads(engine: Engine, spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether a script or function says of itself that it writes nothing."""
    if spec.name == "EVAL":
        head = argv[1].partition(b"\n")[0]
        return head.startswith(b"#!") and b"no-writes" in head
    program: Program | None = None
    if spec.name == "EVALSHA" and engine.scripts is not None:
        program = engine.scripts.by_sha.get(argv[1].lower())
    elif spec.name == "FCALL" and engine.functions is not None:
        program = engine.functions.by_name.get(argv[1].lower())
    return program is not None and program.read_only


def _serve(session: Session, state: Handler, argv: list[bytes]) -> None:
    """Execute a postponed command in the state that its session was in."""
    session.enter(state)
    reply = session.execute(argv)
    if reply is not BLOCKED:
        session.deliver(reply)
    if session.closing and session.transport is not None:
        session.transport.close_soon()
