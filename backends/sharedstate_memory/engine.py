"""The engine: sixteen databases, the sessions that use them, and what outlives a command.

No sockets, no files, no threads. An owner (the server's loop, or a backend under a lock)
opens sessions, feeds them commands, and calls `cron` and `expire_waits` in time. Clock
and randomness are passed in.

A unit is a command, or a transaction or a script with all of its commands. Time stands
still within a unit: the clock is read when the unit first needs it, and not at all if
nothing needs it. What a unit leaves to do afterwards sets `pending`, so that the usual
command pays one test: `settle` then hands effects over, serves the sessions that waited
for a key, and lets time run on.
"""

from __future__ import annotations

from sharedstate_memory.blocking import Waits
from sharedstate_memory.commands.registry import load_families
from sharedstate_memory.cursors import Cursors
from sharedstate_memory.disposal import Disposal
from sharedstate_memory.effects import Effects
from sharedstate_memory.expiry import ActiveExpiry
from sharedstate_memory.keyspace import Keyspace
from sharedstate_memory.pubsub import Channels
from sharedstate_memory.session import Session
from sharedstate_memory.transactions import unwatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sized
    from random import Random

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import Scripts

DEFAULT_DATABASES = 16

# What CONFIG GET answers until the owner knows better.
_CONFIG = {
    b"appendonly": b"no",
    b"maxmemory": b"0",
    b"maxmemory-policy": b"noeviction",
    b"save": b"",
    b"timeout": b"0",
}

DEFAULT_SCRIPT_TIME_LIMIT_MS = 5000


class Engine:
    """The data and everything that happens to it. One thread at a time may use it.

    `info` and `config` are the owner's to fill: what INFO and CONFIG GET say besides.
    """

    redis_version = "7.0.15"
    """The Redis whose behaviour this engine follows."""

    __slots__ = (
        "_clock_ms",
        "_disposal",
        "_expiry",
        "_last_session_id",
        "_now_ms",
        "channels",
        "config",
        "cursors",
        "databases",
        "effects",
        "expired_keys",
        "info",
        "on_shutdown",
        "password",
        "pending",
        "processed",
        "random",
        "script_time_limit_ms",
        "scripts",
        "sessions",
        "started_at_ms",
        "waits",
    )

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int],
        random: Random,
        databases: int = DEFAULT_DATABASES,
        password: bytes | None = None,
    ) -> None:
        load_families()
        self._clock_ms = clock_ms
        self._now_ms: int | None = None
        self.random = random
        self.password = password
        self.started_at_ms = clock_ms()
        self.pending = False
        self.processed = 0
        self.expired_keys = 0
        self.effects: Effects | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self.scripts: Scripts | None = None
        self.script_time_limit_ms = DEFAULT_SCRIPT_TIME_LIMIT_MS
        self.info: dict[str, int | str] = {}
        self.config = {**_CONFIG, b"databases": b"%d" % databases}
        self.sessions: dict[int, Session] = {}
        self._last_session_id = 0
        self._disposal = Disposal()
        self.databases = [Keyspace(self, index) for index in range(databases)]
        self.waits = Waits(self)
        self.channels = Channels()
        self.cursors = Cursors()
        self._expiry = ActiveExpiry(self.databases)

    # -- sessions

    def open_session(self, deliver: Callable[[Reply], None]) -> Session:
        """Open a session. `deliver` gets its out-of-band replies: those to commands that
        had blocked, and messages of channels. It must not call the engine.
        """
        self._last_session_id += 1
        session = Session(self, self._last_session_id, deliver)
        session.opened_at_ms = self._clock_ms()
        self.sessions[session.id] = session
        return session

    def close_session(self, session: Session) -> None:
        """Forget a session: what it waits for, watches and is subscribed to. Twice is
        fine.
        """
        self.sessions.pop(session.id, None)
        self.waits.forget(session)
        unwatch(session)
        self.channels.leave_all(session)
        session.transaction = None
        session.closing = True
        session.rest()

    # -- time

    @property
    def now_ms(self) -> int:
        """The time of the running unit, in milliseconds since the epoch."""
        now_ms = self._now_ms
        if now_ms is None:
            now_ms = self._now_ms = self._clock_ms()
            self.pending = True
        return now_ms

    # -- units

    @property
    def on_effect(self) -> Callable[[int, list[bytes]], None] | None:
        """Who gets (database, command) for every change. None when nobody listens."""
        return None if self.effects is None else self.effects.listener

    @on_effect.setter
    def on_effect(self, listener: Callable[[int, list[bytes]], None] | None) -> None:
        self.effects = None if listener is None else Effects(listener)
        for database in self.databases:
            database.review_attention()

    def script_session(self) -> Session:
        """A session for the commands of scripts, which sets its database itself.

        It speaks RESP2, never blocks, and is not counted among the clients.
        """
        session = Session(self, 0, _deliver_to_nobody)
        session.may_block = False
        return session

    def end_command(self, database: int, argv: list[bytes]) -> None:
        """End one command among the several of a unit."""
        if self.effects is not None:
            self.effects.end_command(database, argv)

    def settle(self, database: int, argv: list[bytes]) -> None:
        """End a unit: hand its effects over, serve who waited for its keys, let time run.

        `argv` is the command that ran last, in `database`.
        """
        self.pending = False
        if self.effects is not None:
            self.effects.end_command(database, argv)
            self.effects.end_unit()
        if self.waits.ready:
            self.waits.serve()
        self._now_ms = None
        self.pending = False

    # -- what the owner calls

    def cron(self) -> None:
        """Do what is due in the background, for at most a few milliseconds.

        Call it about ten times a second: it removes expired keys and frees big values.
        """
        self._expiry.run_adaptively(self.now_ms)
        if self._disposal:
            self._disposal.run()
        self.settle(0, [])

    def expire_waits(self) -> None:
        """Give the sessions whose blocking command timed out their null replies."""
        self.waits.expire(self._clock_ms())

    def next_wait_deadline_ms(self) -> int | None:
        """When the next blocking command times out; None when none does."""
        return self.waits.next_deadline_ms()

    def cancel_wait(self, session: Session) -> bool:
        """Give a session's wait up, as if its time had passed: its null reply is
        delivered. False when it did not wait.
        """
        return self.waits.cancel(session)

    def discard(self, value: Sized) -> None:
        """Free a value that may be big, a slice at a time."""
        self._disposal.add(value)


def _deliver_to_nobody(reply: Reply) -> None:
    """What scripts do has no out-of-band replies."""
