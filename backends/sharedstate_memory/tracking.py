"""Client-side caching: telling clients that keys they have read are no longer the same.

In the default mode the table remembers which clients have read which keys, and a change
of a key tells those clients, once, and forgets the key. The table has a bound, the
setting `tracking-table-max-keys`: the keys that were read first are then forgotten, and
their readers told as if they had changed.

In broadcasting mode nothing is remembered: a client names prefixes, and is told of every
key that begins with one of them, at the end of the unit that changed it.

Clients that speak RESP3 are told by a push. Those of RESP2 have another connection told,
which listens to `__redis__:invalidate`.

An engine has one of these only while somebody tracks, so that others pay nothing. Keys
are named without their database, as in Redis: a client is told once too often rather than
not at all.

Source: https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

from __future__ import annotations

from collections import OrderedDict

from sharedstate_memory.key_positions import keys_of
from sharedstate_memory.replies import Push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.commands import CommandSpec
    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

CHANNEL = b"__redis__:invalidate"

# Read-only commands that read through the commands of their scripts.
_SCRIPTS = frozenset(("EVAL_RO", "EVALSHA_RO", "FCALL_RO"))


# So many readers of a key may stay remembered that have gone.
_GONE_KEPT = 32


class SessionTracking:
    """What one session wants to be told, and how. `redirect` is the number of the session
    that is told in its place, or 0; `caching` is what CLIENT CACHING said of the next
    command.
    """

    __slots__ = (
        "caching",
        "is_broadcast",
        "is_broken",
        "is_no_loop",
        "is_opt_in",
        "is_opt_out",
        "prefixes",
        "redirect",
    )

    def __init__(self) -> None:
        self.is_broadcast = False
        self.is_opt_in = False
        self.is_opt_out = False
        self.is_no_loop = False
        self.is_broken = False
        self.redirect = 0
        self.caching: bool | None = None
        self.prefixes: dict[bytes, None] = {}

    @property
    def remembers(self) -> bool:
        """Whether the keys that the session reads now are to be remembered."""
        if self.is_broadcast:
            return False
        if self.is_opt_in:
            return self.caching is True
        return not (self.is_opt_out and self.caching is False)


class Tracking:
    """Which clients have to hear about which keys."""

    __slots__ = (
        "_changed",
        "_current",
        "_engine",
        "_is_flushed",
        "_most_keys",
        "_prefixes",
        "_readers",
        "_sessions",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._most_keys: int = engine.settings["tracking-table-max-keys"]
        self._sessions: dict[int, Session] = {}
        self._readers: OrderedDict[bytes, set[int]] = OrderedDict()
        self._prefixes: dict[bytes, dict[Session, None]] = {}
        self._changed: dict[bytes, Session | None] = {}
        self._is_flushed = False
        self._current: Session | None = None

    # -- who tracks

    def add(self, session: Session, tracking: SessionTracking) -> None:
        """Let a session track from now on, or in another way than before."""
        session.tracking = tracking
        self._sessions[session.id] = session
        for prefix in tracking.prefixes:
            self._prefixes.setdefault(prefix, {})[session] = None

    def discard(self, session: Session) -> None:
        """Let a session track no more. Keys that it has read are forgotten when they
        change.
        """
        if session.tracking is not None:
            for prefix in session.tracking.prefixes:
                del self._prefixes[prefix][session]
                if not self._prefixes[prefix]:
                    del self._prefixes[prefix]
        session.tracking = None
        self._sessions.pop(session.id, None)

    @property
    def is_wanted(self) -> bool:
        """Whether any session tracks."""
        return bool(self._sessions)

    @property
    def key_count(self) -> int:
        """How many keys are remembered as read."""
        return len(self._readers)

    @property
    def item_count(self) -> int:
        """How many pairs of a key and a reader are remembered. Costs a walk."""
        return sum(map(len, self._readers.values()))

    @property
    def prefix_count(self) -> int:
        """How many prefixes are broadcast."""
        return len(self._prefixes)

    def limit(self, most_keys: int) -> None:
        """Remember at most so many keys; zero is for no bound."""
        self._most_keys = most_keys
        self._forget_oldest()

    # -- what is read

    def execute(
        self, session: Session, spec: CommandSpec, argv: list[bytes], state: Handler
    ) -> Reply:
        """Execute a command of a session that tracks, and remember what it reads."""
        # A script that runs long lets others have their turn in the middle.
        interrupted, self._current = self._current, session
        try:
            reply = state(session, argv)
            if session.transaction is None:
                self.note_read(spec, argv)
        finally:
            self._current = interrupted
        is_over = session.transaction is None and not spec.name.startswith("CLIENT|")
        if session.tracking is not None and is_over:
            session.tracking.caching = None
        return reply

    def note_read(self, spec: CommandSpec, argv: list[bytes]) -> None:
        """Remember the keys that a command read, if it runs for a session that tracks."""
        session = self._current
        if session is None or session.tracking is None or "readonly" not in spec.flags:
            return
        if spec.name in _SCRIPTS or not session.tracking.remembers:
            return
        for key in keys_of(spec, argv):
            readers = self._readers.get(key)
            if readers is None:
                self._readers[key] = {session.id}
            else:
                readers.add(session.id)
                if len(readers) > 2 * len(self._sessions) + _GONE_KEPT:
                    readers.intersection_update(self._sessions)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        while self._most_keys and len(self._readers) > self._most_keys:
            key, readers = self._readers.popitem(last=False)
            self._tell_readers(key, readers)

    # -- what changes

    def invalidate(self, key: bytes) -> None:
        """Tell the clients that have read a key that it has changed."""
        if self._prefixes:
            self._changed[key] = self._current
            self._engine.pending = True
        readers = self._readers.pop(key, None)
        if readers is not None:
            self._tell_readers(key, readers, self._current)

    def _tell_readers(
        self, key: bytes, readers: set[int], writer: Session | None = None
    ) -> None:
        for session_id in readers:
            session = self._sessions.get(session_id)
            if session is None or session.tracking is None or session.tracking.is_broadcast:
                continue
            if session is not writer or not session.tracking.is_no_loop:
                self._tell(session, session.tracking, [key])

    def forget_everything(self) -> None:
        """Tell every client that all keys may have changed, when the unit is over."""
        self.forget_readers()
        self._is_flushed = True
        self._engine.pending = True

    def forget_readers(self) -> None:
        """Forget who has read what. The table may be big: it is freed in slices."""
        self._engine.discard_scrap(self._readers)
        self._readers = OrderedDict()

    def end_unit(self) -> None:
        """Tell what was kept until the unit's end: that all is gone, and what has changed
        below the prefixes.
        """
        if self._is_flushed:
            self._is_flushed = False
            for session in [*self._sessions.values()]:
                if session.tracking is not None:
                    self._tell(session, session.tracking, None)
        if self._changed:
            changed, self._changed = self._changed, {}
            for prefix, sessions in self._prefixes.items():
                self._broadcast(prefix, sessions, changed)

    def _broadcast(
        self,
        prefix: bytes,
        sessions: dict[Session, None],
        changed: dict[bytes, Session | None],
    ) -> None:
        keys: list[Reply] = [key for key in changed if key.startswith(prefix)]
        for session in sessions if keys else ():
            tracking = session.tracking
            if tracking is None:
                continue
            theirs = keys
            if tracking.is_no_loop:
                theirs = [key for key in keys if changed[key] is not session]  # type: ignore[index]
            if theirs:
                self._tell(session, tracking, theirs)

    # -- telling

    def _tell(
        self, session: Session, tracking: SessionTracking, keys: list[Reply] | None
    ) -> None:
        """Send a session its message: of these keys, or of all (None)."""
        listener = self._engine.sessions.get(tracking.redirect or session.id)
        if listener is None:
            self._tell_broken(session, tracking)
        elif listener.protocol == 3:
            listener.deliver(Push([b"invalidate", keys]))
        elif tracking.redirect and listener.is_subscribed:
            listener.deliver(Push([b"message", CHANNEL, keys]))

    def _tell_broken(self, session: Session, tracking: SessionTracking) -> None:
        tracking.is_broken = True
        if session.protocol == 3:
            session.deliver(Push([b"tracking-redir-broken", tracking.redirect]))


def track(session: Session, tracking: SessionTracking) -> None:
    """Let a session track from now on, in this way."""
    engine = session.engine
    if engine.tracking is None:
        engine.tracking = Tracking(engine)
        _review_attention(engine)
    engine.tracking.add(session, tracking)
    session.review()


def untrack(session: Session) -> None:
    """Let a session track no more. One that does not is fine."""
    engine = session.engine
    if session.tracking is None or engine.tracking is None:
        return
    engine.tracking.discard(session)
    session.review()
    if not engine.tracking.is_wanted:
        engine.tracking.forget_readers()
        engine.tracking = None
        _review_attention(engine)


def _review_attention(engine: Engine) -> None:
    for database in engine.databases:
        database.review_attention()
