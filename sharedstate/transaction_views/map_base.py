"""A map as the store has it, for an attempt that changes nothing yet.

Only what is asked for is read, and remembered: a field that was read once is not asked for
again. A map without lifetimes is read by native commands, one with lifetimes by scripts
(`map.lua` explains both layouts). Which one it is shows by itself: the store refuses a
native command on a map with lifetimes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError
from sharedstate.structures.map_layout import SCAN_COUNT
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Argument
    from sharedstate.transaction_views.watched import Watched

MOST_REMEMBERED = 50_000
"""Fields that an iteration lets us remember: those that follow are asked for again."""


class Entry:
    """A stored value, and how long it lives."""

    __slots__ = ("deadline", "is_rewritten", "lifetime", "value")

    def __init__(
        self,
        value: bytes,
        *,
        deadline: int | None = None,
        lifetime: int = 0,
        is_rewritten: bool = True,
    ) -> None:
        self.value = value
        self.deadline = deadline
        """The store's time at which it ends, in ms; None for none."""
        self.lifetime = lifetime
        """The ms that it lives from the commit; 0 for none."""
        self.is_rewritten = is_rewritten
        """Whether the value is another one than the store has."""

    @property
    def is_endless(self) -> bool:
        """Whether it lives for ever."""
        return self.deadline is None and not self.lifetime


class MapBase:
    """The entries of one map on the store."""

    def __init__(self, watched: Watched, scripts: ScriptFile, keys: Sequence[str]) -> None:
        self._watched = watched
        self._scripts = scripts
        self._keys = keys
        self._timed: bool | None = None
        self._known: dict[bytes, Entry | None] = {}
        self._count: int | None = None

    @property
    def is_timed(self) -> bool:
        """Whether the map has lifetimes. One round trip if nothing was read yet."""
        if self._timed is None:
            kind = self._watched.read(("TYPE", self._keys[0]))
            if kind not in (b"none", b"hash", b"string"):
                raise CommandError(
                    "WRONGTYPE Operation against a key holding the wrong kind of value"
                )
            self._timed = kind == b"string"
        return self._timed

    def find(self, field: bytes) -> Entry | None:
        """The entry of a field. One round trip, the first time."""
        if field not in self._known:
            self.learn([field])
        return self._known[field]

    def learn(self, fields: Sequence[bytes]) -> None:
        """Read those of the fields that are not known yet, in one round trip."""
        unknown = [field for field in dict.fromkeys(fields) if field not in self._known]
        if not unknown:
            return
        values = self._native("HMGET", *unknown) if self._timed is not True else None
        if values is not None:
            for field, value in zip(unknown, values, strict=True):
                self._known[field] = None if value is None else _plain(value)
        else:
            self._look(unknown)

    def count(self) -> int:
        """How many entries there are. One round trip, the first time."""
        if self._count is None:
            self._count = self._native("HLEN") if self._timed is not True else None
        if self._count is None:
            _, self._count, first_end = self._ask("measure")
            if first_end is not None:
                self._watched.count_on(int(first_end))
        return self._count

    def scan(self, cursor: bytes) -> tuple[bytes, list[tuple[bytes, Entry]]]:
        """Some entries, and where to go on; the same as one step of HSCAN.

        One round trip; two for a map with lifetimes.
        """
        words = (cursor, "COUNT", SCAN_COUNT)
        reply = self._native("HSCAN", *words) if self._timed is not True else None
        if reply is None:
            reply = self._watched.read(("HSCAN", self._keys[1], *words))
        cursor, found = reply
        if self._timed:
            return cursor, self._alive(found[::2])
        entries = [
            (field, _plain(value))
            for field, value in zip(found[::2], found[1::2], strict=True)
        ]
        if len(self._known) < MOST_REMEMBERED:
            self._known.update(entries)
        return cursor, entries

    def _alive(self, fields: Sequence[bytes]) -> list[tuple[bytes, Entry]]:
        self.learn(fields)
        found = [(field, self._known[field]) for field in fields]
        if len(self._known) > MOST_REMEMBERED:
            for field in fields:
                self._known.pop(field, None)
        return [(field, entry) for field, entry in found if entry is not None]

    def _look(self, fields: Sequence[bytes]) -> None:
        _, values, ends = self._ask("look", *fields)
        for field, value, end in zip(
            fields, values, ends or [None] * len(values), strict=True
        ):
            deadline = None if end is None else int(end)
            if value is None:
                self._known[field] = None
                continue
            self._known[field] = Entry(value, deadline=deadline, is_rewritten=False)
            if deadline is not None:
                self._watched.count_on(deadline)

    def _native(self, name: str, *arguments: Argument) -> Any:
        """The reply to a native command; None if the map has lifetimes, as we know now."""
        try:
            reply = self._watched.read((name, self._keys[0], *arguments))
        except CommandError as error:
            if error.code != "WRONGTYPE":
                raise
            self._timed = True
            return None
        self._timed = False
        return reply

    def _ask(self, script: str, *fields: bytes) -> list[Any]:
        moment = self._watched.now_ms
        words = ("" if moment is None else moment, *fields)
        reply: list[Any]
        timed, reply = self._watched.run(self._scripts[script], self._keys, words)
        self._timed = timed == 1
        if moment is None and timed == 1:
            self._watched.now_ms = int(reply[0])
        return reply


def _plain(value: bytes) -> Entry:
    return Entry(value, is_rewritten=False)
