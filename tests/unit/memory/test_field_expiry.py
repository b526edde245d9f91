"""Hashes whose fields expire: HEXPIRE and its family, as Redis 7.4 documents them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import NULL_ARRAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

    Connect = Callable[[], Client]
    Effects = list[tuple[int, list[bytes]]]


@pytest.fixture
def hash_client(client: Client) -> Client:
    """A client of an engine that holds the hash `h` with the fields f, g and n."""
    client("HSET h f 1 g 2 n 3")
    return client


def ttls(client: Client, key: str = "h") -> list[int]:
    reply: list[int] = client(f"HPTTL {key} FIELDS 3 f g n")
    return reply


# -- setting and asking


def test_each_field_has_an_answer(hash_client: Client) -> None:
    assert hash_client("HEXPIRE h 10 FIELDS 3 f none g") == [1, -2, 1]
    assert ttls(hash_client) == [10_000, 10_000, -1]
    assert hash_client("HTTL h FIELDS 2 f none") == [10, -2]


def test_four_commands_set_the_same_deadline(hash_client: Client, clock: Clock) -> None:
    at_ms = clock.now_ms + 5000
    for line in (
        "HEXPIRE h 5",
        "HPEXPIRE h 5000",
        f"HEXPIREAT h {at_ms // 1000}",
        f"HPEXPIREAT h {at_ms}",
    ):
        assert hash_client(f"{line} FIELDS 1 f") == [1]
        assert hash_client("HPEXPIRETIME h FIELDS 2 f g") == [at_ms, -1]
        assert hash_client("HEXPIRETIME h FIELDS 1 f") == [at_ms // 1000]
        hash_client("HPERSIST h FIELDS 1 f")


def test_seconds_are_rounded_up(hash_client: Client, clock: Clock) -> None:
    hash_client("HPEXPIRE h 1001 FIELDS 1 f")
    assert hash_client("HTTL h FIELDS 1 f") == [2]
    assert hash_client("HEXPIRETIME h FIELDS 1 f") == [clock.now_ms // 1000 + 2]


@pytest.mark.parametrize(
    "line",
    [
        "HEXPIRE none 10 FIELDS 2 f g",
        "HPEXPIREAT none 1 NX FIELDS 2 f g",
        "HPERSIST none FIELDS 2 f g",
        "HTTL none FIELDS 2 f g",
        "HPEXPIRETIME none FIELDS 2 f g",
    ],
)
def test_a_missing_hash_has_no_fields(client: Client, line: str) -> None:
    assert client(line) == [-2, -2]
    assert client("EXISTS none") == 0


def test_fields_are_made_to_stay(hash_client: Client, clock: Clock) -> None:
    hash_client("HEXPIRE h 10 FIELDS 2 f g")
    assert hash_client("HPERSIST h FIELDS 4 f n none f") == [1, -1, -2, -1]
    clock.advance(10_000)
    assert hash_client("HGETALL h") == {b"f": b"1", b"n": b"3"}


@pytest.mark.parametrize(
    ("old", "condition", "new", "answer"),
    [
        ("", "NX", 10, 1),
        ("10", "NX", 20, 0),
        ("", "XX", 10, 0),
        ("10", "xx", 20, 1),
        ("", "GT", 10, 0),
        ("10", "GT", 20, 1),
        ("10", "GT", 10, 0),
        ("", "LT", 10, 1),
        ("10", "LT", 5, 1),
        ("10", "LT", 10, 0),
    ],
)
def test_conditions(
    hash_client: Client, old: str, condition: str, new: int, answer: int
) -> None:
    if old:
        hash_client(f"HEXPIRE h {old} FIELDS 1 f")
    assert hash_client(f"HEXPIRE h {new} {condition} FIELDS 1 f") == [answer]


def test_conditions_hold_for_each_field_and_mention(hash_client: Client) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    assert hash_client("HEXPIRE h 20 NX FIELDS 3 f g g") == [0, 1, 0]
    assert ttls(hash_client) == [10_000, 20_000, -1]


def test_a_time_that_has_passed_removes_fields(hash_client: Client) -> None:
    assert hash_client("HEXPIRE h 0 FIELDS 3 f f none") == [2, -2, -2]
    assert hash_client("HPEXPIREAT h 1 XX FIELDS 1 g") == [0]
    assert hash_client("HEXPIREAT h 1 FIELDS 2 g n") == [2, 2]
    assert hash_client("EXISTS h") == 0


# -- what is refused


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("HEXPIRE h -1 FIELDS 1 f", "ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h x FIELDS 1 f", "ERR value is not an integer or out of range"),
        ("HEXPIRE h 10 FIELDS 0 f", "ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 10 FIELDS x f", "ERR Parameter `numFields` should be greater than 0"),
        (
            "HEXPIRE h 10 FIELDS 2 f",
            "ERR The `numfields` parameter must match the number of arguments",
        ),
        (
            "HEXPIRE h 10 NX FIELDS 1",
            "ERR The `numfields` parameter must match the number of arguments",
        ),
        (
            "HEXPIRE h 10 NX XX FIELDS 1 f",
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        (
            "HTTL h 1 f g h",
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        ("HPERSIST h FIELDS 0 f", "ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 70368744177664 FIELDS 1 f", "ERR invalid expire time in 'hexpire'"),
        ("hpexpireat h 70368744177664 FIELDS 1 f", "ERR invalid expire time in 'hpexp"),
        ("HEXPIRE h 10 FIELDS 1", "ERR wrong number of arguments for 'hexpire' command"),
        ("HTTL h FIELDS 1", "ERR wrong number of arguments for 'httl' command"),
    ],
)
def test_what_is_wrong_is_refused(hash_client: Client, line: str, text: str) -> None:
    assert hash_client.refusal(line).startswith(text)
    assert ttls(hash_client) == [-1, -1, -1]


def test_the_last_possible_deadline_can_be_set(hash_client: Client) -> None:
    assert hash_client(f"HPEXPIREAT h {2**46 - 1} FIELDS 1 f") == [1]


@pytest.mark.parametrize("name", ["HEXPIRE s 1", "HPERSIST s", "HTTL s", "HPEXPIREAT s 1"])
def test_other_types_are_refused(client: Client, name: str) -> None:
    client("SET s v")
    assert client.refusal(f"{name} FIELDS 1 f").startswith("WRONGTYPE")


# -- who forgets deadlines, and who keeps them


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("HSET h f 9", False),
        ("HSET h f 9 g 9", False),
        ("HMSET h f 9", False),
        ("HINCRBY h f 1", True),
        ("HINCRBYFLOAT h f 0.5", True),
        ("HSETNX h f 9", True),
        ("HDEL h g", True),
        ("HSET h g 9", True),
        ("EXPIRE h 100", True),
        ("PERSIST h", True),
    ],
)
def test_setting_a_field_forgets_its_deadline(
    hash_client: Client, line: str, is_kept: bool
) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    hash_client(line)
    assert hash_client("HTTL h FIELDS 1 f") == [10 if is_kept else -1]


def test_a_field_made_again_has_no_deadline(hash_client: Client, clock: Clock) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    hash_client("HDEL h f")
    hash_client("HSET h f new")
    clock.advance(10_000)
    assert hash_client("HGET h f") == b"new"


@pytest.mark.parametrize("line", ["DEL h", "SET h v", "FLUSHALL"])
def test_a_hash_made_again_has_no_deadlines(hash_client: Client, line: str) -> None:
    hash_client("HEXPIRE h 10 FIELDS 3 f g n")
    hash_client(line)
    hash_client("DEL h")
    hash_client("HSET h f 1 g 2 n 3")
    assert ttls(hash_client) == [-1, -1, -1]


def test_deadlines_go_with_the_hash(hash_client: Client, clock: Clock) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    hash_client("EXPIRE h 20")
    hash_client("RENAME h r")
    hash_client("COPY r c")
    hash_client("MOVE r 1")
    assert ttls(hash_client, "c") == [10_000, -1, -1]
    assert hash_client("TTL c") == 20
    hash_client("SELECT 1")
    assert ttls(hash_client, "r") == [10_000, -1, -1]
    assert hash_client("TTL r") == 20
    clock.advance(10_000)
    assert hash_client("HLEN r") == 2
    hash_client("SELECT 0")
    assert hash_client("HLEN c") == 2


def test_a_copy_shares_no_deadline(hash_client: Client) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    hash_client("COPY h c")
    hash_client("HPERSIST c FIELDS 1 f")
    assert ttls(hash_client) == [10_000, -1, -1]


# -- the hash's own deadline


def test_a_hash_has_its_own_deadline_beside_them(hash_client: Client, clock: Clock) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    assert hash_client("TTL h") == -1
    assert hash_client("EXPIRETIME h") == -1
    assert hash_client("EXPIRE h 100 XX") == 0
    assert hash_client("EXPIRE h 100 NX") == 1
    assert hash_client("TTL h") == 100
    assert hash_client("PERSIST h") == 1
    assert hash_client("PERSIST h") == 0
    hash_client("EXPIRE h 5")
    clock.advance(5000)
    assert hash_client("EXISTS h") == 0


def test_its_own_deadline_outlives_those_of_fields(
    hash_client: Client, clock: Clock
) -> None:
    hash_client("EXPIRE h 100")
    hash_client("HEXPIRE h 10 FIELDS 2 f g")
    clock.advance(10_000)
    assert hash_client("HGETALL h") == {b"n": b"3"}
    assert hash_client("TTL h") == 90
    clock.advance(90_000)
    assert hash_client("EXISTS h") == 0


# -- nobody sees what has expired


@pytest.mark.parametrize(
    "line",
    [
        "HGET h f",
        "HMGET h f g",
        "HGETALL h",
        "HLEN h",
        "HKEYS h",
        "HVALS h",
        "HEXISTS h f",
        "HSTRLEN h f",
        "HSCAN h 0",
        "HRANDFIELD h 10 WITHVALUES",
        "HSETNX h f 2",
        "HINCRBY h f 1",
        "HINCRBYFLOAT h f 1",
        "HDEL h f",
        "HSET h f 2",
        "HTTL h FIELDS 1 f",
        "HPERSIST h FIELDS 1 f",
        "HEXPIRE h 10 FIELDS 1 f",
        "SORT g BY nosort GET h->f",
        "OBJECT ENCODING h",
        "EVAL return{redis.call('hlen','h'),redis.call('hget','h','f')} 0",
    ],
)
def test_no_command_sees_an_expired_field(client: Client, clock: Clock, line: str) -> None:
    client("RPUSH g 1")
    client("HSET h g 2")
    fresh = client(line)
    client("DEL h")
    client("HSET h f 1 g 2")
    client("HPEXPIRE h 10 FIELDS 1 f")
    clock.advance(10)
    assert client(line) == fresh


def test_the_hash_goes_with_its_last_field(
    hash_client: Client, engine: Engine, clock: Clock
) -> None:
    hash_client("HEXPIRE h 10 FIELDS 2 f g")
    hash_client("HEXPIRE h 20 FIELDS 1 n")
    clock.advance(10_000)
    assert hash_client("TYPE h") == b"hash"
    clock.advance(10_000)
    assert hash_client("TYPE h") == b"none"
    assert hash_client("DBSIZE") == 0
    assert engine.databases[0].expired_fields == 3
    assert engine.expired_keys == 0


# -- who is told


def test_watches_see_deadlines_and_expiry(
    hash_client: Client, connect: Connect, clock: Clock
) -> None:
    other = connect()

    def is_broken() -> bool:
        hash_client("MULTI")
        hash_client("PING")
        return hash_client("EXEC") is NULL_ARRAY

    hash_client("WATCH h")
    other("HEXPIRE h 10 FIELDS 1 f")
    assert is_broken()
    hash_client("WATCH h")
    other("HPERSIST h FIELDS 1 g")
    assert not is_broken()
    hash_client("WATCH h")
    clock.advance(10_000)
    assert is_broken()


def test_events(
    hash_client: Client, connect: Connect, clock: Clock, engine: Engine
) -> None:
    listener = connect()
    hash_client("CONFIG SET notify-keyspace-events Kgh")
    listener("PSUBSCRIBE *")

    def events() -> list[bytes]:
        told = [push[3] for push in listener.delivered]
        listener.delivered.clear()
        return told

    hash_client("HPEXPIRE h 10 FIELDS 2 f g")
    hash_client("HPERSIST h FIELDS 1 f")
    assert events() == [b"hexpire", b"hpersist"]
    hash_client("HPEXPIREAT h 1 FIELDS 1 f")
    assert events() == [b"hdel"]
    clock.advance(10)
    hash_client("HLEN h")
    assert events() == [b"hexpired"]
    hash_client("HPEXPIRE h 10 FIELDS 1 n")
    clock.advance(1000)
    engine.cron()
    assert events() == [b"hexpire", b"hexpired", b"del"]
    hash_client("HSET h f 1")
    hash_client("HEXPIRE h 0 FIELDS 1 f")
    hash_client("HEXPIRE h 0 FIELDS 1 f")
    assert events() == [b"hset", b"hdel", b"del"]


def texts(effects: Effects) -> list[str]:
    """What was noted since the last look."""
    lines = [b" ".join(argv).decode() for _, argv in effects]
    effects.clear()
    return lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HEXPIRE h 10 FIELDS 2 n g", ["HPEXPIREAT h 1700000010000 FIELDS 2 n g"]),
        ("HEXPIRE h 9 LT FIELDS 2 f g", ["HPEXPIREAT h 1700000009000 FIELDS 2 f g"]),
        ("HEXPIRE h 10 XX FIELDS 2 f g", ["HPEXPIREAT h 1700000010000 FIELDS 1 f"]),
        ("HEXPIRE h 10 XX FIELDS 1 g", []),
        ("HEXPIRE h 0 FIELDS 2 g none", ["HDEL h g"]),
        ("HPERSIST h FIELDS 1 f", ["HPERSIST h FIELDS 1 f"]),
        ("HPERSIST h FIELDS 1 g", []),
        (
            "HINCRBYFLOAT h f 0.5",
            ["HSET h f 1.5", "HPEXPIREAT h 1700000010000 FIELDS 1 f"],
        ),
        ("HINCRBYFLOAT h g 0.5", ["HSET h g 2.5"]),
        ("HTTL h FIELDS 1 f", []),
    ],
)
def test_effects_name_times_and_no_conditions(
    hash_client: Client, effects: Effects, line: str, expected: list[str]
) -> None:
    hash_client("HEXPIRE h 10 FIELDS 1 f")
    effects.clear()
    hash_client(line)
    told = texts(effects)
    assert [each for each in told if each not in ("MULTI", "EXEC")] == expected


def test_expired_fields_are_deleted_before_the_command_that_found_them(
    hash_client: Client, effects: Effects, clock: Clock
) -> None:
    hash_client("HPEXPIRE h 10 FIELDS 2 f g")
    hash_client("HPEXPIRE h 20 FIELDS 1 n")
    effects.clear()
    clock.advance(10)
    hash_client("HSET h f new")
    assert texts(effects) == ["MULTI", "HDEL h f g", "HSET h f new", "EXEC"]
    clock.advance(10)
    hash_client("HDEL h f")
    assert texts(effects) == ["MULTI", "HDEL h n", "HDEL h f", "EXEC"]
    hash_client("HSET h f 1")
    hash_client("HPEXPIRE h 10 FIELDS 1 f")
    effects.clear()
    clock.advance(10)
    hash_client("HLEN h")
    assert texts(effects) == ["DEL h"]
