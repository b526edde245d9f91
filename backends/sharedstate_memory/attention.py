"""Attention: who wants to know what happens to the keys of a database.

Sessions that watch a key, blocked clients that wait for one, the log and the replicas
(`effects.py`), subscribers of keyspace notifications (`events.py`), and clients that cache
what they have read (`tracking.py`). Mostly nobody does: then `attentive` is False, and the
door for change asks no more than that.
"""

from __future__ import annotations

from sharedstate_memory.effects import ONLY_LOGGED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.blocking import Wait
    from sharedstate_memory.effects import Effects
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.session import Session


class Attention:
    """The part of a `Keyspace` that tells others."""

    __slots__ = (
        "_only_log",
        "attentive",
        "engine",
        "index",
        "misses",
        "waiters",
        "watchers",
    )

    def __init__(self, engine: Engine, index: int) -> None:
        self.engine = engine
        self.index = index
        self.misses = 0
        self.attentive = False
        # The effects, while who has them is all that wants to know.
        self._only_log: Effects | None = None
        self.watchers: dict[bytes, dict[Session, None]] = {}
        self.waiters: dict[bytes, dict[Wait, None]] = {}

    def review_attention(self) -> None:
        """Look again whether anybody watches, waits or listens."""
        engine = self.engine
        has_others = bool(
            self.watchers
            or self.waiters
            or engine.events is not None
            or engine.tracking is not None
        )
        self.attentive = has_others or engine.effects is not None
        self._only_log = None if has_others else engine.effects

    def notice(self, key: bytes, event: bytes | None, *, is_new: bool = False) -> None:
        """Tell of a change who wants to know. An empty event is none; None is that of
        the command.
        """
        engine = self.engine
        only_log = self._only_log
        if only_log is not None:
            # The short way for servers with a log, at a third of the cost.
            only_log.changed = True
            if not engine.pending:
                engine.pending = ONLY_LOGGED
            return
        if key in self.watchers:
            self.break_watches(key)
        if key in self.waiters:
            engine.waits.note_ready(engine.databases[self.index], key)
        self.mark_effect()
        if engine.tracking is not None:
            engine.tracking.invalidate(key)
        if engine.events is not None:
            engine.pending = True
            if is_new:
                engine.events.add(self.index, key, b"new")
            if event != b"":
                engine.events.add(self.index, key, event)

    def note_miss(self, key: bytes) -> None:
        self.misses += 1
        if self.engine.events is not None:
            self.engine.pending = True
            self.engine.events.add(self.index, key, b"keymiss")

    def break_watches(self, key: bytes) -> None:
        """Let the transactions fail that watch a key."""
        for session in self.watchers.get(key, ()):
            session.watch_broken = True

    def mark_effect(self) -> None:
        """Mark the running command as one with an effect."""
        effects = self.engine.effects
        if effects is not None:
            effects.changed = True
            self.engine.pending = True

    def note_vanished(self, key: bytes, event: bytes, *effects: list[bytes]) -> None:
        """Tell who wants to know that a key, or part of it, has gone by itself."""
        engine = self.engine
        if key in self.watchers:
            self.break_watches(key)
        if engine.tracking is not None:
            engine.tracking.invalidate(key)
        if engine.events is not None:
            engine.events.add(self.index, key, event)
            engine.pending = True
        if engine.effects is not None:
            for effect in effects:
                engine.effects.add(self.index, effect)
            engine.pending = True
