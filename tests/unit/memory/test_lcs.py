"""LCS: the longest common subsequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate_memory.commands.common_subsequence import _length, _walk_back

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


@pytest.fixture(autouse=True)
def _strings(client: Client) -> None:
    client("MSET a ohmytext b mynewtext")


def test_the_subsequence_its_length_and_where_it_is(client: Client) -> None:
    assert client("LCS a b") == b"mytext"
    assert client("LCS a b LEN") == 6
    assert client("LCS a b IDX") == {
        b"matches": [[[4, 7], [5, 8]], [[2, 3], [0, 1]]],
        b"len": 6,
    }


def test_matches_are_chosen_by_length(client: Client) -> None:
    reply = client("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN")
    assert reply == {b"matches": [[[4, 7], [5, 8], 4]], b"len": 6}


def test_nothing_in_common(client: Client) -> None:
    client("SET c 0123")
    assert client("LCS a c") == b""
    assert client("LCS a none LEN") == 0
    assert client("LCS none nothing IDX") == {b"matches": [], b"len": 0}


def test_refusals(client: Client) -> None:
    client("RPUSH l x")
    assert client.refusal("LCS a l") == "ERR The specified keys must contain string values"
    assert client.refusal("LCS a b LEN IDX").endswith("please just use IDX.")
    assert client.refusal("LCS a b MINMATCHLEN") == "ERR syntax error"


def test_what_would_need_too_much_memory_is_refused(client: Client, engine: Engine) -> None:
    engine.settings.change([("proto-max-bulk-len", "1mb")])
    client("SET x", b"x" * 511)
    assert client("LCS x x LEN") == 511
    client("APPEND x x")
    text = "Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    assert client.refusal("LCS x x LEN") == f"ERR {text}"


texts = st.lists(st.sampled_from(b"abc"), max_size=15).map(bytes)


@given(left=texts, right=texts)
def test_the_rows_say_what_the_table_of_lengths_does(left: bytes, right: bytes) -> None:
    lengths = _table(left, right)
    assert _length(left, right) == lengths[len(left)][len(right)]
    expected: list[tuple[int, int]] = []
    row, column = len(left), len(right)
    while row and column:
        if left[row - 1] == right[column - 1]:
            row, column = row - 1, column - 1
            expected.append((row, column))
        elif lengths[row - 1][column] > lengths[row][column - 1]:
            row -= 1
        else:
            column -= 1
    assert list(_walk_back(left, right)) == expected


def _table(left: bytes, right: bytes) -> list[list[int]]:
    """The lengths in common of all beginnings, as the textbook has it."""
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for row, byte in enumerate(left, 1):
        for column, other in enumerate(right, 1):
            above, before = lengths[row - 1][column], lengths[row][column - 1]
            is_match = byte == other
            lengths[row][column] = (
                lengths[row - 1][column - 1] + 1 if is_match else max(above, before)
            )
    return lengths
