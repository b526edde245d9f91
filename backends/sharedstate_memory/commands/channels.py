"""Publishing and subscribing.

A message is an effect of its command: it changes no data, but who follows this engine has
listeners too.
"""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.replies import CommandFailure, Many, Push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("SUBSCRIBE")
def subscribe(session: Session, argv: list[bytes]) -> Reply:
    """Listen to channels."""
    return _each(session, argv[1:], session.engine.channels.subscribe)


@command("PSUBSCRIBE")
def subscribe_patterns(session: Session, argv: list[bytes]) -> Reply:
    """Listen to all channels that match a pattern."""
    return _each(session, argv[1:], session.engine.channels.subscribe_pattern)


@command("SSUBSCRIBE")
def subscribe_shards(session: Session, argv: list[bytes]) -> Reply:
    """Listen to sharded channels."""
    return _each(session, argv[1:], session.engine.channels.subscribe_shard)


@command("UNSUBSCRIBE")
def unsubscribe(session: Session, argv: list[bytes]) -> Reply:
    """Listen no more to some channels, or to all."""
    names: list[bytes | None] = [*(argv[1:] or session.channels)]
    return _each(session, names or [None], session.engine.channels.unsubscribe)


@command("PUNSUBSCRIBE")
def unsubscribe_patterns(session: Session, argv: list[bytes]) -> Reply:
    """Listen no more to the channels of some patterns, or of all."""
    names: list[bytes | None] = [*(argv[1:] or session.patterns)]
    return _each(session, names or [None], session.engine.channels.unsubscribe_pattern)


@command("SUNSUBSCRIBE")
def unsubscribe_shards(session: Session, argv: list[bytes]) -> Reply:
    """Listen no more to some sharded channels, or to all."""
    names: list[bytes | None] = [*(argv[1:] or session.shard_channels)]
    return _each(session, names or [None], session.engine.channels.unsubscribe_shard)


def _each(
    session: Session,
    names: Iterable[bytes | None],
    change: Callable[[Session, bytes], Push] | Callable[[Session, bytes | None], Push],
) -> Reply:
    """Change one subscription after the other, each with a confirmation of its own."""
    confirmations = [change(session, name) for name in names]  # type: ignore[arg-type]
    session.rest()
    return confirmations[0] if len(confirmations) == 1 else Many(confirmations)


@command("PUBLISH")
def publish(session: Session, argv: list[bytes]) -> Reply:
    """Send a message to who listens now. Returns how often it was delivered."""
    _mark_effect(session.engine)
    return session.engine.channels.publish(argv[1], argv[2])


@command("SPUBLISH")
def publish_to_shard(session: Session, argv: list[bytes]) -> Reply:
    """Send a message to who listens to a sharded channel. Returns how many do."""
    _mark_effect(session.engine)
    return session.engine.channels.publish_to_shard(argv[1], argv[2])


def _mark_effect(engine: Engine) -> None:
    effects = engine.effects
    if effects is not None and effects.wants_messages:
        effects.changed = engine.pending = True


@command("PUBSUB|CHANNELS")
def active_channels(session: Session, argv: list[bytes]) -> Reply:
    """The channels that somebody listens to, of those that match a pattern."""
    return session.engine.channels.active(_read_pattern(argv))


@command("PUBSUB|SHARDCHANNELS")
def active_shards(session: Session, argv: list[bytes]) -> Reply:
    """The sharded channels that somebody listens to, of those that match a pattern."""
    return session.engine.channels.active_shards(_read_pattern(argv))


def _read_pattern(argv: list[bytes]) -> Callable[[bytes], object]:
    if len(argv) > 3:
        raise CommandFailure(
            b"ERR unknown subcommand or wrong number of arguments for '%s'. Try PUBSUB"
            b" HELP." % argv[1][:128]
        )
    return compile_glob(argv[2] if argv[2:] else b"*")


@command("PUBSUB|NUMSUB")
def listener_counts(session: Session, argv: list[bytes]) -> Reply:
    """How many listen to each of some channels, patterns aside."""
    count = session.engine.channels.listener_count
    return [part for name in argv[2:] for part in (name, count(name))]


@command("PUBSUB|SHARDNUMSUB")
def shard_listener_counts(session: Session, argv: list[bytes]) -> Reply:
    """How many listen to each of some sharded channels."""
    count = session.engine.channels.shard_listener_count
    return [part for name in argv[2:] for part in (name, count(name))]


@command("PUBSUB|NUMPAT")
def pattern_count(session: Session, argv: list[bytes]) -> Reply:
    """How many patterns are subscribed to."""
    return session.engine.channels.pattern_count
