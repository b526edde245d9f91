"""CLIENT PAUSE: clients that are held back, and served afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, NO_REPLY, NULL_ARRAY, QUEUED
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

Wired = Callable[[], WiredClient]


@pytest.fixture
def wired(engine: Engine) -> Wired:
    """Opens clients that have connections."""
    return lambda: WiredClient(engine)


@pytest.fixture
def one(wired: Wired) -> WiredClient:
    return wired()


@pytest.fixture
def other(wired: Wired) -> WiredClient:
    return wired()


def test_everything_waits_for_the_end(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    assert one("CLIENT PAUSE 100") == b"OK"
    assert other("PING") is BLOCKED
    assert one("PING") is BLOCKED
    assert engine.next_wait_deadline_ms() == clock.now_ms + 100
    clock.advance(99)
    engine.expire_waits()
    assert other.delivered == []
    clock.advance(1)
    engine.expire_waits()
    assert (one.delivered, other.delivered) == ([b"PONG"], [b"PONG"])
    assert engine.next_wait_deadline_ms() is None
    assert other("PING") == b"PONG"


def test_who_came_first_is_served_first(
    engine: Engine, clock: Clock, one: WiredClient, wired: Wired
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    clients = [wired() for _ in range(5)]
    for client in clients:
        assert client("INCR n") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert [client.delivered for client in clients] == [[1], [2], [3], [4], [5]]


@pytest.mark.parametrize(
    "line",
    [
        "SET k v",
        "DEL k",
        "GETEX k",
        "FLUSHALL",
        "BLPOP l 1",
        "PUBLISH c m",
        "SPUBLISH c m",
        "EVAL return(1) 0",
        "FCALL f 0",
        "SORT k STORE j",
    ],
)
def test_what_may_write_waits(one: WiredClient, other: WiredClient, line: str) -> None:
    one("CLIENT PAUSE 100 WRITE")
    assert other(line) is BLOCKED


@pytest.mark.parametrize(
    "line", ["GET k", "PING", "MULTI", "SELECT 1", "SUBSCRIBE c", "SORT_RO k", "WATCH k"]
)
def test_what_only_reads_does_not_wait_for_writers(
    one: WiredClient, other: WiredClient, line: str
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    assert other(line) is not BLOCKED


def test_scripts_that_say_they_only_read_do_not_wait(
    one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    assert other("EVAL", "#!lua flags=no-writes\nreturn 1", 0) == 1
    assert other("EVAL", "#!lua\nreturn 1", 0) is BLOCKED


def test_nor_do_those_that_are_known_by_name(one: WiredClient, other: WiredClient) -> None:
    sha = other("SCRIPT LOAD", "#!lua flags=no-writes\nreturn 1").decode()
    functions = """#!lua name=mine
        redis.register_function{
            function_name='reads', callback=function() return 1 end, flags={'no-writes'}}
        redis.register_function('writes', function() return 1 end)"""
    other("FUNCTION LOAD", functions)
    one("CLIENT PAUSE 100 WRITE")
    assert other(f"EVALSHA {sha} 0") == 1
    assert other("FCALL reads 0") == 1
    assert other("FCALL writes 0") is BLOCKED


@pytest.mark.parametrize("line", ["NOSUCH x", "GET", "CLIENT NOSUCH"])
def test_nonsense_is_refused_at_once(
    one: WiredClient, other: WiredClient, line: str
) -> None:
    one("CLIENT PAUSE 100")
    assert other.refusal(line).startswith("ERR")


def test_a_transaction_that_writes_waits_as_a_whole(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    other("MULTI")
    other("SET k v")
    one("CLIENT PAUSE 100 WRITE")
    assert other("EXEC") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert other.delivered == [[b"OK"]]


def test_a_command_that_was_to_be_queued_is_queued_afterwards(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    other("MULTI")
    assert other("SET k v") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert other.delivered == [QUEUED]
    assert other("EXEC") == [b"OK"]


def test_a_pause_can_be_ended(one: WiredClient, other: WiredClient) -> None:
    one("CLIENT PAUSE 100 WRITE")
    assert other("SET k v") is BLOCKED
    assert one("CLIENT UNPAUSE") == b"OK"
    assert other.delivered == [b"OK"]
    assert one("GET k") == b"v"
    assert one("CLIENT UNPAUSE") == b"OK"


def test_nobody_comes_between_the_commands_of_the_transaction_that_ends_it(
    one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    one("MULTI")
    one("CLIENT UNPAUSE")
    one("GET k")
    assert other("SET k v") is BLOCKED
    assert one("EXEC") == [b"OK", None]
    assert other.delivered == [b"OK"]


@pytest.mark.parametrize(
    ("pauses", "ends_after", "holds_reads"),
    [
        (["300 WRITE", "100 WRITE"], 300, False),
        (["100 WRITE", "300 WRITE"], 300, False),
        (["300 WRITE", "100 ALL"], 300, True),
        (["300 WRITE", "0 WRITE"], 300, False),
    ],
)
def test_of_two_pauses_the_longer_and_stricter_counts(
    engine: Engine,
    clock: Clock,
    wired: Wired,
    pauses: list[str],
    ends_after: int,
    holds_reads: bool,
) -> None:
    for words in pauses:
        wired()(f"CLIENT PAUSE {words}")
    assert engine.next_wait_deadline_ms() == clock.now_ms + ends_after
    assert (wired()("GET k") is BLOCKED) == holds_reads


def test_the_next_command_ends_a_pause_whose_time_is_over(
    clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    other("INCR n")
    clock.advance(100)
    assert one("INCR n") == 2
    assert other.delivered == [1]


def test_the_cron_ends_a_pause_that_nobody_notices(
    engine: Engine, clock: Clock, one: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    clock.advance(100)
    engine.cron()
    assert engine.pause is None
    assert not engine.is_watchful


def test_those_held_back_count_as_blocked(one: WiredClient, other: WiredClient) -> None:
    one("CLIENT PAUSE 100 WRITE")
    other("SET k v")
    assert b"blocked_clients:1" in one("INFO clients")
    assert one(f"CLIENT UNBLOCK {other.session.id}") == 0


def test_one_who_has_gone_is_not_served(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    other("SET k v")
    engine.close_session(other.session)
    clock.advance(100)
    assert one("GET k") is None
    assert other.delivered == []


def test_a_blocked_client_is_served_when_the_pause_is_over(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient, wired: Wired
) -> None:
    waiting = wired()
    waiting("BLPOP l 0")
    one("CLIENT PAUSE 100 WRITE")
    other("RPUSH l item")
    assert waiting.delivered == []
    clock.advance(100)
    engine.expire_waits()
    assert waiting.delivered == [[b"l", b"item"]]


def test_a_postponed_command_may_block_in_its_turn(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("CLIENT PAUSE 100 WRITE")
    assert other("BLPOP l 0") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert other.delivered == []
    one("RPUSH l item")
    assert other.delivered == [[b"l", b"item"]]


def test_a_blocked_client_times_out_meanwhile(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    other("BLPOP l 0.05")
    one("CLIENT PAUSE 100 WRITE")
    clock.advance(50)
    engine.expire_waits()
    assert other.delivered == [NULL_ARRAY]


def test_a_reply_to_be_skipped_is_skipped_afterwards(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    other("CLIENT REPLY SKIP")
    one("CLIENT PAUSE 100 WRITE")
    assert other("SET k v") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert other.delivered == [NO_REPLY]
    assert other("GET k") == b"v"


# Keys stay as they are.


def test_no_key_is_seen_to_expire_but_none_is_seen_that_is_over(
    engine: Engine, clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("SET k v PX 50")
    one("SET j v PX 50")
    used = engine.used_bytes
    one("CLIENT PAUSE 500 WRITE")
    clock.advance(400)
    engine.cron()
    assert other("GET k") is None
    assert other("EXISTS k j") == 0
    assert other("KEYS *") == []
    assert engine.expired_keys == 0
    assert engine.used_bytes == used
    clock.advance(100)
    engine.expire_waits()
    assert engine.expired_keys == 2
    assert engine.used_bytes < used


def test_effects_and_events_of_expiry_come_after_the_pause(
    engine: Engine,
    clock: Clock,
    one: WiredClient,
    other: WiredClient,
    effects: list[tuple[int, list[bytes]]],
) -> None:
    one("CONFIG SET notify-keyspace-events Ex")
    listener = other
    listener("PSUBSCRIBE *")
    one("SET k v PX 50")
    effects.clear()
    one("CLIENT PAUSE 100 WRITE")
    clock.advance(50)
    assert one("GET k") is None
    assert (effects, listener.delivered) == ([], [])
    one("CLIENT UNPAUSE")
    assert effects == [(0, [b"DEL", b"k"])]
    assert [push[2:] for push in listener.delivered] == [[b"__keyevent@0__:expired", b"k"]]


def test_a_watched_key_whose_time_comes_is_seen_as_changed(
    clock: Clock, one: WiredClient, other: WiredClient
) -> None:
    one("SET k v PX 50")
    other("WATCH k")
    one("CLIENT PAUSE 100 WRITE")
    clock.advance(50)
    other("MULTI")
    assert other("EXEC") is NULL_ARRAY


def test_no_key_is_evicted(engine: Engine, one: WiredClient) -> None:
    one("SET k v")
    one("CONFIG SET maxmemory-policy allkeys-lru")
    one("CLIENT PAUSE 100 WRITE")
    one("CONFIG SET maxmemory 1")
    assert one("GET k") == b"v"
    one("CLIENT UNPAUSE")
    engine.cron()
    assert one("DBSIZE") == 0


# The command.


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("x", "ERR timeout is not an integer or out of range"),
        ("1.5", "ERR timeout is not an integer or out of range"),
        ("-1", "ERR timeout is negative"),
        ("1 FOO", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        (
            "1 ALL x",
            "ERR unknown subcommand or wrong number of arguments for 'PAUSE'."
            " Try CLIENT HELP.",
        ),
    ],
)
def test_refusals(one: WiredClient, words: str, text: str) -> None:
    assert one.refusal(f"CLIENT PAUSE {words}") == text


def test_a_pause_may_be_as_long_as_can_be(one: WiredClient, other: WiredClient) -> None:
    assert one("CLIENT PAUSE 9223372036854775807 WRITE") == b"OK"
    assert other("SET k v") is BLOCKED


def test_an_engine_without_connections_cannot_pause(client: Client) -> None:
    assert "no connections" in client.refusal("CLIENT PAUSE 10")
