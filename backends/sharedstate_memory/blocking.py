"""Blocking commands: sessions that wait for a key, first come, first served.

A command that finds nothing to take calls `Waits.block` with a function that tries
again. From then on its session waits, in the line of each of its keys:

    BLPOP k 5 ── nothing there ──► in line at k ──┬── another unit pushes to k ──► served
                                                  ├── 5 s pass ──► null reply
                                                  └── the session closes ──► gone

The door for change notes a key as ready only if somebody waits for it. When the unit
that changed it is over, as a whole (so a transaction that pushes and pops wakes nobody),
those in line are tried in their order for as long as the key lasts. What serving one
makes ready in turn (BLMOVE) is served by the same loop.

Invariant: a `Wait` stands in the line of each of its keys until it is finished, and then
in none; its session gets exactly one reply.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from sharedstate_memory.replies import BLOCKED, CommandFailure, ErrorReply, Sentinel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

NOT_SERVED = Sentinel("NOT_SERVED")
"""What a serving function returns when the key has nothing for it."""

# The heap keeps waits that were served before their time; it is rebuilt when more than
# half of it, and more than this many, are such.
_FINISHED_KEPT = 64

_BLOCKED_TWICE = ErrorReply(b"ERR the session waits for the reply to a blocking command")


class Wait:
    """One session that waits for one of some keys."""

    __slots__ = ("db", "deadline_ms", "is_over", "keys", "null", "serve", "session")

    def __init__(
        self,
        session: Session,
        keys: Sequence[bytes],
        serve: Callable[[bytes], Reply],
        *,
        null: Reply,
        deadline_ms: int | None,
    ) -> None:
        self.session = session
        self.db = session.db
        self.keys = keys
        self.serve = serve
        self.null = null
        self.deadline_ms = deadline_ms
        self.is_over = False


class Hold(Wait):
    """One session that waits until it is released, for no key and no time."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, (), _never, null=None, deadline_ms=None)


class Waits:
    """Everybody who waits in one engine."""

    __slots__ = ("_count", "_engine", "_heap", "_serial", "ready")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._heap: list[tuple[int, int, Wait]] = []
        self._serial = 0
        self._count = 0
        self.ready: dict[tuple[int, bytes], Keyspace] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def timed_count(self) -> int:
        """How many of them wait for a time only."""
        return sum(not wait.is_over for _, _, wait in self._heap)

    def block(
        self,
        session: Session,
        keys: Sequence[bytes],
        serve: Callable[[bytes], Reply],
        *,
        null: Reply,
        timeout_ms: int,
    ) -> Reply:
        """Let a session wait for `serve(key)` to give a reply for one of its keys.

        `serve` takes what is there and returns the reply, or returns NOT_SERVED; it runs
        as a unit of its own, and names the events and effects of its changes. `null` is
        the reply when `timeout_ms` passes first; zero waits for ever. In a transaction or
        a script nothing blocks: `null` at once.
        """
        if not session.may_block:
            return null
        deadline_ms = self._engine.now_ms + timeout_ms if timeout_ms else None
        wait = Wait(session, keys, serve, null=null, deadline_ms=deadline_ms)
        for key in keys:
            wait.db.waiters.setdefault(key, {})[wait] = None
        wait.db.review_attention()
        self._count += 1
        session.wait = wait
        session.enter(blocked)
        if deadline_ms is not None:
            self._serial += 1
            heappush(self._heap, (deadline_ms, self._serial, wait))
        return BLOCKED

    def hold(self, session: Session) -> Hold:
        """Let a session wait until it is released."""
        wait = Hold(session)
        self._count += 1
        session.wait = wait
        session.enter(blocked)
        return wait

    def release(self, wait: Hold) -> None:
        """End a session's wait. Its reply is the caller's affair."""
        self._leave_lines(wait)

    def note_ready(self, db: Keyspace, key: bytes) -> None:
        """Remember that a key somebody waits for has changed."""
        self.ready[db.index, key] = db
        self._engine.pending = True

    def serve(self) -> None:
        """Serve those who wait for the keys noted as ready; while data is loaded, later:
        what they take is nothing that a log would have.
        """
        while self.ready and not self._engine.is_loading:
            ready, self.ready = self.ready, {}
            for (_, key), db in ready.items():
                self._serve_key(db, key)

    def expire(self, now_ms: int) -> None:
        """Give those whose time has passed their null replies."""
        while self._heap and (self._heap[0][2].is_over or self._heap[0][0] <= now_ms):
            wait = heappop(self._heap)[2]
            if not wait.is_over:
                self._finish(wait, wait.null)

    def next_deadline_ms(self) -> int | None:
        """When the next wait ends by itself."""
        while self._heap and self._heap[0][2].is_over:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def cancel(self, session: Session, reply: Reply = NOT_SERVED) -> bool:
        """End a session's wait with a reply; without one, as if its time had passed."""
        wait = session.wait
        if wait is None:
            return False
        self._finish(wait, wait.null if reply is NOT_SERVED else reply)
        return True

    def forget(self, session: Session) -> None:
        """End a session's wait without a reply: nobody is there to read it."""
        if session.wait is not None:
            self._leave_lines(session.wait)

    def _serve_key(self, db: Keyspace, key: bytes) -> None:
        for wait in tuple(db.waiters.get(key, ())):
            if db.find(key) is None:
                return
            if wait.is_over:
                continue
            try:
                reply = wait.serve(key)
            except CommandFailure as failure:
                reply = failure.reply
            if reply is not NOT_SERVED:
                self._finish(wait, reply)
                self._end_unit(db)

    def _end_unit(self, db: Keyspace) -> None:
        # What serves names the events of its changes: no command runs.
        self._engine.end_command(db.index, [])
        if self._engine.effects is not None:
            self._engine.effects.end_unit()

    def _finish(self, wait: Wait, reply: Reply) -> None:
        self._leave_lines(wait)
        wait.session.answer(reply)

    def _leave_lines(self, wait: Wait) -> None:
        wait.is_over = True
        for key in set(wait.keys):
            line = wait.db.waiters[key]
            del line[wait]
            if not line:
                del wait.db.waiters[key]
        wait.db.review_attention()
        self._count -= 1
        wait.session.wait = None
        wait.session.rest()
        self._compact()

    def _compact(self) -> None:
        if len(self._heap) > 2 * self._count + _FINISHED_KEPT:
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapify(self._heap)


def _never(key: bytes) -> Reply:
    return NOT_SERVED


def blocked(session: Session, argv: list[bytes]) -> Reply:
    """Refuse a command: the owner has to hold back what comes while a session waits."""
    return _BLOCKED_TWICE
