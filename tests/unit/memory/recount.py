"""Counting anew what an engine keeps, to be held against the count that it keeps."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply
from sharedstate_memory.sizes import CLOCK, DEADLINE, size_of_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.keyspace import Keyspace

# What a small word of a template may stand for. Few keys and fields, so that commands meet.
_PARTS = {
    "key": ["a", "b", "c"],
    "field": ["f", "g", "hh", "iii"],
    "value": ["", "x", "yy", "1", "7", "a-longer-value"],
    "n": ["-3", "-1", "0", "1", "2", "4"],
    "side": ["LEFT", "RIGHT"],
    "ms": ["0", "10", "20", "50"],
}


def programs(templates: str) -> st.SearchStrategy[list[str]]:
    """Random commands from templates on lines of their own: `LREM key n value`."""
    lines = [st.tuples(*map(_part, each.split())) for each in templates.strip().split("\n")]
    return st.lists(st.one_of(lines).map(" ".join), max_size=25)


def _part(word: str) -> st.SearchStrategy[str]:
    return st.sampled_from(_PARTS.get(word, [word]))


def check_counting(
    program: list[str], check: Callable[[Engine], None] | None = None
) -> None:
    """Run a program, with 10 ms between its commands, and count anew after each."""
    now_ms = 1_700_000_000_000
    engine = Engine(clock_ms=lambda: now_ms, random=Random(1))
    session = engine.open_session(lambda reply: None)
    session.may_block = False
    for line in program:
        reply = session.execute([word.encode() for word in line.split(" ")])
        assert not isinstance(reply, ErrorReply) or b"unknown" not in reply.text, line
        assert_counted(engine)
        if check is not None:
            check(engine)
        now_ms += 10
    session.execute([b"DISCARD"])
    session.execute([b"FLUSHALL"])
    assert_counted(engine)
    assert engine.used_bytes == 0


def assert_counted(engine: Engine) -> None:
    """Check that `used_bytes` is what `sizes.py` makes of all that is there."""
    dispose(engine)
    assert engine.used_bytes == recount(engine)


def recount(engine: Engine) -> int:
    """The bytes of all databases. What is still to be disposed of is not counted."""
    return sum(map(_recount_database, engine.databases))


def dispose(engine: Engine) -> None:
    """Free at once what has been removed, as the cron does in slices."""
    while engine._disposal:
        engine.used_bytes -= engine._disposal.run()


def _recount_database(db: Keyspace) -> int:
    entries = sum(size_of_entry(key, value) for key, value in db.data.items())
    fields = sum(size_of_entry(key, timed) for key, timed in db.field_deadlines.items())
    return entries + fields + DEADLINE * len(db.deadlines) + CLOCK * len(db.clocks)
