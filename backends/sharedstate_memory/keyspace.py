"""Keyspace: one database. The data, what only some keys have, and the door for change.

Values are plain Python objects without a wrapper; their Python type is the Redis type:
`bytes`, `dict`, `deque`, `set`, `SortedSet`. What only some keys have stands in side
tables: deadlines, watchers, waiting clients.

**The door.** Every change passes one of `put`, `overwrite`, `changed`, `remove`,
`set_deadline`, `clear_deadline`, `flush` and `expire`. They count the change, break
watches, note keys that blocked clients wait for, and mark the running command as one
with an effect. Whoever mutates a container in place calls `changed` afterwards. Nothing
else mutates a keyspace, so that what must see every change has one place to look from.

**Cheap when alone.** `attentive` says that somebody watches, waits or listens. While it
is False, the door does no more than count.

**The order of keys** is a list in which every key stands at least once, where its
present life began; keys of the past stay in it until half of it is stale, and it is
built anew from the dict, whose own order is the same. Hence positions of keys that stay
only ever move down: SCAN walks the list backwards and never misses one, and a random
key is a random place of the list, tried again if stale.

**Expiry is exact for readers.** `find` and everything built on it deletes an expired key
first, so that no command ever sees one.
"""

from __future__ import annotations

from sharedstate_memory.expiry import Buckets
from sharedstate_memory.replies import WRONG_TYPE, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any, TypeAlias, TypeVar

    from sharedstate_memory.blocking import Wait
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.session import Session
    from sharedstate_memory.sorted_set import SortedSet

    Value: TypeAlias = bytes | dict[bytes, bytes] | deque[bytes] | set[bytes] | SortedSet

    T = TypeVar("T")

# Below this many stale entries, compacting the order is not worth its fixed cost.
_STALE_KEPT = 64

# A container with more elements than this takes over 0.1 ms to free.
BIG_LENGTH = 4096


