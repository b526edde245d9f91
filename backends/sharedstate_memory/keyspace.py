"""Keyspace: one database. The data, what only some keys have, and the door for change.

Values are plain Python objects without a wrapper; their Python type is the Redis type:
`bytes`, `dict`, `deque`, `set`, `SortedSet`. What only some keys have stands in side
tables: deadlines, watchers, waiting clients.

**The door.** Every change passes one of `put`, `overwrite`, `changed`, `remove`, `take`,
`receive`, `set_deadline`, `clear_deadline`, `flush` and `expire`. They count the change,
break watches, note keys that blocked clients wait for, and mark the running command as
one with an effect. Whoever mutates a container in place calls `changed` afterwards. Nothing
else mutates a keyspace, so that what must see every change has one place to look from.

**Cheap when alone.** `attentive` says that somebody watches, waits or listens. While it
is False, the door does no more than count: changes, and the bytes they add
(`sizes.py`). `put`, `overwrite` and `remove` see for themselves what a value costs; who
changes a container in place says by how much it grew.

**Events.** A change is an event of the command that runs (`lpush`), which the table of
commands knows, unless the door is told another. Removing is `del`, a deadline `expire`.

**The order of keys** is a list in which every key stands at least once, where its
present life began; keys of the past stay in it until half of it is stale
(`key_order.py`). Hence positions of keys that stay
only ever move down: SCAN walks the list backwards and never misses one, and a random
key is a random place of the list, tried again if stale.

**Expiry is exact for readers.** `find` and everything built on it deletes an expired key
first, so that no command ever sees one. Fields of hashes expire too (`field_deadlines.py`).
So that one test serves both, `deadlines` holds the earliest of a key's own deadline and
those of its fields; the key's own is what `deadline_of` says.
"""

from __future__ import annotations

from sys import maxsize

from sharedstate_memory.attention import Attention
from sharedstate_memory.expiry import Buckets
from sharedstate_memory.key_order import STALE_KEPT, shorten_order
from sharedstate_memory.replies import WRONG_TYPE, CommandFailure
from sharedstate_memory.sampling import note_volatile
from sharedstate_memory.sizes import DEADLINE, KEY, STRING, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any, TypeAlias, TypeVar

    from sharedstate_memory.access_clocks import Clock
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.field_deadlines import FieldDeadlines
    from sharedstate_memory.key_order import Compaction
    from sharedstate_memory.sorted_set import SortedSet

    Value: TypeAlias = bytes | dict[bytes, bytes] | deque[bytes] | set[bytes] | SortedSet

    T = TypeVar("T")

# A container with more elements than this takes over 0.1 ms to free.
BIG_LENGTH = 4096


