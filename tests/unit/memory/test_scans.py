"""SCAN and its like: what stays is never missed, whatever comes and goes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_memory.cursors import SMALL_LENGTH, Cursors
from sharedstate_memory.engine import Engine

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def test_scan_returns_every_key(client: Client) -> None:
    for number in range(100):
        client("SET", f"k{number}", "v")
    found: list[bytes] = []
    cursor = b"0"
    pages = 0
    while True:
        cursor, page = client("SCAN", cursor, "COUNT", 7)
        found += page
        pages += 1
        if cursor == b"0":
            break
    assert sorted(found) == sorted(b"k%d" % number for number in range(100))
    assert pages == 15


def test_scan_chooses_by_pattern_and_type(client: Client) -> None:
    client("MSET a1 v a2 v b1 v")
    client("RPUSH a3 v")
    assert client("SCAN 0 MATCH a? TYPE string") == [b"0", [b"a2", b"a1"]]
    assert client("SCAN 0 TYPE LIST") == [b"0", [b"a3"]]
    assert client("SCAN 0 TYPE nothing") == [b"0", []]


def test_scans_refuse_what_makes_no_sense(client: Client) -> None:
    assert client.refusal("SCAN x") == "ERR invalid cursor"
    assert client.refusal("SCAN 0 COUNT 0") == "ERR syntax error"
    assert client.refusal("SCAN 0 MATCH") == "ERR syntax error"
    client("SADD s a")
    assert client.refusal("SSCAN s 0 TYPE set") == "ERR syntax error"


def test_small_containers_are_scanned_in_one_page(client: Client) -> None:
    client("HSET h a 1 b 2")
    client("SADD s x")
    client("ZADD z 1.5 m")
    assert client("HSCAN h 0 MATCH a COUNT 1") == [b"0", [b"a", b"1"]]
    assert client("SSCAN s 0") == [b"0", [b"x"]]
    assert client("ZSCAN z 0") == [b"0", [b"m", b"1.5"]]
    assert client("HSCAN none 0") == [b"0", []]


@pytest.mark.parametrize(
    ("add", "scan", "width"), [("HSET", "HSCAN", 2), ("SADD", "SSCAN", 1)]
)
def test_big_containers_are_scanned_in_pages(
    client: Client, add: str, scan: str, width: int
) -> None:
    members = range(1000)
    client(add, "k", *(word for n in members for word in [n] * width))
    found: list[bytes] = []
    cursor = b"0"
    pages = 0
    while pages == 0 or cursor != b"0":
        cursor, page = client(scan, "k", cursor, "COUNT", 100)
        found += page[::width]
        pages += 1
    assert sorted(map(int, found)) == list(members)
    assert pages == 10


names = st.integers(0, 40).map(lambda number: b"%d" % number)
changes = st.lists(st.tuples(st.booleans(), names), max_size=30)


@settings(max_examples=200)
@given(st.sets(names), st.lists(changes, min_size=1, max_size=8), st.integers(1, 5))
def test_scan_never_misses_a_key_that_stays(
    before: set[bytes], rounds: list[list[tuple[bool, bytes]]], count: int
) -> None:
    engine = Engine(clock_ms=lambda: 0, random=Random(0))
    run = engine.open_session(lambda reply: None).execute
    for name in before:
        run([b"SET", name, b"v"])
    stayed = set(before)
    found: set[bytes] = set()
    cursor = b"0"
    upcoming = iter(rounds)
    while True:
        reply: Any = run([b"SCAN", cursor, b"COUNT", b"%d" % count])
        cursor, page = reply
        found.update(page)
        if cursor == b"0":
            break
        for is_added, name in next(upcoming, ()):
            run([b"SET", name, b"w"] if is_added else [b"DEL", name])
            stayed -= set() if is_added else {name}
    assert stayed <= found


@settings(max_examples=200)
@given(
    st.sampled_from([dict, set]),
    st.lists(changes, min_size=1, max_size=8),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_cursors_never_miss_an_element_that_stays(
    kind: type[dict[bytes, None]] | type[set[bytes]],
    rounds: list[list[tuple[bool, bytes]]],
    scans: int,
    random: Random,
) -> None:
    cursors = Cursors()
    fixed = [b"fixed%d" % number for number in range(2 * SMALL_LENGTH)]
    elements: Any = dict.fromkeys(fixed) if kind is dict else set(fixed)
    going = {scan: (0, set[bytes]()) for scan in range(scans)}
    upcoming = iter(rounds)
    while going:
        scan = random.choice(list(going))
        cursor, found = going[scan]
        cursor, page = cursors.page(elements, cursor, 50)
        found.update(page)
        going[scan] = (cursor, found)
        if cursor == 0:
            assert found >= set(fixed)
            del going[scan]
        for is_added, name in next(upcoming, ()):
            if is_added:
                elements |= dict.fromkeys([name]) if kind is dict else {name}
            elif kind is dict:
                elements.pop(name, None)
            else:
                elements.discard(name)
