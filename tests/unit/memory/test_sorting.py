"""SORT: by the elements themselves, or by what stands elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

NO_NUMBER = "ERR One or more scores can't be converted into double"


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("", b"1 2 3 10"),
        ("DESC", b"10 3 2 1"),
        ("ALPHA", b"1 10 2 3"),
        ("ALPHA DESC", b"3 2 10 1"),
        ("LIMIT 1 2", b"2 3"),
        ("LIMIT -5 2", b"1 2"),
        ("LIMIT 2 -1", b"3 10"),
        ("LIMIT 9 9", b""),
        ("BY nosort", b"3 1 2 10"),
        ("BY nosort DESC LIMIT 1 2", b"2 1"),
    ],
)
def test_elements_are_sorted(client: Client, options: str, result: bytes) -> None:
    client("RPUSH l 3 1 2 10")
    assert client(f"SORT l {options}") == result.split()
    assert client(f"SORT_RO l {options}") == result.split()


def test_sets_and_sorted_sets_are_sorted_too(client: Client) -> None:
    client("SADD s 3 1 2")
    client("ZADD z 1 c 2 a 3 b")
    assert client("SORT s DESC") == [b"3", b"2", b"1"]
    assert client("SORT z ALPHA") == [b"a", b"b", b"c"]
    assert client("SORT z BY nosort DESC LIMIT 0 2") == [b"b", b"a"]
    assert client("SORT none") == []


def test_equal_numbers_are_in_the_order_of_their_bytes(client: Client) -> None:
    client("RPUSH l 1.0 1 0x1")
    assert client("SORT l") == [b"0x1", b"1", b"1.0"]


def test_sorting_by_other_keys(client: Client) -> None:
    client("RPUSH l a b c")
    client("MSET w_a 3 w_b 1 w_c 2 name_b bee")
    assert client("SORT l BY w_*") == [b"b", b"c", b"a"]
    assert client("SORT l BY w_* GET name_* GET #") == [
        *(b"bee", b"b"),
        *(None, b"c"),
        *(None, b"a"),
    ]


def test_sorting_by_fields(client: Client) -> None:
    client("RPUSH l 1 2 3")
    client("HSET h_1_x price 5 -> y")
    client("HSET h_2_x price 4")
    client("SET h_3_x 1")
    assert client("SORT l BY h_*_x->price") == [b"3", b"2", b"1"]
    assert client("SORT l GET h_*_x->price") == [b"5", b"4", None]
    # An arrow with nothing behind it is part of the key, and so is what has no star.
    client("SET h_1_x-> arrow")
    assert client("SORT l GET h_*_x-> LIMIT 0 1") == [b"arrow"]
    assert client("SORT l GET h_1_x LIMIT 0 1") == [None]


def test_missing_weights_come_first(client: Client) -> None:
    client("RPUSH l b a c")
    client("MSET w_a x w_c", "")
    assert client("SORT l BY w_* ALPHA") == [b"b", b"c", b"a"]
    assert client("SORT l BY w_* ALPHA DESC") == [b"a", b"c", b"b"]


def test_expired_weights_are_missing(client: Client, clock: Clock) -> None:
    client("RPUSH l 1 2")
    client("SET w_1 9 PX 10")
    client("SET w_2 5")
    assert client("SORT l BY w_* GET w_*") == [b"5", b"9"]
    clock.advance(11)
    assert client("SORT l BY w_* GET w_*") == [None, b"5"]


@pytest.mark.parametrize("text", ["x", " ", "1 ", "nan", "1e999", "1_0"])
def test_only_numbers_are_sorted_as_numbers(client: Client, text: str) -> None:
    client("RPUSH l 1", text)
    assert client.refusal("SORT l") == NO_NUMBER
    assert client("SORT l BY nosort") == [b"1", text.encode()]


def test_numbers_are_read_as_c_does(client: Client) -> None:
    client("RPUSH l", " 1", "", "0x10", "inf", "-inf", b"2\0x")
    assert client("SORT l") == [b"-inf", b"", b" 1", b"2\0x", b"0x10", b"inf"]


def test_storing_replaces_whatever_was_there(client: Client, engine: Engine) -> None:
    client("SET to v PX 500")
    client("RPUSH l 2 1 3")
    client("SET w_1 one")
    assert client("SORT l GET w_* GET # STORE to") == 6
    assert client("LRANGE to 0 -1") == [b"one", b"1", b"", b"2", b"", b"3"]
    assert client("PTTL to") == -1
    assert client("SORT l STORE l") == 3
    assert client("LRANGE l 0 -1") == [b"1", b"2", b"3"]
    assert_counted(engine)


def test_storing_nothing_removes_the_target(client: Client) -> None:
    client("RPUSH to x")
    assert client("SORT none STORE to") == 0
    assert client("EXISTS to") == 0


def test_what_is_stored_of_a_set_has_an_order(client: Client) -> None:
    client("SADD s b c a")
    client("SORT s BY nosort STORE to")
    assert client("LRANGE to 0 -1") == [b"a", b"b", b"c"]


def test_refusals(client: Client) -> None:
    client("SET k v")
    assert client.refusal("SORT k").startswith("WRONGTYPE")
    assert client.refusal("SORT l LIMIT 1") == "ERR syntax error"
    assert (
        client.refusal("SORT l LIMIT x 1") == "ERR value is not an integer or out of range"
    )
    assert client.refusal("SORT l BY") == "ERR syntax error"
    assert client.refusal("SORT_RO l STORE to") == "ERR syntax error"


def test_patterns_need_a_user_who_may_read_all_keys(client: Client) -> None:
    client("ACL SETUSER reader on nopass +@all ~l %R~w*")
    client("RPUSH l 1")
    client("AUTH reader x")
    assert client("SORT l BY nosort") == [b"1"]
    text = "ERR {} option of SORT denied due to insufficient ACL permissions."
    assert client.refusal("SORT l BY w*") == text.format("BY")
    assert client.refusal("SORT l GET #") == text.format("GET")
