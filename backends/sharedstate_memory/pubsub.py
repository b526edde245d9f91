"""Channels: who listens to what, and messages to them.

A message goes to the `deliver` of each session that listens now and is kept nowhere. A
session gets it once for its channel and once for each of its patterns that match.

Sharded channels are channels of their own: no message passes between a channel and the
sharded channel of the same name, and no pattern hears the latter. In a server of one
shard that is all the difference.

Patterns stand in groups by the text before their first special character. A channel can
only match patterns of the groups that its own name begins with, so a message looks at
one group for each length of such texts, however many patterns there are.
"""

from __future__ import annotations

from collections import Counter

from sharedstate_memory.glob import compile_glob
from sharedstate_memory.replies import Push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.session import Session

    Listeners: TypeAlias = dict[bytes, dict[Session, None]]

_SPECIAL = b"*?[\\"


class Channels:
    """The subscriptions of one engine."""

    __slots__ = ("_groups", "_lengths", "_listeners", "_patterns", "_shard_listeners")

    def __init__(self) -> None:
        self._listeners: Listeners = {}
        self._shard_listeners: Listeners = {}
        self._patterns: dict[bytes, _Pattern] = {}
        self._groups: dict[bytes, dict[bytes, _Pattern]] = {}
        self._lengths: Counter[int] = Counter()

    # -- subscribing

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

    def subscribe_shard(self, session: Session, channel: bytes) -> Push:
        """Let a session listen to a sharded channel. Returns the confirmation."""
        session.shard_channels[channel] = None
        self._shard_listeners.setdefault(channel, {})[session] = None
        return Push([b"ssubscribe", channel, len(session.shard_channels)])

    def unsubscribe_shard(self, session: Session, channel: bytes | None) -> Push:
        """Let a session listen no more to a sharded channel. Returns the confirmation."""
        if channel in session.shard_channels:
            del session.shard_channels[channel]
            _leave(self._shard_listeners, channel, session)
        return Push([b"sunsubscribe", channel, len(session.shard_channels)])

    def subscribe_pattern(self, session: Session, pattern: bytes) -> Push:
        """Let a session listen to all channels that match."""
        session.patterns[pattern] = None
        known = self._patterns.get(pattern)
        if known is None:
            known = self._add_pattern(pattern)
        known.sessions[session] = None
        return _confirmation(b"psubscribe", pattern, session)

    def unsubscribe_pattern(self, session: Session, pattern: bytes | None) -> Push:
        """Let a session listen no more to the channels that match."""
        if pattern is not None and pattern in session.patterns:
            del session.patterns[pattern]
            self._leave_pattern(pattern, session)
        return _confirmation(b"punsubscribe", pattern, session)

    def leave_all(self, session: Session) -> None:
        """Forget a session."""
        for channel in session.channels:
            _leave(self._listeners, channel, session)
        for channel in session.shard_channels:
            _leave(self._shard_listeners, channel, session)
        for pattern in session.patterns:
            self._leave_pattern(pattern, session)
        session.channels.clear()
        session.shard_channels.clear()
        session.patterns.clear()

    def _add_pattern(self, pattern: bytes) -> _Pattern:
        added = self._patterns[pattern] = _Pattern(pattern)
        group = self._groups.setdefault(added.prefix, {})
        if not group:
            self._lengths[len(added.prefix)] += 1
        group[pattern] = added
        return added

    def _leave_pattern(self, pattern: bytes, session: Session) -> None:
        left = self._patterns[pattern]
        del left.sessions[session]
        if left.sessions:
            return
        del self._patterns[pattern]
        group = self._groups[left.prefix]
        del group[pattern]
        if group:
            return
        del self._groups[left.prefix]
        length = len(left.prefix)
        self._lengths[length] -= 1
        if not self._lengths[length]:
            del self._lengths[length]

    # -- messages

    def publish(self, channel: bytes, message: bytes) -> int:
        """Deliver a message. Returns how many times it was delivered."""
        listeners = self._listeners.get(channel, ())
        for session in listeners:
            session.deliver(Push([b"message", channel, message]))
        count = len(listeners)
        for length in self._lengths:
            group = self._groups.get(channel[:length])
            # A channel shorter than that is its own beginning.
            if group is not None and length <= len(channel):
                count += _publish_to_patterns(group, channel, message)
        return count

    def publish_to_shard(self, channel: bytes, message: bytes) -> int:
        """Deliver a message of a sharded channel. Returns how often it was delivered."""
        listeners = self._shard_listeners.get(channel, ())
        for session in listeners:
            session.deliver(Push([b"smessage", channel, message]))
        return len(listeners)

    # -- who listens

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens to any channel, sharded ones aside."""
        return bool(self._listeners or self._patterns)

    def active(self, matches: Callable[[bytes], object]) -> list[bytes]:
        """The channels that match and have listeners."""
        return [channel for channel in self._listeners if matches(channel)]

    def active_shards(self, matches: Callable[[bytes], object]) -> list[bytes]:
        """The sharded channels that match and have listeners."""
        return [channel for channel in self._shard_listeners if matches(channel)]

    def listener_count(self, channel: bytes) -> int:
        """How many sessions listen to a channel, patterns aside."""
        return len(self._listeners.get(channel, ()))

    def shard_listener_count(self, channel: bytes) -> int:
        """How many sessions listen to a sharded channel."""
        return len(self._shard_listeners.get(channel, ()))

    @property
    def channel_count(self) -> int:
        """How many channels have listeners."""
        return len(self._listeners)

    @property
    def shard_channel_count(self) -> int:
        """How many sharded channels have listeners."""
        return len(self._shard_listeners)

    @property
    def pattern_count(self) -> int:
        """How many patterns have listeners."""
        return len(self._patterns)


class _Pattern:
    """A pattern that somebody listens to: how it matches, and who listens.

    `matches` is None if a channel that begins with `prefix` matches anyway.
    """

    __slots__ = ("matches", "prefix", "sessions")

    def __init__(self, pattern: bytes) -> None:
        self.prefix = _text_before_special(pattern)
        self.matches = (
            None if pattern[len(self.prefix) :] == b"*" else compile_glob(pattern)
        )
        self.sessions: dict[Session, None] = {}


def _text_before_special(pattern: bytes) -> bytes:
    for at, byte in enumerate(pattern):
        if byte in _SPECIAL:
            return pattern[:at]
    return pattern


def _publish_to_patterns(
    group: dict[bytes, _Pattern], channel: bytes, message: bytes
) -> int:
    count = 0
    for pattern, known in group.items():
        if known.matches is None or known.matches(channel):
            for session in known.sessions:
                session.deliver(Push([b"pmessage", pattern, channel, message]))
            count += len(known.sessions)
    return count


def _confirmation(kind: bytes, name: bytes | None, session: Session) -> Push:
    return Push([kind, name, len(session.channels) + len(session.patterns)])


def _leave(table: Listeners, name: bytes | None, session: Session) -> None:
    if name is None:
        return
    sessions = table[name]
    del sessions[session]
    if not sessions:
        del table[name]
