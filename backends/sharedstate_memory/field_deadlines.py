"""Deadlines of the fields of one hash, in their order.

A hash whose fields expire has one of these in `Keyspace.field_deadlines`, and no other
hash has: who never asks for it pays nothing. It is a sorted set of fields, whose scores
are deadlines in milliseconds, so that a million of them are set, found and removed
without ever sorting anew; it is also counted and disposed of like one. Beside them it
keeps the deadline of the key as a whole, because the keyspace's own table holds the
earliest of all (`first_ms`), which is when somebody has to look again.

What is due goes in one of three ways: a reader removes all of it before it sees the hash;
the active cycle removes a few fields at a time; and when no field stays, the hash goes as
one, however big it is.

Invariant: every field in here is a field of the hash; one without fields stands in no
keyspace; `Keyspace.deadlines` has `first_ms` for its key.

Source: https://redis.io/docs/latest/commands/hexpire/
"""

from __future__ import annotations

from sharedstate_memory.sizes import FIELD, KEY, SCORED, size_of, total
from sharedstate_memory.sorted_set import ADDED, SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharedstate_memory.keyspace import Keyspace

# So few fields are not kept in order, which saves a third of the memory.
_FEW = 8

# Near the front of a sorted set, places are found at once.
_TAKEN_AT_ONCE = 128


class FieldDeadlines(SortedSet):
    """When the fields of a hash expire, and the hash as a whole (`own_ms`), if ever."""

    __slots__ = ("_latest_ms", "own_ms")

    def __init__(self, own_ms: int | None, deadlines: Mapping[bytes, int]) -> None:
        super().__init__(deadlines)
        self.own_ms = own_ms
        # No field's deadline is later.
        self._latest_ms = max(deadlines.values())

    @property
    def first_ms(self) -> int:
        """The earliest of all deadlines. There must be a field."""
        if len(self) <= _FEW:
            earliest = int(min(self.scores().values()))
        else:
            earliest = int(self.pairs(0, 1)[0][0])
        return earliest if self.own_ms is None else min(earliest, self.own_ms)

    def deadline_of(self, field: bytes) -> int | None:
        """When a field expires; None for never."""
        deadline_ms = self.score(field)
        return None if deadline_ms is None else int(deadline_ms)

    def deadlines(self) -> dict[bytes, int]:
        """All fields with their deadlines, in no order. Linear."""
        return {field: int(at_ms) for field, at_ms in self.scores().items()}

    def is_over(self, now_ms: int) -> bool:
        """Whether the time of the key as a whole has come."""
        return self.own_ms is not None and self.own_ms <= now_ms

    def copy(self) -> FieldDeadlines:
        """The same deadlines for another key. Linear."""
        return FieldDeadlines(
            self.own_ms, {field: int(at_ms) for at_ms, field in self.pairs(0, len(self))}
        )

    # -- in a keyspace

    def attach(self, db: Keyspace, key: bytes) -> None:
        """Stand for the deadlines of a hash that has none, or only one as a whole."""
        db.engine.used_bytes += size_of(self)
        self.arrive(db, key)

    def arrive(self, db: Keyspace, key: bytes) -> None:
        """As `attach`, for what has left another key, and stayed counted."""
        db.engine.used_bytes += KEY + len(key)
        db.field_deadlines[key] = self
        db.schedule(key, self.first_ms)

    def leave(self, db: Keyspace, key: bytes) -> None:
        """Stand for a key no longer, but for another one soon. The entry in
        `Keyspace.deadlines` is left to the caller.
        """
        db.engine.used_bytes -= KEY + len(key)
        del db.field_deadlines[key]

    def set_own(self, db: Keyspace, key: bytes, own_ms: int | None) -> None:
        """Let the key expire as a whole at a time, or never."""
        self.own_ms = own_ms
        db.schedule(key, self.first_ms)

    def set_all(
        self, db: Keyspace, key: bytes, names: Iterable[bytes], deadline_ms: int
    ) -> None:
        """Let some fields, which are there, expire at a time."""
        for name in names:
            if self.set(name, deadline_ms) == ADDED:
                db.engine.used_bytes += SCORED + 2 * len(name)
        self._latest_ms = max(self._latest_ms, deadline_ms)
        self._review(db, key)

    def forget(self, db: Keyspace, key: bytes, names: Iterable[bytes]) -> None:
        """Let some fields stay for ever, or be gone by now."""
        for name in names:
            if self.remove(name):
                db.engine.used_bytes -= SCORED + 2 * len(name)
        self._review(db, key)

    def expire(self, db: Keyspace, key: bytes, most: int) -> None:
        """Remove fields whose time has come, so many at most; with the last, the key."""
        now_ms = db.engine.now_ms
        fields: dict[bytes, bytes] = db.data[key]  # type: ignore[assignment]
        if len(self) == len(fields) and self._latest_ms <= now_ms:
            self._expire_all(db, key)
            return
        names = self._take_due(now_ms, most)
        size = FIELD * len(names) + total(names) + total(map(fields.pop, names))
        db.engine.used_bytes -= size + SCORED * len(names) + 2 * total(names)
        db.dirty += len(names)
        db.expired_fields += len(names)
        self._review(db, key)
        if db.attentive:
            db.note_vanished(key, b"hexpired", [b"HDEL", key, *names])

    def _expire_all(self, db: Keyspace, key: bytes) -> None:
        db.expired_fields += len(self)
        if db.attentive:
            db.note_vanished(key, b"hexpired")
        db.vanish(key, b"del")

    def _take_due(self, now_ms: int, most: int) -> list[bytes]:
        """Take out fields whose time has come, the earliest first."""
        names: list[bytes] = []
        while self and len(names) < most:
            count = min(most - len(names), _TAKEN_AT_ONCE, len(self))
            if self.pairs(count - 1, count)[0][0] > now_ms:
                count = most = self.place_of_score(now_ms, after=True)
            names += self.remove_places(0, count)
        return names

    def _review(self, db: Keyspace, key: bytes) -> None:
        """Look again at what comes first, after fields have come or gone."""
        if self:
            db.schedule(key, self.first_ms)
            return
        self.leave(db, key)
        db.engine.used_bytes -= size_of(self)
        if self.own_ms is None:
            db.drop_deadline(key)
        else:
            db.schedule(key, self.own_ms)


def let_expire(db: Keyspace, key: bytes, names: Iterable[bytes], deadline_ms: int) -> None:
    """Let some fields of a hash, which are there, expire at a time."""
    fields = db.field_deadlines.get(key)
    if fields is not None:
        fields.set_all(db, key, names, deadline_ms)
        return
    fields = FieldDeadlines(db.deadlines.get(key), dict.fromkeys(names, deadline_ms))
    fields.attach(db, key)
