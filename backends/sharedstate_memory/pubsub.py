"""Channels: who listens to what, and messages to them.

A message goes to the `deliver` of each session that listens now and is kept nowhere. A
session gets it once for its channel and once for each of its patterns that match.
"""

from __future__ import annotations

from sharedstate_memory.glob import compile_glob
from sharedstate_memory.replies import Push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.session import Session


class Channels:
    """The subscriptions of one engine."""

    __slots__ = ("_listeners", "_pattern_listeners")

    def __init__(self) -> None:
        self._listeners: dict[bytes, dict[Session, None]] = {}
        self._pattern_listeners: dict[bytes, dict[Session, None]] = {}

    def subscribe(self, session: Session, channel: bytes) -> Push:
        """Let a session listen to a channel. Returns the confirmation."""
        session.channels[channel] = None
        self._listeners.setdefault(channel, {})[session] = None
        return _confirmation(b"subscribe", channel, session)

    def unsubscribe(self, session: Session, channel: bytes | None) -> Push:
        """Let a session listen no more to a channel. Returns the confirmation."""
        if channel in session.channels:
            del session.channels[channel]
            _leave(self._listeners, channel, session)
        return _confirmation(b"unsubscribe", channel, session)

    def subscribe_pattern(self, session: Session, pattern: bytes) -> Push:
        """Let a session listen to all channels that match."""
        session.patterns[pattern] = None
        self._pattern_listeners.setdefault(pattern, {})[session] = None
        return _confirmation(b"psubscribe", pattern, session)

    def unsubscribe_pattern(self, session: Session, pattern: bytes | None) -> Push:
        """Let a session listen no more to the channels that match."""
        if pattern in session.patterns:
            del session.patterns[pattern]
            _leave(self._pattern_listeners, pattern, session)
        return _confirmation(b"punsubscribe", pattern, session)

    def leave_all(self, session: Session) -> None:
        """Forget a session."""
        for channel in session.channels:
            _leave(self._listeners, channel, session)
        for pattern in session.patterns:
            _leave(self._pattern_listeners, pattern, session)
        session.channels.clear()
        session.patterns.clear()

    def publish(self, channel: bytes, message: bytes) -> int:
        """Deliver a message. Returns how many times it was delivered."""
        count = 0
        for session in self._listeners.get(channel, ()):
            session.deliver(Push([b"message", channel, message]))
            count += 1
        for pattern, sessions in self._pattern_listeners.items():
            if not compile_glob(pattern)(channel):
                continue
            for session in sessions:
                session.deliver(Push([b"pmessage", pattern, channel, message]))
                count += 1
        return count

    def active(self, matches: Callable[[bytes], object]) -> list[bytes]:
        """The channels that match and have listeners."""
        return [channel for channel in self._listeners if matches(channel)]

    def listener_count(self, channel: bytes) -> int:
        """How many sessions listen to a channel, patterns aside."""
        return len(self._listeners.get(channel, ()))

    @property
    def channel_count(self) -> int:
        """How many channels have listeners."""
        return len(self._listeners)

    @property
    def pattern_count(self) -> int:
        """How many patterns have listeners."""
        return len(self._pattern_listeners)


def _confirmation(kind: bytes, name: bytes | None, session: Session) -> Push:
    return Push([kind, name, len(session.channels) + len(session.patterns)])


def _leave(
    table: dict[bytes, dict[Session, None]], name: bytes | None, session: Session
) -> None:
    if name is None:
        return
    sessions = table[name]
    del sessions[session]
    if not sessions:
        del table[name]
