"""Keyspace notifications: changes of keys as messages of channels.

The door for change notes what happened to which key while a command runs. When the
command is over, each change is published on the channels that are asked for:

    __keyspace@0__:KEY     with the event as the message
    __keyevent@0__:EVENT   with the key as the message

The setting `notify-keyspace-events` says what is wanted, in letters: `K` and `E` for the
two kinds of channels, and the rest for classes of events. `A` stands for all classes but
two: `m`, a key that was looked for in vain, and `n`, a key that is new. What is wanted in
no channel, or no class of which is wanted, is not wanted at all.

An engine has one of these only while somebody asked for events, so that others pay
nothing.

Source: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.pubsub import Channels

_CHANNELS = frozenset("KE")
_ALL_CLASSES = "g$lshzxetd"

_EVENTS_BY_CLASS = {
    "g": "del expire persist rename_from rename_to move_from move_to copy_to restore",
    "$": "set append incrby incrbyfloat setrange setbit",
    "l": "lpush rpush lpop rpop lset linsert lrem ltrim sortstore",
    "s": "sadd srem spop sinterstore sunionstore sdiffstore",
    "h": "hset hincrby hincrbyfloat hdel hexpire hpersist hexpired",
    "z": "zadd zincr zrem zpopmin zpopmax zremrangebyscore zremrangebyrank"
    " zremrangebylex zunionstore zinterstore zdiffstore zrangestore",
    "x": "expired",
    "e": "evicted",
    "n": "new",
    "m": "keymiss",
}

CLASSES: dict[bytes, str] = {
    event.encode(): letter
    for letter, events in _EVENTS_BY_CLASS.items()
    for event in events.split()
}
"""The class of each event, as a letter."""

_COMMANDS_BY_EVENT = {
    "set": "setex psetex setnx getset mset msetnx bitop",
    "setbit": "bitfield",
    "incrby": "incr decr decrby",
    "lpush": "lpushx",
    "rpush": "rpushx",
    "lpop": "blpop",
    "rpop": "brpop",
    "sortstore": "sort",
    "hset": "hsetnx hmset",
    "hexpire": "hpexpire hexpireat hpexpireat",
    "zincr": "zincrby",
    "zpopmin": "bzpopmin",
    "zpopmax": "bzpopmax",
    "copy_to": "copy",
}

# The others have the event of their own name.
_EVENT_OF_COMMAND: dict[bytes, bytes] = {
    name.encode(): event.encode()
    for event, names in _COMMANDS_BY_EVENT.items()
    for name in names.split()
}


def event_of(name: bytes) -> bytes:
    """The event of a command that has but one, by the command's name in any case."""
    name = name.lower()
    return _EVENT_OF_COMMAND.get(name, name)


def follow_setting(engine: Engine) -> None:
    """Let an engine publish what its setting asks for from now on, or nothing."""
    letters: str = engine.settings["notify-keyspace-events"]
    wanted = frozenset(letters.replace("A", _ALL_CLASSES))
    is_wanted = wanted & _CHANNELS and wanted - _CHANNELS
    engine.events = Events(engine.channels, wanted) if is_wanted else None
    for database in engine.databases:
        database.review_attention()


class Events:
    """The changes of the command that runs now, and how they are published."""

    __slots__ = ("_channels", "_noted", "wanted")

    def __init__(self, channels: Channels, wanted: frozenset[str]) -> None:
        self._channels = channels
        self._noted: list[tuple[int, bytes, bytes | None]] = []
        self.wanted = wanted

    def add(self, database: int, key: bytes, event: bytes | None) -> None:
        """Note an event of a key; None is the event of the command that runs."""
        self._noted.append((database, key, event))

    def end_command(self, argv: list[bytes]) -> None:
        """Publish what was noted while a command ran. What was noted outside of any
        command (no words) has named its events.
        """
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        if not self._channels.has_listeners:
            return
        for database, key, event in noted:
            if event is None:
                event = event_of(argv[0])
            if CLASSES.get(event, "g") in self.wanted:
                self._publish(database, key, event)

    def _publish(self, database: int, key: bytes, event: bytes) -> None:
        publish = self._channels.publish
        if "K" in self.wanted:
            publish(b"__keyspace@%d__:%b" % (database, key), event)
        if "E" in self.wanted:
            publish(b"__keyevent@%d__:%b" % (database, event), key)
