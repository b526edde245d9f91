"""The log of refusals: who was refused what, so that an administrator can see wrong
rules, and guessing.

What repeats itself within a minute is one entry with a count. The log has a length, and
the oldest entries make room.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply

# Entries that are alike and no further apart are one.
GROUPED_MS = 60_000


class LogEntry:
    """A refusal, or several that are alike."""

    __slots__ = ("client", "context", "count", "created_ms", "id", "key", "updated_ms")

    def __init__(self, entry_id: int, key: tuple[bytes, ...], now_ms: int) -> None:
        self.id = entry_id
        self.key = key
        self.count = 0
        self.created_ms = self.updated_ms = now_ms
        self.client = b""

    def add(self, client: bytes, now_ms: int) -> None:
        """Note one more refusal of this kind."""
        self.count += 1
        self.updated_ms = now_ms
        self.client = client

    def describe(self, now_ms: int) -> dict[bytes, Reply]:
        """The entry as ACL LOG shows it."""
        reason, context, refused, user = self.key
        return {
            b"count": self.count,
            b"reason": reason,
            b"context": context,
            b"object": refused,
            b"username": user,
            b"age-seconds": (now_ms - self.updated_ms) / 1000,
            b"client-info": self.client,
            b"entry-id": self.id,
            b"timestamp-created": self.created_ms,
            b"timestamp-last-updated": self.updated_ms,
        }


class AccessLog:
    """The newest refusals, newest first."""

    __slots__ = ("_entries", "_last_id")

    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self._last_id = -1

    def add(self, key: tuple[bytes, ...], client: bytes, *, now_ms: int, most: int) -> None:
        """Note a refusal. `key` is reason, context, object and user; `client` describes
        the connection; of all entries the newest `most` are kept.
        """
        entry = self._take_like(key, now_ms)
        if entry is None:
            self._last_id += 1
            entry = LogEntry(self._last_id, key, now_ms)
        entry.add(client, now_ms)
        self._entries.insert(0, entry)
        del self._entries[max(most, 0) :]

    def newest(self, count: int, now_ms: int) -> list[Reply]:
        """The newest entries, described."""
        return [entry.describe(now_ms) for entry in self._entries[:count]]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _take_like(self, key: tuple[bytes, ...], now_ms: int) -> LogEntry | None:
        for at, entry in enumerate(self._entries):
            if entry.key == key and now_ms - entry.updated_ms <= GROUPED_MS:
                return self._entries.pop(at)
        return None