class Keyspace:
    """One database, numbered `index`. See the module for what always holds."""

    __slots__ = (
        "attentive",
        "buckets",
        "data",
        "deadlines",
        "dirty",
        "engine",
        "index",
        "order",
        "waiters",
        "watchers",
    )

    def __init__(self, engine: Engine, index: int) -> None:
        self.engine = engine
        self.index = index
        self.data: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self.buckets = Buckets()
        self.order: list[bytes] = []
        self.dirty = 0
        self.attentive = False
        self.watchers: dict[bytes, dict[Session, None]] = {}
        self.waiters: dict[bytes, dict[Wait, None]] = {}

    # -- reading

    def find(self, key: bytes) -> Value | None:
        """A key's value; None when there is none or it has expired."""
        if key in self.deadlines:
            self.expire_if_due(key)
        return self.data.get(key)

    def typed(self, key: bytes, kind: type[T]) -> T | None:
        """A key's value, which must be of one type. Raises the WRONGTYPE refusal."""
        if key in self.deadlines:
            self.expire_if_due(key)
        value: Any = self.data.get(key)
        if value is None or type(value) is kind:
            return value
        raise CommandFailure(WRONG_TYPE)

    def random_key(self) -> bytes | None:
        """A key, each as likely as the next but for those removed and made again."""
        order, randrange = self.order, self.engine.random.randrange
        while self.data:
            key = order[randrange(len(order))]
            if self.find(key) is not None:
                return key
        return None

    # -- the door for change

    def put(self, key: bytes, value: Value) -> None:
        """Give a key a value, in place of any it had. Its deadline stays."""
        if key not in self.data:
            self.order.append(key)
        self.data[key] = value
        self.dirty += 1
        if self.attentive:
            self._notice(key)

    def overwrite(self, key: bytes, value: Value) -> None:
        """Give a key a value as if it had not been there: without a deadline."""
        if key in self.deadlines:
            self._drop_deadline(key)
        # As `put`, spelled out because SET comes here.
        if key not in self.data:
            self.order.append(key)
        self.data[key] = value
        self.dirty += 1
        if self.attentive:
            self._notice(key)

    def changed(self, key: bytes) -> None:
        """Say that the container at a key was changed in place, and is not empty."""
        self.dirty += 1
        if self.attentive:
            self._notice(key)

    def changed_or_empty(self, key: bytes, value: Value) -> None:
        """Say that something was taken from a container: an empty one is removed."""
        if value:
            self.changed(key)
        else:
            self.remove(key)

    def remove(self, key: bytes) -> None:
        """Remove a key that is there."""
        self._free(self._take_out(key))
        if self.attentive:
            self._notice(key)

    def rename(self, key: bytes, new_key: bytes) -> None:
        """Move a value and its deadline to another key, in place of what that held."""
        deadline_ms = self.deadlines.get(key)
        value = self._take_out(key)
        if self.attentive:
            self._notice(key)
        self.overwrite(new_key, value)
        if deadline_ms is not None:
            self.set_deadline(new_key, deadline_ms)

    def set_deadline(self, key: bytes, deadline_ms: int) -> None:
        """Let a key that is there expire at a time, in milliseconds since the epoch."""
        old = self.deadlines.get(key)
        if old is not None:
            self.buckets.discard(key, old)
        self.deadlines[key] = deadline_ms
        self.buckets.add(key, deadline_ms)
        self.changed(key)

    def clear_deadline(self, key: bytes) -> bool:
        """Let a key stay for ever. False if it was to stay anyway."""
        if key not in self.deadlines:
            return False
        self._drop_deadline(key)
        self.changed(key)
        return True

    def flush(self) -> None:
        """Remove every key."""
        for key in self.watchers.keys() & self.data.keys():
            self._break_watches(key)
        self.dirty += len(self.data)
        self.engine.discard(self.data)
        self.data, self.deadlines, self.order = {}, {}, []
        self.buckets = Buckets()
        if self.engine.effects is not None:
            self._mark_effect()

    # -- expiry

    def expire_if_due(self, key: bytes) -> None:
        """Remove a key with a deadline if the deadline has passed."""
        if self.deadlines[key] <= self.engine.now_ms:
            self.expire(key)

    def expire(self, key: bytes) -> None:
        """Remove a key because its time has come. Its effect is a DEL of its own."""
        self._free(self._take_out(key))
        self.engine.expired_keys += 1
        if not self.attentive:
            return
        self._break_watches(key)
        if self.engine.effects is not None:
            self.engine.pending = True
            self.engine.effects.add(self.index, [b"DEL", key])

    # -- who wants to know

    def review_attention(self) -> None:
        """Look again whether anybody watches, waits or listens."""
        self.attentive = bool(
            self.watchers or self.waiters or self.engine.effects is not None
        )

    def _notice(self, key: bytes) -> None:
        if key in self.watchers:
            self._break_watches(key)
        if key in self.waiters:
            self.engine.waits.note_ready(self, key)
        if self.engine.effects is not None:
            self._mark_effect()

    def _break_watches(self, key: bytes) -> None:
        for session in self.watchers.get(key, ()):
            session.watch_broken = True

    def _mark_effect(self) -> None:
        effects = self.engine.effects
        if effects is not None:
            effects.changed = True
            self.engine.pending = True

    # -- keeping the tables together

    def _take_out(self, key: bytes) -> Value:
        value = self.data.pop(key)
        self.dirty += 1
        if key in self.deadlines:
            self._drop_deadline(key)
        if len(self.order) > 2 * len(self.data) + _STALE_KEPT:
            self.order = list(self.data)
        return value

    def _free(self, value: Value) -> None:
        if type(value) is not bytes and len(value) > BIG_LENGTH:
            self.engine.discard(value)

    def _drop_deadline(self, key: bytes) -> None:
        self.buckets.discard(key, self.deadlines.pop(key))
