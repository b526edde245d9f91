"""LMPOP and BLMPOP; and lists that are big."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, NULL_ARRAY
from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

    Connect = Callable[[], Client]
    Effects = list[tuple[int, list[bytes]]]


@pytest.mark.parametrize(
    ("line", "reply", "left"),
    [
        ("LMPOP 2 none l LEFT", [b"l", [b"a"]], [b"b", b"c"]),
        ("LMPOP 2 l l RIGHT COUNT 2", [b"l", [b"c", b"b"]], [b"a"]),
        ("LMPOP 1 l left count 9", [b"l", [b"a", b"b", b"c"]], []),
        ("BLMPOP 0 2 none l RIGHT", [b"l", [b"c"]], [b"a", b"b"]),
    ],
)
def test_items_of_the_first_list_that_has_any(
    client: Client, line: str, reply: object, left: list[bytes]
) -> None:
    client("RPUSH l a b c")
    assert client(line) == reply
    assert client("LRANGE l 0 -1") == left


def test_nothing_is_there_to_pop(client: Client) -> None:
    assert client("LMPOP 2 a b LEFT") is NULL_ARRAY
    assert client("BLMPOP 1 2 a b LEFT") is BLOCKED


def test_another_type_is_refused_before_lists_behind_it(client: Client) -> None:
    client("SET s v")
    client("RPUSH l a")
    assert client.refusal("LMPOP 2 s l LEFT").startswith("WRONGTYPE")
    assert client("LMPOP 2 l s LEFT") == [b"l", [b"a"]]


def test_waiters_take_as_many_as_they_want_in_their_order(
    client: Client, connect: Connect
) -> None:
    greedy, modest, late = connect(), connect(), connect()
    greedy("BLMPOP 0 2 x l RIGHT COUNT 2")
    modest("BLMPOP 0 1 l LEFT")
    late("BLPOP l 0")
    client("RPUSH l a b c d e")
    assert greedy.delivered == [[b"l", [b"e", b"d"]]]
    assert modest.delivered == [[b"l", [b"a"]]]
    assert late.delivered == [[b"l", b"b"]]
    assert client("LRANGE l 0 -1") == [b"c"]


def test_a_waiter_outlasts_other_types(client: Client, connect: Connect) -> None:
    waiter = connect()
    waiter("BLMPOP 0 1 k LEFT")
    for line in ("SET k v", "DEL k", "SADD k m", "DEL k", "ZADD k 1 m", "DEL k"):
        client(line)
    assert waiter.delivered == []
    client("RPUSH k a")
    assert waiter.delivered == [[b"k", [b"a"]]]


def test_waiting_ends_with_a_null(
    engine: Engine, client: Client, connect: Connect, clock: Clock
) -> None:
    waiter = connect()
    waiter("BLMPOP 0.5 1 l LEFT")
    clock.advance(500)
    engine.expire_waits()
    assert waiter.delivered == [NULL_ARRAY]
    client("RPUSH l a")
    assert client("LLEN l") == 1


def test_effects_say_how_many_were_taken(
    client: Client, connect: Connect, effects: Effects
) -> None:
    connect()("BLMPOP 0 1 l RIGHT COUNT 5")
    client("RPUSH l a b")
    client("RPUSH l c d")
    client("LMPOP 1 l LEFT")
    lines = [b" ".join(argv).decode() for _, argv in effects]
    assert lines == ["RPUSH l a b", "RPOP l 2", "RPUSH l c d", "LPOP l 1"]


def fill(client: Client, number: int) -> list[bytes]:
    items = [b"%d" % each for each in range(number)]
    client.session.execute([b"RPUSH", b"l", *items])
    return items


@pytest.mark.parametrize(
    "line", ["LTRIM l 1 0", "LTRIM l -3 -1", "LPOP l 10000", "LMPOP 1 l LEFT COUNT 10000"]
)
def test_what_is_left_of_a_big_list_is_freed_in_slices(
    client: Client, engine: Engine, line: str
) -> None:
    fill(client, 10_000)
    before = engine.used_bytes
    client(line)
    assert engine.used_bytes > before // 2
    assert_counted(engine)
    assert engine.used_bytes < 2000


@pytest.mark.parametrize("start", [0, 1, 30, 60, 98, 99, 100, -1, -70, -200])
@pytest.mark.parametrize("stop", [0, 1, 31, 70, 99, 150, -1, -2, -60])
def test_ranges_are_the_same_from_either_end(client: Client, start: int, stop: int) -> None:
    items = fill(client, 100)
    first = max(start + 100, 0) if start < 0 else start
    last = stop + 100 if stop < 0 else stop
    expected = items[first : last + 1]
    assert client(f"LRANGE l {start} {stop}") == expected
    client(f"LTRIM l {start} {stop}")
    assert client("LRANGE l 0 -1") == expected


@pytest.mark.parametrize(
    ("count", "left"),
    [
        (1, "bacada"),
        (2, "bcada"),
        (3, "bcda"),
        (0, "bcd"),
        (9, "bcd"),
        (-1, "abacad"),
        (-2, "abacd"),
        (-4, "bcd"),
    ],
)
def test_items_are_removed_from_either_end(client: Client, count: int, left: str) -> None:
    client("RPUSH l a b a c a d a")
    assert client(f"LREM l {count} a") == 7 - len(left)
    assert client("LRANGE l 0 -1") == [letter.encode() for letter in left]
    assert client(f"LREM l {count} none") == 0
