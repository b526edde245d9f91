"""Effects: what a log or a replica gets is the outcome, not the call."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_memory.sorted_set import SortedSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.memory.conftest import Client, Clock

    Effects = list[tuple[int, list[bytes]]]


def texts(effects: Effects) -> list[str]:
    """What was noted since the last look."""
    lines = [b" ".join(argv).decode() for _, argv in effects]
    effects.clear()
    return lines


@pytest.mark.parametrize(
    ("before", "line", "effect"),
    [
        ("", "SET k v", "SET k v"),
        ("", "SET k v EX 10", "SET k v PXAT 1700000010000"),
        ("", "SET k v NX GET", "SET k v"),
        ("SET k 1", "SET k v KEEPTTL", "SET k v KEEPTTL"),
        ("", "SETEX k 10 v", "SET k v PXAT 1700000010000"),
        ("SET k v", "GETSET k w", "SET k w"),
        ("SET k v", "GETDEL k", "DEL k"),
        ("SET k v", "GETEX k PX 1", "PEXPIREAT k 1700000000001"),
        ("SET k v EX 9", "GETEX k PERSIST", "PERSIST k"),
        ("SET k v", "EXPIRE k 10", "PEXPIREAT k 1700000010000"),
        ("SET k v", "EXPIRE k -1", "DEL k"),
        ("SET f 0.1", "INCRBYFLOAT f 0.2", "SET f 0.3 KEEPTTL"),
        ("HSET h f 0.1", "HINCRBYFLOAT h f 0.2", "HSET h f 0.3"),
        ("SADD s a", "SPOP s", "SREM s a"),
        ("RPUSH l a", "BLPOP l 0", "LPOP l"),
        ("RPUSH l a", "BRPOPLPUSH l m 0", "LMOVE l m RIGHT LEFT"),
        ("ZADD z 1 m", "BZPOPMAX z 0", "ZPOPMAX z"),
        ("", "INCR n", "INCR n"),
        ("", "FLUSHALL", "FLUSHALL"),
    ],
)
def test_effects_are_deterministic(
    client: Client, effects: Effects, before: str, line: str, effect: str
) -> None:
    if before:
        client(before)
    effects.clear()
    client(line)
    assert texts(effects) == [effect]


@pytest.mark.parametrize(
    "line",
    [
        "GET k",
        "DEL none",
        "SET k v NX",
        "EXPIRE none 1",
        "SADD s a",
        "SREM s x",
        "HDEL h x",
        "LPUSHX none a",
        "INCR k",
        "PERSIST k",
        "ZADD z 1 m",
        "BLPOP none 1",
        "NOSUCH",
    ],
)
def test_what_changes_nothing_has_no_effect(
    client: Client, effects: Effects, line: str
) -> None:
    for made in ("SET k text", "SADD s a", "ZADD z 1 m", "HSET h f v"):
        client(made)
    effects.clear()
    client(line)
    assert texts(effects) == []


@pytest.mark.parametrize("line", ["GETEX k PERSIST", "HEXPIRE h 0 XX FIELDS 1 f"])
def test_what_changed_nothing_stands_for_no_later_command(
    client: Client, effects: Effects, line: str
) -> None:
    for made in ("SET k v", "HSET h f v"):
        client(made)
    effects.clear()
    client(line)
    client("SET other v")
    assert texts(effects) == ["SET other v"]


def test_what_is_sorted_alike_is_stored_in_an_order_of_its_own(client: Client) -> None:
    members = [f"m{number}" for number in range(100)]
    client("SADD s", *members)
    client("SORT s BY none_* ALPHA STORE l")
    assert [*client("LRANGE l 0 -1")] == sorted(member.encode() for member in members)


def test_keys_made_for_debugging_are_effects_as_any_others(
    client: Client, effects: Effects
) -> None:
    client.engine.settings.load("enable-debug-command", ["yes"])
    client("DEBUG POPULATE 2")
    expected = ["MULTI", "SET key:0 value:0", "SET key:1 value:1", "EXEC"]
    assert texts(effects) == expected


def test_messages_are_for_those_who_want_them(client: Client, effects: Effects) -> None:
    client("PUBLISH c m")
    assert texts(effects) == ["PUBLISH c m"]
    assert client.engine.effects is not None
    client.engine.effects.wants_messages = False
    client("PUBLISH c m")
    for line in ("MULTI", "SPUBLISH c m", "SET k v", "EXEC"):
        client(line)
    assert texts(effects) == ["SET k v"]


def test_who_waits_elsewhere_is_served_by_a_transaction_that_is_logged(
    client: Client, effects: Effects, connect: Callable[[], Client]
) -> None:
    waiting = connect()
    waiting("SELECT 1")
    waiting("BLPOP l 0")
    for line in ("MULTI", "SET a 1", "SELECT 1", "RPUSH l x", "SELECT 0", "SET a 2"):
        client(line)
    client("EXEC")
    assert waiting.delivered == [[b"l", b"x"]]
    assert texts(effects)[-1] == "LPOP l"


def test_an_expired_key_is_deleted_before_the_command_that_found_it(
    client: Client, effects: Effects, clock: Clock
) -> None:
    client("SET k v PX 10")
    client("SET j v PX 10")
    effects.clear()
    clock.advance(10)
    client("GET k")
    assert texts(effects) == ["DEL k"]
    client("LPUSH j a")
    assert texts(effects) == ["MULTI", "DEL j", "LPUSH j a", "EXEC"]


def test_the_cron_deletes_one_by_one(
    client: Client, effects: Effects, clock: Clock
) -> None:
    client("SET k v PX 10")
    client("SET j v PX 10")
    effects.clear()
    clock.advance(10_000)
    client.engine.cron()
    assert sorted(texts(effects)) == ["DEL j", "DEL k"]


def test_a_transaction_stays_together(client: Client, effects: Effects) -> None:
    client("MULTI")
    client("SET a 1")
    client("GET a")
    client("INCR n")
    client("SADD s x")
    client("SPOP s")
    client("EXEC")
    expected = ["MULTI", "SET a 1", "INCR n", "SADD s x", "SREM s x", "EXEC"]
    assert texts(effects) == expected


def test_a_transaction_with_one_change_needs_no_wrapping(
    client: Client, effects: Effects
) -> None:
    client("MULTI")
    client("GET a")
    client("SET a 1")
    client("EXEC")
    assert texts(effects) == ["SET a 1"]


def test_a_served_waiter_follows_the_push_that_served_it(
    client: Client, effects: Effects, connect: Callable[[], Client]
) -> None:
    connect()("BLPOP l 0")
    client("RPUSH l a b")
    assert texts(effects) == ["RPUSH l a b", "LPOP l"]


def test_effects_name_their_database(client: Client, effects: Effects) -> None:
    client("SELECT 5")
    client("SET k v")
    assert effects == [(5, [b"SET", b"k", b"v"])]


def test_nobody_is_told_once_nobody_listens(client: Client, effects: Effects) -> None:
    client.engine.on_effect = None
    client("SET k v")
    assert effects == []
    assert not client.session.db.attentive


keys = st.sampled_from(["a", "b"])
commands = st.one_of(
    st.builds("SADD {} {}".format, keys, st.integers(0, 5)),
    st.builds("SPOP {} {}".format, keys, st.integers(0, 3)),
    st.builds("SET {} {} PX {}".format, keys, st.integers(0, 9), st.integers(1, 50)),
    st.builds("PEXPIRE {} {}".format, keys, st.integers(-5, 50)),
    st.builds("INCRBYFLOAT {} 0.{}".format, keys, st.integers(0, 9)),
    st.builds("RPUSH {} {}".format, keys, st.integers(0, 9)),
    st.builds("LMOVE {} {} LEFT RIGHT".format, keys, keys),
    st.builds("RENAME {} {}".format, keys, keys),
    st.builds("ZADD {} INCR 0.1 m".format, keys),
    st.builds("DEL {}".format, keys),
    st.just("MULTI"),
    st.just("EXEC"),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(commands, st.integers(0, 20)), max_size=40))
def test_replayed_effects_give_the_same_data(steps: list[tuple[str, int]]) -> None:
    now_ms = 1_700_000_000_000
    original = Engine(clock_ms=lambda: now_ms, random=Random(1))
    # The copy's clock stands still: only the effects tell it what expired.
    copy = Engine(clock_ms=lambda: 0, random=Random(2))
    replay = copy.open_session(lambda reply: None).execute

    def repeat(database: int, argv: list[bytes]) -> None:
        replay(argv)

    original.on_effect = repeat
    run: Any = original.open_session(lambda reply: None).execute
    for line, pause_ms in steps:
        run([word.encode() for word in line.split()])
        now_ms += pause_ms
    run([b"DISCARD"])
    assert _contents(copy) == _contents(original)


def _contents(engine: Engine) -> dict[bytes, object]:
    db = engine.databases[0]
    return {key: (_plain(value), db.deadlines.get(key)) for key, value in db.data.items()}


def _plain(value: object) -> object:
    return value.scores() if isinstance(value, SortedSet) else value
