"""The engine: sixteen databases, the sessions that use them, and what outlives a command.

No sockets, no files, no threads. An owner (the server's loop, or a backend under a lock)
opens sessions, feeds them commands, and calls `cron` and `expire_waits` in time. The clock
is passed in, and randomness may be.

A private server is waited for while it starts, so what only some programs use is imported
when the first of them does: commands (`commands/registry.py`), and what
`_follow_events`, `_end_rarities` and `random` say.

A unit is a command, or a transaction or a script with all of its commands. Time stands
still within a unit: the clock is read when the unit first needs it, and not at all if
nothing needs it. What a unit leaves to do afterwards sets `pending`, so that the usual
command pays one test: `settle` then hands effects over, serves the sessions that waited
for a key, and lets time run on.
"""

from __future__ import annotations

from sharedstate_memory.acl import Users
from sharedstate_memory.blocking import Waits
from sharedstate_memory.chores import Chores
from sharedstate_memory.commands.registry import resolve_fully
from sharedstate_memory.cursors import Cursors
from sharedstate_memory.disposal import Disposal
from sharedstate_memory.draws import Draws
from sharedstate_memory.effects import ONLY_LOGGED, Effects
from sharedstate_memory.eviction import Eviction
from sharedstate_memory.keyspace import Keyspace
from sharedstate_memory.latency import Latency
from sharedstate_memory.pubsub import Channels
from sharedstate_memory.replies import CommandFailure
from sharedstate_memory.session import Session
from sharedstate_memory.settings import Settings
from sharedstate_memory.sizes import unevenness_of
from sharedstate_memory.slow_log import SlowLog
from sharedstate_memory.statistics import Statistics, follow_thresholds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from typing import Any

    from sharedstate_memory.acl import AclFile
    from sharedstate_memory.bindings import Bindings, Bound
    from sharedstate_memory.commands.persistence import Persistence
    from sharedstate_memory.events import Events
    from sharedstate_memory.functions import Functions
    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.monitors import Monitors
    from sharedstate_memory.pauses import Pause
    from sharedstate_memory.replies import ErrorReply, Reply
    from sharedstate_memory.scripting import BusyScript, Scripts
    from sharedstate_memory.tracking import Tracking


CRON_INTERVAL_S = 0.1


