"""Hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def test_fields_are_set_and_counted(client: Client) -> None:
    assert client("HSET h a 1 b 2") == 2
    assert client("HSET h a 3 c 4") == 1
    assert client("HGETALL h") == {b"a": b"3", b"b": b"2", b"c": b"4"}
    assert client("HLEN h") == 3
    assert client("HMSET h a 5") == b"OK"


def test_reading_fields(client: Client) -> None:
    client("HSET h a one b two")
    assert client("HGET h a") == b"one"
    assert client("HGET h x") is None
    assert client("HMGET h b x a") == [b"two", None, b"one"]
    assert client("HKEYS h") == [b"a", b"b"]
    assert client("HVALS h") == [b"one", b"two"]
    assert client("HEXISTS h a") == 1
    assert client("HSTRLEN h a") == 3


def test_a_missing_hash_is_empty(client: Client) -> None:
    assert client("HGETALL h") == {}
    assert client("HGET h f") is None
    assert client("HDEL h f") == 0
    assert client("HRANDFIELD h") is None
    assert client("HRANDFIELD h 3") == []


def test_an_emptied_hash_is_no_key(client: Client) -> None:
    client("HSET h a 1 b 2")
    assert client("HDEL h a b x") == 2
    assert client("EXISTS h") == 0


def test_a_field_is_set_only_once(client: Client) -> None:
    assert client("HSETNX h f 1") == 1
    assert client("HSETNX h f 2") == 0
    assert client("HGET h f") == b"1"


def test_a_field_without_its_value_is_refused(client: Client) -> None:
    text = client.refusal("HSET h a 1 b")
    assert text == "ERR wrong number of arguments for 'hset' command"


def test_counting_in_a_field(client: Client) -> None:
    assert client("HINCRBY h n 5") == 5
    assert client("HINCRBY h n -7") == -2
    assert client("HINCRBYFLOAT h n 0.5") == b"-1.5"
    assert client.refusal("HINCRBY h n 1") == "ERR hash value is not an integer"
    client("HSET h s text")
    assert client.refusal("HINCRBYFLOAT h s 1") == "ERR hash value is not a float"
    assert client.refusal("HINCRBYFLOAT h n inf") == "ERR value is NaN or Infinity"


def test_other_types_are_refused(client: Client) -> None:
    client("SET s v")
    for line in ("HGET s f", "HSET s f v", "HDEL s f", "HGETALL s", "HSCAN s 0"):
        assert client.refusal(line).startswith("WRONGTYPE")


def test_what_was_read_does_not_change_afterwards(client: Client) -> None:
    client("HSET h a 1")
    client("MULTI")
    client("HGETALL h")
    client("HSET h a 2")
    assert client("EXEC")[0] == {b"a": b"1"}


@pytest.mark.parametrize(("count", "length"), [("2", 2), ("9", 3), ("-9", 9), ("0", 0)])
def test_random_fields(client: Client, count: str, length: int) -> None:
    client("HSET h a 1 b 2 c 3")
    fields = client("HRANDFIELD h", count)
    assert len(fields) == length
    assert set(fields) <= {b"a", b"b", b"c"}
    if int(count) > 0:
        assert len(set(fields)) == length


def test_random_fields_with_values_come_in_pairs_in_resp3(client: Client) -> None:
    client("HSET h a 1")
    assert client("HRANDFIELD h 1 WITHVALUES") == [b"a", b"1"]
    client("HELLO 3")
    assert client("HRANDFIELD h 1 WITHVALUES") == [[b"a", b"1"]]


def test_repeated_picks_are_bounded(client: Client) -> None:
    client("HSET h a 1")
    text = client.refusal("HRANDFIELD h -1000000000000")
    assert text == "ERR value is out of range"
