"""Blocking commands: order, time-outs, and what wakes whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, NULL_ARRAY, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

    Connect = Callable[[], Client]


def test_what_is_there_is_taken_at_once(client: Client) -> None:
    client("RPUSH l a b")
    client("ZADD z 1 m")
    assert client("BLPOP none l 0") == [b"l", b"a"]
    assert client("BRPOP l 0") == [b"l", b"b"]
    assert client("BZPOPMIN z 0") == [b"z", b"m", 1.0]


def test_waiters_are_served_first_come_first_served(
    client: Client, connect: Connect
) -> None:
    waiters = [connect() for _ in range(3)]
    for waiter in waiters:
        assert waiter("BLPOP l 0") is BLOCKED
    client("RPUSH l a b")
    assert [waiter.delivered for waiter in waiters] == [
        [[b"l", b"a"]],
        [[b"l", b"b"]],
        [],
    ]
    assert client("EXISTS l") == 0


def test_a_served_client_goes_on_as_before(client: Client, connect: Connect) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    assert waiter.session.blocked
    client("RPUSH l a")
    assert not waiter.session.blocked
    assert waiter("PING") == b"PONG"


def test_a_blocked_session_takes_no_commands(connect: Connect) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    assert "waits for the reply" in waiter.refusal("PING")


def test_a_wait_for_several_keys_ends_with_the_first(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("BRPOP a b a 0")
    client("RPUSH b 1 2")
    client("RPUSH a 3")
    assert waiter.delivered == [[b"b", b"2"]]
    assert client("LRANGE a 0 -1") == [b"3"]


def test_time_outs_come_in_their_order(
    engine: Engine, clock: Clock, connect: Connect
) -> None:
    late, soon, never = connect(), connect(), connect()
    late("BLPOP l 2")
    soon("BLMOVE l m LEFT LEFT 0.5")
    never("BZPOPMAX z 0")
    assert engine.next_wait_deadline_ms() == clock.now_ms + 500
    clock.advance(499)
    engine.expire_waits()
    assert soon.delivered == []
    clock.advance(1)
    engine.expire_waits()
    assert soon.delivered == [NULL_ARRAY]
    assert engine.next_wait_deadline_ms() == clock.now_ms + 1500
    clock.advance(10_000)
    engine.expire_waits()
    assert late.delivered == [NULL_ARRAY]
    assert never.delivered == []
    assert engine.next_wait_deadline_ms() is None


@pytest.mark.parametrize(
    ("timeout", "text"),
    [
        ("-1", "ERR timeout is negative"),
        ("x", "ERR timeout is not a float or out of range"),
        ("inf", "ERR timeout is negative"),
        ("9223372036854000", "ERR timeout is out of range"),
    ],
)
def test_impossible_timeouts_are_refused(client: Client, timeout: str, text: str) -> None:
    assert client.refusal(f"BLPOP l {timeout}") == text


def test_a_tiny_timeout_is_not_for_ever(engine: Engine, client: Client) -> None:
    client("BLPOP l 0.0000001")
    assert engine.next_wait_deadline_ms() is not None


def test_a_transaction_wakes_waiters_when_it_is_over(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    client("MULTI")
    client("RPUSH l a")
    client("RPUSH l b")
    client("LPOP l")
    client("EXEC")
    assert waiter.delivered == [[b"l", b"b"]]


def test_a_transaction_that_takes_back_what_it_pushed_wakes_nobody(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    client("MULTI")
    client("RPUSH l a")
    client("DEL l")
    client("EXEC")
    assert waiter.delivered == []
    assert waiter.session.blocked


def test_nothing_blocks_in_a_transaction(client: Client) -> None:
    client("MULTI")
    client("BLPOP l 0")
    client("BLMOVE l m LEFT LEFT 0")
    client("BZPOPMIN z 0")
    client("WAIT 1 0")
    assert client("EXEC") == [NULL_ARRAY, None, NULL_ARRAY, 0]


def test_moves_wake_the_next_in_a_chain(client: Client, connect: Connect) -> None:
    first, second = connect(), connect()
    first("BLMOVE a b LEFT RIGHT 0")
    second("BLPOP b 0")
    client("RPUSH a x")
    assert first.delivered == [b"x"]
    assert second.delivered == [[b"b", b"x"]]


def test_a_move_to_another_type_fails_and_keeps_the_item(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    client("SET s v")
    waiter("BRPOPLPUSH l s 0")
    client("RPUSH l a")
    assert isinstance(waiter.delivered[0], ErrorReply)
    assert client("LRANGE l 0 -1") == [b"a"]


def test_a_waiter_is_not_served_with_another_type(client: Client, connect: Connect) -> None:
    lists, sets = connect(), connect()
    lists("BLPOP k 0")
    sets("BZPOPMIN k 0")
    client("ZADD k 1 m")
    assert lists.delivered == []
    assert sets.delivered == [[b"k", b"m", 1.0]]


def test_a_renamed_list_serves_who_waits_for_its_new_name(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("BLPOP b 0")
    client("RPUSH a x")
    client("RENAME a b")
    assert waiter.delivered == [[b"b", b"x"]]


def test_a_waiter_of_another_database_is_not_served(
    client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("SELECT 1")
    waiter("BLPOP l 0")
    client("RPUSH l a")
    assert waiter.delivered == []


def test_a_closed_session_loses_no_item(
    engine: Engine, client: Client, connect: Connect
) -> None:
    waiter = connect()
    waiter("BLPOP l 0")
    engine.close_session(waiter.session)
    client("RPUSH l a")
    assert waiter.delivered == []
    assert client("LLEN l") == 1
    assert waiter.refusal("PING") == "ERR the session is closed"


def test_a_wait_can_be_cancelled(engine: Engine, client: Client, connect: Connect) -> None:
    waiter, other = connect(), connect()
    waiter("BLPOP l 0")
    other("BLPOP l 0")
    assert engine.cancel_wait(waiter.session)
    assert not engine.cancel_wait(waiter.session)
    assert waiter.delivered == [NULL_ARRAY]
    assert client(f"CLIENT UNBLOCK {other.session.id} ERROR") == 1
    assert other.delivered[0].text.startswith(b"UNBLOCKED")


def test_served_waits_do_not_pile_up(
    engine: Engine, client: Client, connect: Connect
) -> None:
    waiter = connect()
    for _ in range(1000):
        waiter("BLPOP l 3600")
        client("RPUSH l a")
    assert len(engine.waits._heap) < 100
    assert not engine.databases[0].attentive


def test_wait_is_for_replicas_that_never_come(
    engine: Engine, client: Client, clock: Clock
) -> None:
    assert client("WAIT 0 0") == 0
    assert client("WAIT 1 100") is BLOCKED
    clock.advance(100)
    engine.expire_waits()
    assert client.delivered == [0]
