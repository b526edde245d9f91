"""Subscriptions of `memory://`: messages of some channels, kept until they are read."""

from __future__ import annotations

import queue

from sharedstate.backend import Message, Subscription
from sharedstate.errors import BackendError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.store import Store

MOST_UNREAD = 100_000
"""Messages that are kept for a subscriber who does not read; later ones are missed."""


class MemorySubscription(Subscription):
    """Channels of one store. Any thread may read, and any may close."""

    def __init__(self, store: Store, channels: list[bytes]) -> None:
        self._store = store
        self._unread: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._missed = 0
        self._is_full = False
        self._closed = False
        self._session = store.open_session(self._deliver)
        store.call(self._session, [b"SUBSCRIBE", *channels])

    def get(self, timeout: float | None = None) -> Message | None:
        if self._closed:
            raise _closed_error()
        try:
            message = self._unread.get(timeout=None if timeout is None else max(timeout, 0))
        except queue.Empty:
            return None
        if message is None:
            # For the next of those who wait.
            self._unread.put(None)
            raise _closed_error()
        return message

    @property
    def missed(self) -> int:
        """How often messages were thrown away because too many were unread."""
        return self._missed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._store.retire(self._session)
            self._unread.put(None)

    def _deliver(self, push: Reply) -> None:
        # Called under the store's lock: it only puts the message down.
        if not isinstance(push, list) or push[0] != b"message":
            return
        was_full, self._is_full = self._is_full, self._unread.qsize() >= MOST_UNREAD
        if not self._is_full:
            self._unread.put(Message(push[1], push[2]))
        elif not was_full:
            self._missed += 1


def _closed_error() -> BackendError:
    return BackendError("this subscription was closed")