class Keyspace(Attention):
    """One database, numbered `index`. See the module for what always holds."""

    __slots__ = (
        "buckets",
        "clock",
        "clocks",
        "compaction",
        "data",
        "deadlines",
        "dirty",
        "expired_fields",
        "field_deadlines",
        "hits",
        "order",
        "volatile_order",
    )

    def __init__(self, engine: Engine, index: int) -> None:
        super().__init__(engine, index)
        self.data: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self.field_deadlines: dict[bytes, FieldDeadlines] = {}
        self.buckets = Buckets()
        self.clock: Clock | None = None
        self.clocks: dict[bytes, int] = {}
        self.order: list[bytes] = []
        self.compaction: Compaction | None = None
        self.volatile_order: list[bytes] = []
        self.dirty = 0
        self.expired_fields = 0
        self.hits = 0

    # -- reading

    def read(self, key: bytes, kind: type[T]) -> T | None:
        """A key's value for a command that only reads: counted as a hit or a miss.
        Raises the WRONGTYPE refusal for a value of another type.
        """
        if key in self.deadlines:
            self.expire_if_due(key)
        value: Any = self.data.get(key)
        if type(value) is kind:
            self.hits += 1
            return value
        if value is None:
            self.note_miss(key)
            return None
        raise CommandFailure(WRONG_TYPE)

    def peek(self, key: bytes) -> Value | None:
        """As `read`, whatever the type, for commands that ask about a key: that is no
        use of it (`access_clocks.py`).
        """
        value = self.find(key)
        if value is None:
            self.note_miss(key)
        else:
            self.hits += 1
        return value

    read_any = peek
    """As `read`, whatever the type. A use of the key."""

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

    def deadline_of(self, key: bytes) -> int | None:
        """When a key expires as a whole, whatever its fields do; None for never."""
        fields = self.field_deadlines.get(key)
        return self.deadlines.get(key) if fields is None else fields.own_ms

    # -- the door for change

    def put(self, key: bytes, value: Value, event: bytes | None = None) -> None:
        """Give a key a value, in place of any it had. Its deadline stays."""
        old = self.data.get(key)
        if old is None:
            self.order.append(key)
            self.engine.used_bytes += KEY + len(key) + size_of(value)
        elif type(old) is bytes and type(value) is bytes:
            # The short way for counters: a tenth of INCR.
            self.engine.used_bytes += len(value) - len(old)
        else:
            self.engine.used_bytes += size_of(value)
            self._free(old)
        self.data[key] = value
        self.dirty += 1
        if self.attentive:
            self.notice(key, event, is_new=old is None)

    def overwrite(self, key: bytes, value: Value, event: bytes | None = None) -> None:
        """Give a key a value as if it had not been there: without a deadline."""
        if key in self.deadlines:
            self.expire_if_due(key)
            if key in self.deadlines:
                self.drop_deadline(key)
        # As `put`, spelled out because SET comes here.
        old = self.data.get(key)
        if old is None:
            self.order.append(key)
            size = STRING + len(value) if type(value) is bytes else size_of(value)
            self.engine.used_bytes += KEY + len(key) + size
        elif type(old) is bytes and type(value) is bytes:
            self.engine.used_bytes += len(value) - len(old)
        else:
            self.engine.used_bytes += size_of(value)
            self._free(old)
        self.data[key] = value
        self.dirty += 1
        if self.attentive:
            self.notice(key, event, is_new=old is None)

    def changed(self, key: bytes, growth: int = 0, event: bytes | None = None) -> None:
        """Say that the container at a key was changed in place, and is not empty.
        `growth` is by how many bytes (`sizes.py`); less than nothing if it shrank.
        """
        self.engine.used_bytes += growth
        self.dirty += 1
        if self.attentive:
            self.notice(key, event)

    def changed_or_empty(
        self, key: bytes, value: Value, growth: int = 0, event: bytes | None = None
    ) -> None:
        """Say that something was taken from a container: an empty one is removed."""
        self.changed(key, growth, event)
        if not value:
            self.remove(key)

    def remove(self, key: bytes, event: bytes = b"del") -> None:
        """Remove a key that is there."""
        self._free(self._take_out(key))
        if self.attentive:
            self.notice(key, event)

    def take(self, key: bytes) -> Value:
        """Remove a key whose value goes on elsewhere (`moving.py`), and return that. It
        stays counted, for to count it takes long if it is big. No event.
        """
        value = self._take_out(key)
        if self.attentive:
            self.notice(key, b"")
        return value

    def receive(self, key: bytes, value: Value) -> None:
        """Give a key a value that is counted already, in place of any it had and without
        a deadline. No event, but that it is new.
        """
        old = self.find(key)
        if key in self.deadlines:
            self.drop_deadline(key)
        if old is None:
            self.order.append(key)
            self.engine.used_bytes += KEY + len(key)
        else:
            self._free(old)
        self.data[key] = value
        self.dirty += 1
        if self.attentive:
            self.notice(key, b"", is_new=True)

    def set_deadline(self, key: bytes, deadline_ms: int, event: bytes = b"expire") -> None:
        """Let a key that is there expire at a time, in milliseconds since the epoch."""
        if key in self.field_deadlines:
            self.field_deadlines[key].set_own(self, key, deadline_ms)
        else:
            self.schedule(key, deadline_ms)
        self.changed(key, 0, event)

    def clear_deadline(self, key: bytes) -> bool:
        """Let a key stay for ever. False if it was to stay anyway."""
        if self.deadline_of(key) is None:
            return False
        if key in self.field_deadlines:
            self.field_deadlines[key].set_own(self, key, None)
        else:
            self.drop_deadline(key)
        self.changed(key, 0, b"persist")
        return True

    def flush(self) -> None:
        """Remove every key. Memory is freed in slices."""
        for key in self.watchers.keys() & self.data.keys():
            self.break_watches(key)
        self.dirty += len(self.data)
        self.engine.used_bytes -= DEADLINE * len(self.deadlines)
        self.engine.discard_database(self.data)
        if self.field_deadlines:
            deadlines: dict[bytes, Any] = self.field_deadlines
            self.engine.discard_database(deadlines)
        for scrap in (self.order, self.deadlines, self.clocks, self.buckets.keys):
            self.engine.discard_scrap(scrap)
        self.data, self.deadlines, self.field_deadlines, self.order = {}, {}, {}, []
        self.compaction, self.volatile_order = None, []
        self.clocks, self.buckets = {}, Buckets()
        if self.engine.tracking is not None:
            self.engine.tracking.forget_everything()
        if self.engine.effects is not None:
            self.mark_effect()

    # -- expiry

    def expire_if_due(self, key: bytes) -> None:
        """Remove a key with a deadline, or those of its fields, whose time has come."""
        # As `Engine.has_come`, spelled out because every use of such a key comes here.
        if self.deadlines[key] <= self.engine.now_ms and not self.engine.is_loading:
            if self.engine.pause is None:
                self.expire(key)
            else:
                self.engine.pause.hide(self, key)

    def expire(self, key: bytes, most_fields: int = maxsize) -> None:
        """Remove a key because its time has come. Its effect is a DEL of its own. If the
        time of fields alone has come, remove so many of them at most.
        """
        fields = self.field_deadlines.get(key)
        if fields is not None and not fields.is_over(self.engine.now_ms):
            fields.expire(self, key, most_fields)
            return
        self.vanish(key, b"expired")
        self.engine.expired_keys += 1

    def expire_many(self, keys: list[bytes], most_fields: int) -> None:
        """Remove keys whose time has come: all at once where nobody wants to know, at a
        third of the cost.
        """
        if self.attentive or self.field_deadlines or self.clocks:
            for key in keys:
                self.expire(key, most_fields)
                if self.engine.effects is not None:
                    self.engine.effects.end_unit()
            return
        take, forget, free = self.data.pop, self.deadlines.pop, self._free
        for key in keys:
            free(take(key))
            forget(key)
        self.dirty += len(keys)
        self.engine.expired_keys += len(keys)
        self.engine.used_bytes -= (KEY + DEADLINE) * len(keys) + sum(map(len, keys))
        if len(self.order) > 2 * len(self.data) + STALE_KEPT:
            shorten_order(self)

    def evict(self, key: bytes) -> None:
        """Remove a key because memory is short. Its effect is a DEL of its own."""
        self.vanish(key, b"evicted")
        self.engine.evicted_keys += 1

    def vanish(self, key: bytes, event: bytes) -> None:
        """Remove a key that no command removes."""
        self._free(self._take_out(key))
        if self.attentive:
            self.note_vanished(key, event, [b"DEL", key])

    # -- keeping the tables together (what is not private is for `field_deadlines.py`)

    def _take_out(self, key: bytes) -> Value:
        """Take a key from every table. Its value is still counted: `_free` it."""
        value = self.data.pop(key)
        self.dirty += 1
        self.engine.used_bytes -= KEY + len(key)
        if key in self.deadlines:
            self.drop_deadline(key)
        if len(self.order) > 2 * len(self.data) + STALE_KEPT:
            shorten_order(self)
        return value

    def _free(self, value: Value) -> None:
        """Count a value off; a big one when its memory is free, which takes slices."""
        if type(value) is bytes:
            self.engine.used_bytes -= STRING + len(value)
        elif len(value) > BIG_LENGTH:
            self.engine.discard(value)
        else:
            self.engine.used_bytes -= size_of(value)

    def schedule(self, key: bytes, deadline_ms: int) -> None:
        """Let a key be looked at again at a time, in place of any before."""
        old = self.deadlines.get(key)
        if old is None:
            self.engine.used_bytes += DEADLINE
            if self.volatile_order:
                note_volatile(self, key)
        else:
            self.buckets.discard(key, old)
        self.deadlines[key] = deadline_ms
        self.buckets.add(key, deadline_ms)

    def drop_deadline(self, key: bytes) -> None:
        """Forget the deadlines of a key and its fields."""
        self.engine.used_bytes -= DEADLINE
        self.buckets.discard(key, self.deadlines.pop(key))
        if key in self.field_deadlines:
            fields = self.field_deadlines.pop(key)
            self.engine.used_bytes -= KEY + len(key)
            self._free(fields)
