"""Publishing and subscribing."""

from __future__ import annotations

import sys

from sharedstate_memory.commands.registry import command, run_subcommand, subcommands
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.replies import Many, Push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("SUBSCRIBE")
def subscribe(session: Session, argv: list[bytes]) -> Reply:
    """Listen to channels."""
    channels = session.engine.channels
    return _confirm(session, [channels.subscribe(session, name) for name in argv[1:]])


@command("PSUBSCRIBE")
def subscribe_patterns(session: Session, argv: list[bytes]) -> Reply:
    """Listen to all channels that match a pattern."""
    channels = session.engine.channels
    return _confirm(
        session, [channels.subscribe_pattern(session, name) for name in argv[1:]]
    )


@command("UNSUBSCRIBE")
def unsubscribe(session: Session, argv: list[bytes]) -> Reply:
    """Listen no more to some channels, or to all."""
    channels = session.engine.channels
    names: list[bytes | None] = [*(argv[1:] or session.channels)]
    return _confirm(
        session, [channels.unsubscribe(session, name) for name in names or [None]]
    )


@command("PUNSUBSCRIBE")
def unsubscribe_patterns(session: Session, argv: list[bytes]) -> Reply:
    """Listen no more to the channels of some patterns, or of all."""
    channels = session.engine.channels
    names: list[bytes | None] = [*(argv[1:] or session.patterns)]
    return _confirm(
        session, [channels.unsubscribe_pattern(session, name) for name in names or [None]]
    )


def _confirm(session: Session, confirmations: list[Push]) -> Reply:
    session.rest()
    return confirmations[0] if len(confirmations) == 1 else Many(confirmations)


@command("PUBLISH")
def publish(session: Session, argv: list[bytes]) -> Reply:
    """Send a message to who listens now. Returns how often it was delivered."""
    return session.engine.channels.publish(argv[1], argv[2])


@command("PUBSUB")
def inspect(session: Session, argv: list[bytes]) -> Reply:
    """Who listens to what."""
    return run_subcommand(session, argv, _PUBSUB)


def _active_channels(session: Session, argv: list[bytes]) -> Reply:
    return session.engine.channels.active(compile_glob(argv[2] if argv[2:] else b"*"))


def _listener_counts(session: Session, argv: list[bytes]) -> Reply:
    channels = session.engine.channels
    return [part for name in argv[2:] for part in (name, channels.listener_count(name))]


def _pattern_count(session: Session, argv: list[bytes]) -> Reply:
    return session.engine.channels.pattern_count


_PUBSUB = subcommands(
    "PUBSUB",
    {
        b"CHANNELS": (_active_channels, 2, 3),
        b"NUMSUB": (_listener_counts, 2, sys.maxsize),
        b"NUMPAT": (_pattern_count, 2, 2),
    },
)
