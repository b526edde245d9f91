"""What a transaction sees of a map: the store's entries, and its own changes above them.

Here is what the store does with the commands and scripts of a map, in Python and for
stored bytes, so that their results are known before anything is written. What they depend
on is read under watch. The changes of a field are kept as what becomes of it in the end,
and not as calls, so that a commit is as large as what it changes.

A lifetime that is given here begins with the commit; until then the time of the map stands
still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sharedstate.errors import CommandError
from sharedstate.structures.map import BATCH
from sharedstate.structures.map_layout import _SCRIPTS
from sharedstate.transaction_views.map_base import Entry, MapBase
from sharedstate.transaction_views.number_image import whole_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharedstate.backend import Command
    from sharedstate.structures.base import StructureContext
    from sharedstate.transaction_views.watched import Watched

_START = b"0"
"""Where a scan begins, and, told as the next step, that it has ended."""


class MapImage:
    """One map."""

    def __init__(self, watched: Watched, context: StructureContext) -> None:
        self._watched = watched
        self.keys = tuple(map(context.key, ("data", "timed", "deadlines")))
        """The keys of the map on the store."""
        self._base = MapBase(watched, _SCRIPTS, self.keys)
        self._is_cleared = False
        self._written: dict[bytes, Entry] = {}
        self._removed: set[bytes] = set()
        self._unpopped: Iterator[tuple[bytes, Entry]] | None = None

    @property
    def is_changed(self) -> bool:
        """Whether there is something to commit."""
        return self._is_cleared or bool(self._written or self._removed)

    def changes(self) -> list[Command]:
        """The commands that make the store as it is seen here. May cost a round trip."""
        if not self.is_changed:
            return []
        has_lifetimes = any(not entry.is_endless for entry in self._written.values())
        if has_lifetimes or (not self._is_cleared and self._base.is_timed):
            return list(self._scripted_changes())
        return list(self._native_changes())

    def _native_changes(self) -> Iterator[Command]:
        if self._is_cleared:
            yield ("UNLINK", *self.keys)
        written: list[bytes] = []
        for field, entry in self._written.items():
            written += (field, entry.value)
        for batch in _cut(written, 2 * BATCH):
            yield ("HSET", self.keys[0], *batch)
        for batch in _cut([] if self._is_cleared else [*self._removed], BATCH):
            yield ("HDEL", self.keys[0], *batch)

    def _scripted_changes(self) -> Iterator[Command]:
        words: list[bytes] = []
        for field in self._removed:
            words += (field, b"del", b"", b"")
        for field, entry in self._written.items():
            words += (field, *_words_of(entry))
        # The whole script and not its digest: a script that the store turned out not to
        # know would fail alone, after other commands of the transaction were done.
        head: Command = ("EVAL", _SCRIPTS["apply"].body, len(self.keys), *self.keys)
        for number, batch in enumerate(_cut(words, 4 * BATCH) if words else [[]]):
            yield (*head, int(self._is_cleared and number == 0), *batch)

    # What the store has, with the changes above it.

    def _find(self, field: bytes) -> Entry | None:
        if field in self._written:
            return self._written[field]
        if self._is_cleared or field in self._removed:
            return None
        return self._base.find(field)

    def _find_many(self, fields: Sequence[bytes]) -> list[Entry | None]:
        if not self._is_cleared:
            self._base.learn([field for field in fields if not self._has_changed(field)])
        return [self._find(field) for field in fields]

    def _has_changed(self, field: bytes) -> bool:
        return field in self._written or field in self._removed

    def _put(self, field: bytes, entry: Entry) -> None:
        self._removed.discard(field)
        self._written[field] = entry

    def _write(self, field: bytes, value: bytes, lifetime: int = 0) -> None:
        self._put(field, Entry(value, lifetime=lifetime))

    def _replace(self, field: bytes, value: bytes, before: Entry | None) -> None:
        """Write a value; the entry lives on for as long as it would have."""
        deadline = before.deadline if before else None
        lifetime = before.lifetime if before else 0
        self._put(field, Entry(value, deadline=deadline, lifetime=lifetime))

    def _remove(self, field: bytes) -> None:
        self._written.pop(field, None)
        self._removed.add(field)

    def _clear(self, *keys: bytes) -> int:
        self._is_cleared = True
        self._written.clear()
        self._removed.clear()
        self._unpopped = None
        return 0

    def _scan(self) -> Iterator[tuple[bytes, Entry]]:
        """The entries of the store that were not changed here; some may come twice."""
        cursor = _START
        while not self._is_cleared:
            cursor, entries = self._base.scan(cursor)
            for field, entry in entries:
                if not self._has_changed(field):
                    yield field, entry
            if cursor == _START:
                return

    # Commands.

    def _hget(self, field: bytes) -> bytes | None:
        entry = self._find(field)
        return None if entry is None else entry.value

    def _hmget(self, *fields: bytes) -> list[bytes | None]:
        found = self._find_many(fields)
        return [None if entry is None else entry.value for entry in found]

    def _hexists(self, field: bytes) -> int:
        return int(self._find(field) is not None)

    def _hlen(self) -> int:
        if self._is_cleared:
            return len(self._written)
        changed = [*self._written, *self._removed]
        self._base.learn(changed)
        replaced = sum(self._base.find(field) is not None for field in changed)
        return self._base.count() - replaced + len(self._written)

    def _hscan(self, cursor: bytes, *words: bytes) -> list[Any]:
        """As one step on the store. Our own changes come with the last step."""
        entries: list[tuple[bytes, Entry]] = []
        following = _START
        if not self._is_cleared:
            following, found = self._base.scan(cursor)
            entries = [one for one in found if not self._has_changed(one[0])]
        if following == _START:
            entries += self._written.items()
        told: list[bytes] = []
        for field, entry in entries:
            told += (field, entry.value)
        return [following, told]

    def _hset(self, *pairs: bytes) -> int:
        """Returns 0, and not how many were new: no structure asks, and it would cost."""
        for field, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._write(field, value)
        return 0

    def _hdel(self, *fields: bytes) -> int:
        removed = 0
        self._find_many(fields)
        for field in fields:
            if self._find(field) is not None:
                removed += 1
                self._remove(field)
        return removed

    def _hincrby(self, field: bytes, amount: bytes) -> int:
        before = self._find(field)
        total = whole_sum(before.value if before else b"0", amount, "hash value")
        self._replace(field, b"%d" % total, before)
        return total

    # Scripts.

    def _store(self, lifetime: bytes, condition: bytes, *pairs: bytes) -> int:
        if condition:
            is_there = self._find(pairs[0]) is not None
            if is_there != (condition == b"present"):
                return 0
        for field, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._write(field, value, int(lifetime))
        return 1

    def _ttl(self, field: bytes) -> int:
        entry = self._find(field)
        if entry is None:
            return -2
        if entry.deadline is None:
            return entry.lifetime or -1
        return entry.deadline - (self._watched.now_ms or 0)

    def _touch(self, field: bytes, lifetime: bytes) -> int:
        return int(self._relive(field, int(lifetime)))

    def _persist(self, field: bytes) -> int:
        entry = self._find(field)
        if entry is None or entry.is_endless:
            return 0
        return int(self._relive(field, 0))

    def _relive(self, field: bytes, lifetime: int) -> bool:
        entry = self._find(field)
        if entry is None:
            return False
        is_rewritten = entry.is_rewritten
        again = Entry(entry.value, lifetime=lifetime, is_rewritten=is_rewritten)
        self._put(field, again)
        return True

    def _pop(self, field: bytes) -> bytes | None:
        value = self._hget(field)
        if value is not None:
            self._remove(field)
        return value

    def _popitem(self) -> list[bytes] | None:
        """Any entry: of our own changes if there is one. Else a scan finds one, and the
        next call goes on where it stopped."""
        if self._written:
            field, entry = self._written.popitem()
            self._remove(field)
            return [field, entry.value]
        if self._unpopped is None:
            self._unpopped = self._scan()
        for field, entry in self._unpopped:
            self._remove(field)
            return [field, entry.value]
        return None

    def _setdefault(self, field: bytes, value: bytes) -> bytes | None:
        found = self._hget(field)
        if found is None:
            self._write(field, value)
        return found

    def _compare_and_set(self, field: bytes, *words: bytes) -> list[Any]:
        """The ticket that may follow is of no use here: nobody else comes between."""
        expects, expected, writes, new = words[:4]
        entry = self._find(field)
        found = None if entry is None else entry.value
        if found != (expected if expects == b"1" else None):
            return [0, found]
        if writes == b"1":
            self._replace(field, new, entry)
        elif entry is not None:
            self._remove(field)
        return [1]

    def _increment_many(self, *words: bytes) -> list[Any] | None:
        fields, amounts = words[::2], words[1::2]
        sums: list[tuple[bytes, bytes, Entry | None]] = []
        found = self._find_many(fields)
        for position, (field, entry) in enumerate(zip(fields, found, strict=True), 1):
            before = entry.value if entry else b"0"
            try:
                total = whole_sum(before, amounts[position - 1], "hash value")
            except CommandError as refusal:
                return [position, str(refusal).encode()]
            sums.append((field, b"%d" % total, entry))
        for field, text, entry in sums:
            self._replace(field, text, entry)
        return None

    commands: ClassVar[dict[str, Callable[..., Any]]] = {
        "HGET": _hget,
        "HMGET": _hmget,
        "HEXISTS": _hexists,
        "HLEN": _hlen,
        "HSCAN": _hscan,
        "HSET": _hset,
        "HDEL": _hdel,
        "HINCRBY": _hincrby,
        "UNLINK": _clear,
    }
    """What each command of a map would reply now."""

    scripts: ClassVar[dict[str, Callable[..., Any]]] = {
        **{f"map.{name.lower()}": reply for name, reply in commands.items()},
        "map.store": _store,
        "map.ttl": _ttl,
        "map.touch": _touch,
        "map.persist": _persist,
        "map.pop": _pop,
        "map.popitem": _popitem,
        "map.setdefault": _setdefault,
        "map.compare_and_set": _compare_and_set,
        "map.increment_many": _increment_many,
    }
    """What each script of a map would reply now, without the layout that it tells."""


def _words_of(entry: Entry) -> tuple[bytes, bytes, bytes]:
    """What becomes of an entry, as the script `apply` has it."""
    ending = b""
    if entry.lifetime:
        ending = b"in%d" % entry.lifetime
    elif entry.deadline is not None:
        ending = b"at%d" % entry.deadline
    if entry.is_rewritten:
        return b"set", entry.value, ending
    return b"keep", b"", ending


def _cut(words: list[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(words), size):
        yield words[start : start + size]
