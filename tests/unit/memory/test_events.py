"""Keyspace notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate.commands import COMMANDS
from sharedstate_memory.events import CLASSES, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

    Connect = Callable[[], Client]


def listen(connect: Connect, wanted: str) -> Client:
    """A client that hears every message, once notifications are switched on."""
    listener = connect()
    listener(f"CONFIG SET notify-keyspace-events {wanted}")
    listener("PSUBSCRIBE *")
    return listener


def heard(listener: Client) -> list[str]:
    """The messages so far, as `channel message`, and forgets them."""
    lines = [f"{push[2].decode()} {push[3].decode()}" for push in listener.delivered]
    listener.delivered.clear()
    return lines


def test_a_change_is_told_by_key_and_by_event(client: Client, connect: Connect) -> None:
    listener = listen(connect, "KEA")
    client("SET k v")
    assert heard(listener) == ["__keyspace@0__:k set", "__keyevent@0__:set k"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("K$", ["__keyspace@0__:k set"]),
        ("E$", ["__keyevent@0__:set k"]),
        ("Eg", ["__keyevent@0__:expire k"]),
        ("El", []),
        ("A", []),
        ("KE", []),
    ],
)
def test_only_what_is_wanted_is_told(
    client: Client, connect: Connect, wanted: str, expected: list[str]
) -> None:
    listener = listen(connect, wanted)
    client("SET k v EX 100")
    assert heard(listener) == expected


def test_nobody_notes_anything_while_nothing_is_wanted(
    engine: Engine, client: Client
) -> None:
    client("CONFIG SET notify-keyspace-events KEA")
    assert engine.events is not None
    assert engine.databases[3].attentive
    client("CONFIG SET", "notify-keyspace-events", "")
    assert engine.events is None
    assert not engine.databases[3].attentive


def test_the_database_is_named(client: Client, connect: Connect) -> None:
    listener = listen(connect, "EA")
    client("SELECT 5")
    client("SET k v")
    assert heard(listener) == ["__keyevent@5__:set k"]


def test_a_transaction_s_commands_have_events_of_their_own(
    client: Client, connect: Connect
) -> None:
    listener = listen(connect, "EA")
    for line in ("MULTI", "INCR n", "LPUSH l x", "DEL n", "EXEC"):
        client(line)
    assert heard(listener) == [
        "__keyevent@0__:incrby n",
        "__keyevent@0__:lpush l",
        "__keyevent@0__:del n",
    ]


def test_a_script_s_commands_have_events_of_their_own(
    client: Client, connect: Connect
) -> None:
    listener = listen(connect, "EA")
    script = "redis.call('setnx', KEYS[1], 1) redis.call('incr', KEYS[1])"
    client("EVAL", script, 1, "k")
    assert heard(listener) == ["__keyevent@0__:set k", "__keyevent@0__:incrby k"]


def test_a_key_that_expires_is_told_of(
    client: Client, connect: Connect, engine: Engine, clock: Clock
) -> None:
    listener = listen(connect, "Ex")
    client("SET read v PX 10")
    client("SET forgotten v PX 10")
    clock.advance(10)
    client("GET read")
    assert heard(listener) == ["__keyevent@0__:expired read"]
    clock.advance(1000)
    engine.cron()
    assert heard(listener) == ["__keyevent@0__:expired forgotten"]


def test_new_keys_and_misses_are_told_of_if_asked_for(
    client: Client, connect: Connect
) -> None:
    listener = listen(connect, "Enm")
    client("GET k")
    client("SET k v")
    client("SET k w")
    assert heard(listener) == ["__keyevent@0__:keymiss k", "__keyevent@0__:new k"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("BLPOP l 0", ["rpush l", "lpop l", "del l"]),
        ("BRPOP l 0", ["rpush l", "rpop l", "del l"]),
        ("BLMOVE l m LEFT RIGHT 0", ["rpush l", "rpush m", "lpop l", "del l"]),
        ("BRPOPLPUSH l m 0", ["rpush l", "lpush m", "rpop l", "del l"]),
        ("BLMPOP 0 1 l LEFT", ["rpush l", "lpop l", "del l"]),
    ],
)
def test_serving_a_blocked_client_is_told_of(
    client: Client, connect: Connect, line: str, expected: list[str]
) -> None:
    listener = listen(connect, "EA")
    connect()(line)
    client("RPUSH l item")
    assert heard(listener) == [f"__keyevent@0__:{event}" for event in expected]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("BZPOPMIN z 0", "zpopmin"),
        ("BZPOPMAX z 0", "zpopmax"),
        ("BZMPOP 0 1 z MAX", "zpopmax"),
    ],
)
def test_serving_a_blocked_client_from_a_sorted_set_is_told_of(
    client: Client, connect: Connect, line: str, event: str
) -> None:
    listener = listen(connect, "EA")
    connect()(line)
    client("ZADD z 1 m")
    names = [line.split(":")[1] for line in heard(listener)]
    assert names == ["zadd z", f"{event} z", "del z"]


def test_messages_of_a_command_that_fails_half_way_come_all_the_same(
    client: Client, connect: Connect
) -> None:
    listener = listen(connect, "EA")
    client("SET a 1")
    script = "redis.call('incr', KEYS[1]) error('over')"
    client.refusal("EVAL", script, 1, "a")
    assert heard(listener) == ["__keyevent@0__:set a", "__keyevent@0__:incrby a"]


def test_every_event_has_a_class() -> None:
    # What these have is told by the handler, which names it.
    own_events = (
        "GETDEL GETEX LMOVE RPOPLPUSH BLMOVE BRPOPLPUSH LMPOP BLMPOP ZMPOP BZMPOP SMOVE"
        " DEL UNLINK EXPIREAT PEXPIRE PEXPIREAT RENAME RENAMENX MOVE FLUSHALL FLUSHDB"
        " SWAPDB"
    )
    writing = {name for name, spec in COMMANDS.items() if "write" in spec.flags}
    writing.difference_update(own_events.split())
    assert not {name for name in writing if event_of(name.encode()) not in CLASSES}
