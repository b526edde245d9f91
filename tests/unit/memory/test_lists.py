"""Lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def test_items_are_pushed_and_popped_at_both_ends(client: Client) -> None:
    assert client("RPUSH l b c") == 2
    assert client("LPUSH l a z") == 4
    assert client("LRANGE l 0 -1") == [b"z", b"a", b"b", b"c"]
    assert client("LPOP l") == b"z"
    assert client("RPOP l") == b"c"
    assert client("LLEN l") == 2


def test_a_new_list_is_pushed_to_one_by_one(client: Client) -> None:
    client("LPUSH l a b c")
    assert client("LRANGE l 0 -1") == [b"c", b"b", b"a"]


def test_conditional_pushes_make_no_list(client: Client) -> None:
    assert client("LPUSHX l a") == 0
    assert client("RPUSHX l a") == 0
    client("RPUSH l a")
    assert client("rpushx l b") == 2
    assert client("LPUSHX l c") == 3


def test_popping_several(client: Client) -> None:
    client("RPUSH l a b c")
    assert client("LPOP l 2") == [b"a", b"b"]
    assert client("RPOP l 9") == [b"c"]
    assert repr(client("RPOP l 9")) == "NULL_ARRAY"
    assert client("LPOP l") is None
    assert client.refusal("LPOP l -1") == "ERR value is out of range, must be positive"
    assert client("EXISTS l") == 0


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [(0, -1, b"abcde"), (1, 3, b"bcd"), (-2, 9, b"de"), (3, 1, b""), (-99, 0, b"a")],
)
def test_ranges(client: Client, start: int, stop: int, found: bytes) -> None:
    client("RPUSH l a b c d e")
    assert b"".join(client("LRANGE l", start, stop)) == found
    client("LTRIM l", start, stop)
    assert b"".join(client("LRANGE l 0 -1")) == found


def test_single_places(client: Client) -> None:
    client("RPUSH l a b c")
    assert client("LINDEX l -1") == b"c"
    assert client("LINDEX l 3") is None
    assert client("LSET l 1 B") == b"OK"
    assert client("LINDEX l 1") == b"B"
    assert client.refusal("LSET l 5 x") == "ERR index out of range"
    assert client.refusal("LSET none 0 x") == "ERR no such key"


@pytest.mark.parametrize(
    ("count", "left"),
    [(0, b"bbb"), (1, b"babba"), (-1, b"ababb"), (2, b"bbba"), (-2, b"abbb"), (9, b"bbb")],
)
def test_removing_equal_items(client: Client, count: int, left: bytes) -> None:
    client("RPUSH l a b a b b a")
    assert client("LREM l", count, "a") == 6 - len(left)
    assert b"".join(client("LRANGE l 0 -1")) == left


def test_inserting_beside_an_item(client: Client) -> None:
    client("RPUSH l a c")
    assert client("LINSERT l BEFORE c b") == 3
    assert client("LINSERT l after c d") == 4
    assert client("LINSERT l AFTER x y") == -1
    assert client("LINSERT none AFTER x y") == 0
    assert client("LRANGE l 0 -1") == [b"a", b"b", b"c", b"d"]


def test_finding_items(client: Client) -> None:
    client("RPUSH l a b c a b a")
    assert client("LPOS l a") == 0
    assert client("LPOS l a RANK 2") == 3
    assert client("LPOS l a RANK -1") == 5
    assert client("LPOS l a COUNT 0") == [0, 3, 5]
    assert client("LPOS l a COUNT 2 RANK -1") == [5, 3]
    assert client("LPOS l a RANK 2 MAXLEN 3") is None
    assert client("LPOS l x") is None
    assert client("LPOS l x COUNT 1") == []
    assert client.refusal("LPOS l a RANK 0").startswith("ERR RANK can't be zero")


def test_moving_between_lists(client: Client) -> None:
    client("RPUSH a 1 2 3")
    assert client("LMOVE a b LEFT RIGHT") == b"1"
    assert client("RPOPLPUSH a b") == b"3"
    assert client("LRANGE b 0 -1") == [b"3", b"1"]
    assert client("LMOVE none b LEFT LEFT") is None
    assert client.refusal("LMOVE a b UP DOWN") == "ERR syntax error"


def test_a_list_of_one_can_be_turned_round(client: Client) -> None:
    client("RPUSH l a")
    assert client("LMOVE l l LEFT RIGHT") == b"a"
    assert client("LRANGE l 0 -1") == [b"a"]


def test_a_move_to_another_type_moves_nothing(client: Client) -> None:
    client("RPUSH l a")
    client("SET s v")
    assert client.refusal("RPOPLPUSH l s").startswith("WRONGTYPE")
    assert client("LLEN l") == 1