class Engine:
    """The data and everything that happens to it. One thread at a time may use it.

    `info` and `owner_facts` are the owner's to fill: what INFO says besides (see
    `information.py`). An owner that has settings of its own passes them in. One that can
    keep data on disk sets `open_persistence`, and says by `is_loading` and `write_refusal`
    (an error's text) what must not be done now; after that it calls `review_sessions`.
    """

    redis_version = "7.4.0"
    """The Redis that clients may take this engine for. It behaves as 7.0 where that and
    later ones differ; what came with 7.2 and 7.4 and is there (the expiry of fields,
    CLIENT SETINFO and NO-TOUCH) is behaved as they do. Some clients look at it before
    they cache what they have read."""

    def __init__(
        self,
        *,
        clock_ms: Callable[[], int],
        clock_us: Callable[[], int] | None = None,
        random: Random | None = None,
        settings: Settings | None = None,
        password: bytes | None = None,
    ) -> None:
        self._begin_alone()
        self.clock_ms = clock_ms
        self._clock_us = clock_us
        self._now_ms: int | None = None
        self._random = random
        self.settings = Settings() if settings is None else settings
        if password is not None:
            self.settings.load("requirepass", [password.decode("utf-8", "surrogateescape")])
        self.started_at_ms = clock_ms()
        self.pending: int = False
        self.expired_keys = 0
        self.evicted_keys = 0
        self.used_bytes = 0
        self.client_bytes = 0
        self._lacks_room = False
        self.sessions: dict[int, Session] = {}
        self.users = Users(self)
        self.statistics = Statistics(self)
        self.slow_log = SlowLog(clock_ms)
        self.latency = Latency(clock_ms)
        self._last_session_id = 0
        self._disposal = Disposal()
        self.databases = [
            Keyspace(self, index) for index in range(self.settings["databases"])
        ]
        self.waits = Waits(self)
        self.channels = Channels()
        self.cursors = Cursors()
        self.draws = Draws(self)
        self.eviction = Eviction(self)
        self.chores = Chores(self)
        self.script_time_limit_ms: int = self.settings["busy-reply-threshold"]
        self._follow_events()
        follow_thresholds(self)
        self.settings.on_change("notify-keyspace-events", self._follow_events)
        self.settings.on_change("tracking-table-max-keys", self._limit_tracking)
        self.settings.on_change("requirepass", self.users.take_password)
        self.settings.on_change("busy-reply-threshold", self._take_script_limit)

    def _begin_alone(self) -> None:
        """What exists only while somebody wants it."""
        self.effects: Effects | None = None
        self.events: Events | None = None
        self.tracking: Tracking | None = None
        self.busy: BusyScript | None = None
        self.pause: Pause | None = None
        self.monitors: Monitors | None = None
        self.is_watchful = False
        self.scripts: Scripts | None = None
        self.functions: Functions | None = None
        self.bindings: Bindings | None = None
        self.on_leave: Callable[[Bound], None] | None = None
        self.on_busy: Callable[[], None] | None = None
        self.on_purge: Callable[[], None] | None = None
        self.on_shutdown: Callable[[frozenset[bytes]], bool] | None = None
        self.on_log: Callable[[str, str], None] | None = None
        self.on_warning: Callable[[str], None] | None = None
        self.acl_file: AclFile | None = None
        self.persistence: Persistence | None = None
        self.open_persistence: Callable[[], Persistence] | None = None
        self.arm_failpoint: Callable[[str, str], None] | None = None
        self.is_loading = False
        self.write_refusal = b""
        self.info: dict[str, int | str] = {}
        self.owner_facts: Callable[[], dict[str, dict[str, int | str]]] | None = None

    @property
    def random(self) -> Random:
        """What decides by chance. If none was passed in, one is made when it is needed."""
        if self._random is None:
            from random import Random  # here, because it takes a millisecond to import

            self._random = Random()
        return self._random

    # -- settings

    def _follow_events(self) -> None:
        """Publish the events that the setting asks for, or none."""
        if self.events is None and not self.settings["notify-keyspace-events"]:
            return
        from sharedstate_memory.events import follow_setting

        follow_setting(self)

    def _limit_tracking(self) -> None:
        if self.tracking is not None:
            self.tracking.limit(self.settings["tracking-table-max-keys"])

    def _take_script_limit(self) -> None:
        self.script_time_limit_ms = self.settings["busy-reply-threshold"]

    # -- sessions

    def open_session(self, deliver: Callable[[Reply], None]) -> Session:
        """Open a session. `deliver` gets its out-of-band replies: those to commands that
        had blocked, and messages of channels. It must not call the engine.
        """
        self._last_session_id += 1
        session = Session(self, self._last_session_id, deliver)
        session.opened_at_ms = self.clock_ms()
        self.sessions[session.id] = session
        return session

    def close_session(self, session: Session) -> None:
        """Forget a session: what it waits for, watches and is subscribed to. Twice is
        fine.
        """
        self.sessions.pop(session.id, None)
        self.waits.forget(session)
        self.channels.leave_all(session)
        self._end_rarities(session)
        session.transaction = None
        session.closing = True
        session.rest()
        # The connection knows the session, so the session forgets the connection: a cycle
        # would stay until the next look for garbage, which may be far away.
        session.transport = None
        session.deliver = _deliver_to_nobody

    def _end_rarities(self, session: Session) -> None:
        """End what few sessions do: watch keys, track them, bind scripts, monitor."""
        if session.watched:
            from sharedstate_memory.transactions import unwatch

            unwatch(session)
        if session.tracking is not None:
            from sharedstate_memory.tracking import untrack

            untrack(session)
        if session.bound is not None and self.bindings is not None:
            self.bindings.close(session)
        if self.monitors is not None:
            from sharedstate_memory.monitors import monitor_no_more

            monitor_no_more(session)

    def disconnect(self, session: Session) -> None:
        """End a session, with its connection if it has one. It waits for nothing more:
        what comes for it now is for others.
        """
        self.waits.forget(session)
        if session.transport is None:
            self.close_session(session)
        else:
            session.transport.close_soon()

    def review_sessions(self) -> None:
        """Let every session look again which guard it needs (`guards.py`). To be called
        when something that concerns all of them has changed.
        """
        self.is_watchful = bool(
            self.busy
            or self.pause
            or self.monitors
            or self.is_loading
            or self.write_refusal
        )
        for session in self.sessions.values():
            session.review()

    # -- failures

    def note_failure(self, argv: list[bytes], failure: CommandFailure) -> ErrorReply:
        """Count a command that failed while it ran. Returns its reply."""
        try:
            resolve_fully(argv)
        except CommandFailure:
            return self.note_rejection(argv, failure)
        self.statistics.failed[argv[0]] += 1
        return self._note_error(failure)

    def note_rejection(self, argv: list[bytes], failure: CommandFailure) -> ErrorReply:
        """Count a command that was refused before it ran. Returns its reply."""
        self.statistics.note_rejection(argv)
        return self._note_error(failure)

    def _note_error(self, failure: CommandFailure) -> ErrorReply:
        reply = failure.reply
        self.statistics.errors[reply.text.partition(b" ")[0]] += 1
        return reply

    def reset_statistics(self) -> None:
        """Let everything that is counted begin again."""
        self.statistics.reset()
        self.expired_keys = self.evicted_keys = 0
        for database in self.databases:
            database.hits = database.misses = database.expired_fields = 0

    # -- memory

    def is_out_of_memory(self) -> bool:
        """Whether memory is short, and no room could be made before the unit that runs:
        nobody is evicted in the middle of it.
        """
        return self._lacks_room and self.used_bytes > self.eviction.limit_bytes

    def make_room(self) -> bool:
        """Evict keys if memory is short. False if it is still so."""
        self._lacks_room = (
            self.used_bytes > self.eviction.limit_bytes and not self.eviction.make_room()
        )
        return not self._lacks_room

    def overhead_bytes(self) -> int:
        """What is taken for others than the data: scripts, the clients' buffers, and the
        room left free in the tables of keys.
        """
        scripts = 0 if self.scripts is None else self.scripts.used_bytes()
        functions = 0 if self.functions is None else self.functions.used_bytes()
        if self.bindings is not None:
            scripts += self.bindings.runtime_bytes()
        return scripts + functions + self.client_bytes + unevenness_of(self.databases)

    def dispose(self, budget_s: float) -> None:
        """Free what was removed and is still to be freed, for so many seconds."""
        if self._disposal:
            self.used_bytes -= self._disposal.run(budget_s)

    # -- time

    @property
    def now_ms(self) -> int:
        """The time of the running unit, in milliseconds since the epoch."""
        now_ms = self._now_ms
        if now_ms is None:
            now_ms = self._now_ms = self.clock_ms()
            self.pending = True
        return now_ms

    def has_come(self, time_ms: int) -> bool:
        """Whether a deadline is over. None is while data is loaded: a log says itself when
        its keys expired, and its commands must find them until then.
        """
        return time_ms <= self.now_ms and not self.is_loading

    @property
    def now_us(self) -> int:
        """As `now_ms`, in microseconds if the owner's clock tells them."""
        now_us = 1000 * self.now_ms
        if self._clock_us is None:
            return now_us
        return min(max(self._clock_us(), now_us), now_us + 999)

    # -- units

    @property
    def on_effect(self) -> Callable[[int, list[bytes]], None] | None:
        """Who gets (database, command) for every change. None when nobody listens."""
        return None if self.effects is None else self.effects.listener

    @on_effect.setter
    def on_effect(self, listener: Callable[[int, list[bytes]], None] | None) -> None:
        self.hand_effects_to(None if listener is None else Effects(listener))

    def hand_effects_to(self, effects: Effects | None) -> None:
        """Let somebody have the effects from now on, or nobody. Between two units."""
        self.effects = effects
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
        if self.events is not None:
            self.events.end_command(argv)

    def settle(self, database: int, argv: list[bytes]) -> None:
        """End a unit: hand its effects over, serve who waited for its keys, let time run.

        `argv` is the command that ran last, in `database`.
        """
        if self.busy is not None:
            return  # Others get their turn in the middle of a script's unit.
        effects = self.effects
        is_only_logged = self.pending == ONLY_LOGGED
        self.pending = False
        if effects is not None:
            if effects.unit or effects.replacement or effects.is_silent:
                effects.end_command(database, argv)
                effects.end_unit()
            elif effects.changed:
                # The usual one: a command alone that is its own effect.
                effects.changed = False
                effects.listener(database, argv)
            if is_only_logged:
                return
        if self.events is not None:
            self.events.end_command(argv)
        if self.waits.ready:
            self.waits.serve()
        if self.tracking is not None:
            self.tracking.end_unit()
        self._now_ms = None
        self.pending = False

    @property
    def processed(self) -> int:
        """How many commands were executed, those of transactions and scripts included."""
        return sum(self.statistics.calls.values())

    # -- what the owner calls

    def cron(self, interval_s: float = CRON_INTERVAL_S) -> None:
        """Do what is due in the background, for at most a few milliseconds.

        Call it every `interval_s`, ten times a second or more often, and more often still
        while it `is_behind`: it removes expired keys and frees big values.
        """
        self.chores.run(interval_s)
        self.settle(0, [])
        if self.bindings is not None:
            self.bindings.cron()

    @property
    def is_behind(self) -> bool:
        """Whether the cron left something to do: it should come again soon."""
        if self.bindings is not None and self.bindings.is_behind:
            return True
        return self.chores.is_behind or bool(self._disposal)

    def expire_waits(self) -> None:
        """Give the sessions whose blocking command timed out their null replies, and
        serve those who waited for a pause that is over.
        """
        now_ms = self.clock_ms()
        self.waits.expire(now_ms)
        if self.pause is not None:
            self.pause.end_if_over(now_ms)

    def next_wait_deadline_ms(self) -> int | None:
        """When the next blocking command times out, or a pause is over; None for never."""
        deadline_ms = self.waits.next_deadline_ms()
        if self.pause is None:
            return deadline_ms
        return min(self.pause.until_ms, deadline_ms or self.pause.until_ms)

    def cancel_wait(self, session: Session) -> bool:
        """Give a session's wait up, as if its time had passed: its null reply is
        delivered. False when it did not wait.
        """
        return self.waits.cancel(session)

    def discard(self, value: Value) -> None:
        """Free a value that may be big, a slice at a time."""
        self.draws.forget(value)
        self.cursors.forget(value)
        self._disposal.add(value)

    @property
    def disposals(self) -> tuple[int, int]:
        """How many values and databases are still to be freed, and how many have been."""
        return len(self._disposal), self._disposal.done

    def discard_scrap(self, container: list[Any] | dict[Any, Any]) -> None:
        """Free a table that is not counted, a slice at a time."""
        self._disposal.add_scrap(container)

    def discard_database(self, data: dict[bytes, Value]) -> None:
        """Free all keys of a database, a slice at a time."""
        self.draws.forget_all()
        self.cursors.forget_all()
        self._disposal.add_database(data)


def _deliver_to_nobody(reply: Reply) -> None:
    """What scripts do has no out-of-band replies."""
