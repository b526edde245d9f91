"""MULTI, EXEC and WATCH."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import NULL_ARRAY, ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

    Connect = Callable[[], Client]


def test_queued_commands_run_together(client: Client, connect: Connect) -> None:
    assert client("MULTI") == b"OK"
    assert client("SET k 1") == b"QUEUED"
    assert client("INCR k") == b"QUEUED"
    assert connect()("GET k") is None
    assert client("EXEC") == [b"OK", 2]
    assert client("PING") == b"PONG"


def test_a_command_that_fails_leaves_the_others_done(client: Client) -> None:
    client("MULTI")
    client("SET k text")
    client("INCR k")
    client("SET j 1")
    first, second, third = client("EXEC")
    assert (first, third) == (b"OK", b"OK")
    assert isinstance(second, ErrorReply)


@pytest.mark.parametrize("line", ["NOSUCH x", "GET", "CLIENT NOSUCH", "SHUTDOWN"])
def test_what_cannot_be_queued_spoils_the_transaction(client: Client, line: str) -> None:
    client("MULTI")
    client("SET k 1")
    client.refusal(line)
    assert client.refusal("EXEC").startswith("EXECABORT")
    assert client("GET k") is None


def test_words_out_of_place_are_refused(client: Client) -> None:
    assert client.refusal("EXEC") == "ERR EXEC without MULTI"
    assert client.refusal("DISCARD") == "ERR DISCARD without MULTI"
    client("MULTI")
    assert client.refusal("MULTI") == "ERR MULTI calls can not be nested"
    assert client.refusal("WATCH k") == "ERR WATCH inside MULTI is not allowed"
    assert client("EXEC") == []


def test_discarding(client: Client) -> None:
    client("MULTI")
    client("SET k 1")
    assert client("DISCARD") == b"OK"
    assert client("GET k") is None


@pytest.mark.parametrize(
    "change",
    ["SET k 2", "DEL k", "EXPIRE k 10", "RENAME k j", "FLUSHALL", "APPEND k x"],
)
def test_a_changed_key_stops_the_transaction(
    client: Client, connect: Connect, change: str
) -> None:
    client("SET k 1")
    client("WATCH k")
    connect()(change)
    client("MULTI")
    client("SET seen yes")
    assert client("EXEC") is NULL_ARRAY
    assert client("GET seen") is None


@pytest.mark.parametrize("other", ["SET other 1", "GET k", "DEL none", "FLUSHALL"])
def test_what_does_not_change_the_key_does_not_matter(
    client: Client, connect: Connect, other: str
) -> None:
    client("WATCH k")
    connect()(other)
    client("MULTI")
    assert client("EXEC") == []


def test_a_change_of_ones_own_counts(client: Client) -> None:
    client("WATCH k")
    client("SET k 1")
    client("MULTI")
    assert client("EXEC") is NULL_ARRAY


def test_a_key_that_expires_counts_as_changed(client: Client, clock: Clock) -> None:
    client("SET k 1 PX 10")
    client("WATCH k")
    clock.advance(10)
    client("MULTI")
    assert client("EXEC") is NULL_ARRAY


def test_a_key_expired_before_the_watch_does_not_count(
    client: Client, engine: Engine, clock: Clock
) -> None:
    client("SET k 1 PX 10")
    clock.advance(1000)
    client("WATCH k")
    engine.cron()
    client("MULTI")
    assert client("EXEC") == []


@pytest.mark.parametrize("ending", ["UNWATCH", "DISCARD", "EXEC"])
def test_watches_end(client: Client, connect: Connect, ending: str) -> None:
    client("WATCH k")
    if ending != "UNWATCH":
        client("MULTI")
    client(ending)
    connect()("SET k 1")
    client("MULTI")
    assert client("EXEC") == []


def test_a_watch_is_for_one_database(client: Client, connect: Connect) -> None:
    client("WATCH k")
    other = connect()
    other("SELECT 3")
    other("SET k 1")
    client("MULTI")
    assert client("EXEC") == []


def test_a_closed_session_leaves_no_watch(engine: Engine, client: Client) -> None:
    client("WATCH k")
    assert engine.databases[0].attentive
    engine.close_session(client.session)
    assert not engine.databases[0].attentive
    assert not engine.databases[0].watchers


def test_a_transaction_may_change_the_database(client: Client) -> None:
    client("MULTI")
    client("SELECT 2")
    client("SET k v")
    client("EXEC")
    assert client.session.db.index == 2
    assert client("GET k") == b"v"


HERE, THERE = ["SET k v"], ["SELECT 1", "SET k v", "SELECT 0"]


@pytest.mark.parametrize(
    ("before", "change", "is_broken"),
    [
        ([], "SWAPDB 0 1", False),
        (HERE, "SWAPDB 0 1", True),
        (THERE, "SWAPDB 0 1", True),
        (HERE + THERE, "SWAPDB 1 0", True),
        (HERE, "SWAPDB 1 2", False),
        ([], "FLUSHALL", False),
        (HERE, "FLUSHDB", True),
        (THERE, "FLUSHALL", False),
        (HERE, "MOVE k 1", True),
        (HERE + THERE, "MOVE k 1", False),
        ([], "COPY l k", True),
        ([], "RENAME l k", True),
        (HERE, "PERSIST k", False),
        (HERE, "GETEX k EX 100", True),
        ([], "SORT l STORE k", True),
        (HERE, "EXPIREAT k 1", True),
    ],
)
def test_what_moves_keys_breaks_watches_as_in_redis(
    client: Client, connect: Connect, before: list[str], change: str, is_broken: bool
) -> None:
    other = connect()
    for line in ("RPUSH l 1", *before):
        other(line)
    client("WATCH k")
    other(change)
    client("MULTI")
    assert (client("EXEC") is NULL_ARRAY) == is_broken


def test_eviction_breaks_watches(client: Client, engine: Engine) -> None:
    client("SET k v")
    client("WATCH k")
    engine.databases[0].evict(b"k")
    client("MULTI")
    assert client("EXEC") is NULL_ARRAY


def test_active_expiry_breaks_watches(client: Client, engine: Engine, clock: Clock) -> None:
    client("SET k v PX 10")
    client("WATCH k")
    clock.advance(1000)
    engine.cron()
    assert not engine.databases[0].data
    client("MULTI")
    assert client("EXEC") is NULL_ARRAY


def test_what_is_queued_is_bounded(client: Client) -> None:
    client("MULTI")
    transaction = client.session.transaction
    assert transaction is not None
    transaction.limit_bytes = 1000
    assert client("SET k", "x" * 800) == b"QUEUED"
    assert client.refusal("SET k", "x" * 800).startswith("ERR the transaction is too big")
    assert transaction.commands == []
    assert client.refusal("PING").startswith("ERR the transaction is too big")
    assert client.refusal("EXEC").startswith("EXECABORT")
    assert client("GET k") is None


def test_refused_is_what_is_no_command_of_a_transaction(client: Client) -> None:
    client("MULTI")
    text = client.refusal("SHUTDOWN NOSAVE")
    assert text == "ERR Command not allowed inside a transaction"
    assert client.refusal("EXEC").startswith("EXECABORT")
