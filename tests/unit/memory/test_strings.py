"""Strings: whole values, parts of them, and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client, Clock

MAX = 2**63 - 1


def test_a_value_comes_back_as_it_was_set(client: Client) -> None:
    assert client("SET k", b"any \x00 bytes") == b"OK"
    assert client("GET k") == b"any \x00 bytes"


def test_a_missing_key_is_null(client: Client) -> None:
    assert client("GET k") is None


def test_command_names_may_be_spelled_in_any_case(client: Client) -> None:
    assert client("sEt k v") == b"OK"
    assert client("get k") == b"v"


def test_reading_another_type_is_refused(client: Client) -> None:
    client("HSET h f v")
    assert client.refusal("GET h").startswith("WRONGTYPE")
    assert client.refusal("INCR h").startswith("WRONGTYPE")


def test_set_overwrites_any_type(client: Client) -> None:
    client("HSET k f v")
    client("SET k v")
    assert client("TYPE k") == b"string"


@pytest.mark.parametrize(("condition", "there", "set_"), [("NX", 0, 1), ("XX", 1, 0)])
def test_set_conditions(client: Client, condition: str, there: int, set_: int) -> None:
    assert (client(f"SET new v {condition}") == b"OK") == bool(set_)
    client("SET old 1")
    assert (client(f"SET old 2 {condition}") == b"OK") == bool(there)


def test_set_with_get_returns_the_old_value_even_if_refused(client: Client) -> None:
    client("SET k old")
    assert client("SET k new NX GET") == b"old"
    assert client("GET k") == b"old"


@pytest.mark.parametrize(
    "options", ["NX XX", "EX 5 PX 5", "EX 5 KEEPTTL", "EX", "WHAT", "KEEPTTL PXAT 5"]
)
def test_set_refuses_options_that_contradict(client: Client, options: str) -> None:
    assert client.refusal(f"SET k v {options}") == "ERR syntax error"


@pytest.mark.parametrize("lifetime", ["EX 0", "PX -1", f"EX {MAX}"])
def test_set_refuses_impossible_lifetimes(client: Client, lifetime: str) -> None:
    text = client.refusal(f"SET k v {lifetime}")
    assert text == "ERR invalid expire time in 'set' command"


def test_set_drops_the_deadline_unless_told_to_keep_it(client: Client) -> None:
    client("SET k v PX 5000")
    client("SET k w KEEPTTL")
    assert client("PTTL k") == 5000
    client("SET k x")
    assert client("PTTL k") == -1


def test_getex_moves_and_clears_the_deadline(client: Client, clock: Clock) -> None:
    client("SET k v")
    assert client("GETEX k EX 10") == b"v"
    assert client("TTL k") == 10
    client("GETEX k PERSIST")
    assert client("TTL k") == -1
    client(f"GETEX k PXAT {clock.now_ms - 1}")
    assert client("EXISTS k") == 0


def test_getdel_and_getset(client: Client) -> None:
    client("SET k v PX 9")
    assert client("GETSET k w") == b"v"
    assert client("PTTL k") == -1
    assert client("GETDEL k") == b"w"
    assert client("GETDEL k") is None


def test_many_at_once(client: Client) -> None:
    client("HSET h f v")
    client("MSET a 1 b 2")
    assert client("MGET a h none b") == [b"1", None, None, b"2"]
    assert client("MSETNX c 3 a 9") == 0
    assert client("EXISTS c") == 0
    assert client.refusal("MSET a 1 b").startswith("ERR wrong number of arguments")


def test_parts_of_values(client: Client) -> None:
    client("APPEND k hello")
    assert client("GETRANGE k 1 -2") == b"ell"
    assert client("GETRANGE k 0 -9") == b"h"
    assert client("GETRANGE k -1 -3") == b""
    assert client("SETRANGE k 7 xy") == 9
    assert client("GET k") == b"hello\0\0xy"
    assert client("STRLEN k") == 9


def test_a_string_stays_within_its_limit(client: Client) -> None:
    text = client.refusal(f"SETRANGE k {512 * 1024 * 1024} x")
    assert text == "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    assert client.refusal("SETRANGE k -1 x") == "ERR offset is out of range"


def test_counting(client: Client) -> None:
    assert client("INCR n") == 1
    assert client("INCRBY n 41") == 42
    assert client("DECRBY n 2") == 40
    assert client("DECR n") == 39
    assert client("GET n") == b"39"


def test_a_counter_keeps_its_deadline(client: Client) -> None:
    client("SET n 1 PX 500")
    client("INCR n")
    assert client("PTTL n") == 500


def test_counters_do_not_overflow(client: Client) -> None:
    client(f"SET n {MAX}")
    assert client.refusal("INCR n") == "ERR increment or decrement would overflow"
    assert client.refusal(f"DECRBY n {-MAX - 1}") == "ERR decrement would overflow"
    assert client("GET n") == str(MAX).encode()


@pytest.mark.parametrize("text", ["1.5", " 1", "+1", "007", "1_0", "-0", "", str(MAX + 1)])
def test_only_plain_integers_count(client: Client, text: str) -> None:
    client("SET n", text)
    assert client.refusal("INCR n") == "ERR value is not an integer or out of range"


@pytest.mark.parametrize(
    ("value", "amount", "total"),
    [
        ("0.1", "0.2", "0.3"),
        ("5.0e3", "2.0e2", "5200"),
        ("10.5", "0.1", "10.6"),
        ("3", "-3", "0"),
        ("1e20", "1", "100000000000000000000"),
        ("-1.5", "1", "-0.5"),
        ("0x10", "1", "17"),
        # 64 bits of mantissa, as x86 has it, and not 53.
        ("9007199254740993", "0.5", "9007199254740993.5"),
        ("1e30", "1", "1000000000000000000024696061952"),
    ],
)
def test_floats_add_as_long_doubles(
    client: Client, value: str, amount: str, total: str
) -> None:
    client("SET f", value)
    assert client("INCRBYFLOAT f", amount) == total.encode()


@pytest.mark.parametrize("text", ["x", "", " 1", "nan", "1_0", "1e99999"])
def test_only_numbers_are_added(client: Client, text: str) -> None:
    assert client.refusal("INCRBYFLOAT f", text) == "ERR value is not a valid float"


def test_floats_stay_finite(client: Client) -> None:
    text = "ERR increment would produce NaN or Infinity"
    assert client.refusal("INCRBYFLOAT f inf") == text
    client("SET f 1e4932")
    assert client.refusal("INCRBYFLOAT f 1e4932") == text
