"""The options of SET, which are remembered from one call to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.commands.strings import _remember_options

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client, Clock


def test_a_remembered_deadline_counts_from_each_call(client: Client, clock: Clock) -> None:
    client("SET k v PX 1000")
    clock.advance(600)
    client("SET k v PX 1000")

    assert client("PTTL k") == 1000


def test_a_key_that_has_expired_leaves_no_deadline_to_keep(
    client: Client, clock: Clock
) -> None:
    client("SET k v PX 1000")
    clock.advance(1000)
    client("SET k w KEEPTTL")

    assert client("GET k") == b"w"
    assert client("PTTL k") == -1


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ("PX x", "not an integer"),
        ("PX 1 PX", "syntax error"),
        ("PX x WHAT", "syntax error"),
        ("PX 0", "invalid expire time in 'set' command"),
        ("PX 9223372036854775807", "invalid expire time in 'set' command"),
        ("EX 9223372036854775808", "not an integer"),
    ],
)
def test_a_refusal_is_the_same_each_time(
    client: Client, options: str, refusal: str
) -> None:
    for _ in range(3):
        assert refusal in client.refusal(f"SET k v {options}")
    assert client("EXISTS k") == 0


def test_the_last_deadline_counts(client: Client) -> None:
    client("SET k v PX x PX 5")

    assert client("PTTL k") == 5


def test_what_is_remembered_is_short(client: Client) -> None:
    client("SET k v PX 5")
    kept = _remember_options.cache_info().currsize
    client("SET k v PX", b"1" * 1000)
    client("SET k v PX", b"1" * 1000, "PX 5")
    client("SET k v", *["NX"] * 1000)

    assert _remember_options.cache_info().currsize == kept
    assert client("GET k") == b"v"
