"""Sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def test_members_are_added_and_removed(client: Client) -> None:
    assert client("SADD s a b a") == 2
    assert client("SADD s b c") == 1
    assert client("SCARD s") == 3
    assert client("SREM s a x") == 1
    assert client("SMEMBERS s") == {b"b", b"c"}
    assert client("SREM s b c") == 2
    assert client("EXISTS s") == 0


def test_membership(client: Client) -> None:
    client("SADD s a")
    assert client("SISMEMBER s a") == 1
    assert client("SMISMEMBER s a b") == [1, 0]
    assert client("SMISMEMBER none a") == [0]


def test_moving_members(client: Client) -> None:
    client("SADD a 1 2")
    assert client("SMOVE a b 1") == 1
    assert client("SMOVE a b 1") == 0
    assert client("SMOVE a a 2") == 1
    assert client("SMEMBERS b") == {b"1"}


@pytest.mark.parametrize(
    ("operation", "result"),
    [("SINTER", b"b"), ("SUNION", b"abcd"), ("SDIFF", b"a")],
)
def test_combining_sets(client: Client, operation: str, result: bytes) -> None:
    client("SADD x a b c")
    client("SADD y b c d")
    client("SADD z b" if operation == "SINTER" else "SADD z c")
    assert b"".join(sorted(client(f"{operation} x y z"))) == result
    assert client(f"{operation}STORE to x y z") == len(result)
    assert b"".join(sorted(client("SMEMBERS to"))) == result


def test_storing_nothing_removes_the_key(client: Client) -> None:
    client("SET to v")
    assert client("SINTERSTORE to none") == 0
    assert client("EXISTS to") == 0


def test_popping_at_random(client: Client) -> None:
    client("SADD s a b c d")
    popped = {client("SPOP s")} | client("SPOP s 2")
    assert len(popped) == 3
    assert client("SPOP s 9") == {b"a", b"b", b"c", b"d"} - popped
    assert client("SPOP s") is None
    assert client("SPOP s 1") == set()
    assert client.refusal("SPOP s -1") == "ERR value is out of range, must be positive"


def test_picking_at_random(client: Client) -> None:
    client("SADD s a b c")
    assert client("SRANDMEMBER s") in {b"a", b"b", b"c"}
    assert len(set(client("SRANDMEMBER s 2"))) == 2
    assert len(client("SRANDMEMBER s -7")) == 7
    assert client("SRANDMEMBER none 3") == []
    assert client("SCARD s") == 3


def test_every_member_is_picked_sometimes(client: Client) -> None:
    client("SADD s a b c")
    picked = {client("SRANDMEMBER s") for _ in range(100)}
    assert picked == {b"a", b"b", b"c"}


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("SINTERCARD 2 x y", 3),
        ("SINTERCARD 2 x y LIMIT 0", 3),
        ("SINTERCARD 2 x y LIMIT 2", 2),
        ("SINTERCARD 3 x y x LIMIT 9", 3),
        ("SINTERCARD 1 x", 4),
        ("SINTERCARD 2 x none", 0),
        ("SINTERCARD 2 none x LIMIT 1", 0),
    ],
)
def test_intersections_are_counted_up_to_a_limit(
    client: Client, line: str, count: int
) -> None:
    client("SADD x a b c d")
    client("SADD y b c d e")
    assert client(line) == count


def test_a_big_set_that_is_emptied_is_freed_in_slices(client: Client) -> None:
    members = [b"%d" % number for number in range(10_000)]
    client.session.execute([b"SADD", b"s", *members])
    before = client.engine.used_bytes
    assert client.session.execute([b"SREM", b"s", *members]) == 10_000
    assert client.engine.used_bytes > before // 2
    assert_counted(client.engine)
    assert client.engine.used_bytes == 0
