"""Deadlines of fields in the tables of a database, and the cycle that keeps to them."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_memory.expiry import ActiveExpiry
from sharedstate_memory.field_deadlines import FieldDeadlines
from tests.unit.memory.recount import assert_counted, check_counting, programs

if TYPE_CHECKING:
    from sharedstate_memory.session import Session
    from tests.unit.memory.conftest import Client, Clock

FIELDS = """
HSET key field value
HSET key field value field value
HDEL key field field
HINCRBYFLOAT key field n
HPEXPIRE key ms FIELDS 2 field field
HPEXPIRE key ms NX FIELDS 1 field
HPEXPIRE key ms GT FIELDS 1 field
HPEXPIRE key ms LT FIELDS 3 field field field
HPERSIST key FIELDS 1 field
HGETALL key
PEXPIRE key ms
PERSIST key
RENAME key key
COPY key key
SET key value
DEL key
MULTI
EXEC
"""

BUCKET_MS = 1000
"""More than the width of a bucket of deadlines."""


def check_tables(engine: Engine) -> None:
    """What the module of field deadlines says always holds."""
    db = engine.databases[0]
    for key, timed in db.field_deadlines.items():
        fields = db.data[key]
        assert isinstance(fields, dict)
        assert timed
        assert set(timed) <= fields.keys()
        assert db.deadlines[key] == timed.first_ms
    assert db.field_deadlines.keys() <= db.deadlines.keys() <= db.data.keys()


@settings(max_examples=300)
@given(programs(FIELDS))
def test_the_tables_agree_after_any_commands(program: list[str]) -> None:
    check_counting(program, check_tables)


@settings(max_examples=300)
@given(programs(FIELDS), st.lists(st.integers(0, 20), min_size=25, max_size=25))
def test_replayed_effects_give_the_same_fields_and_deadlines(
    program: list[str], pauses_ms: list[int]
) -> None:
    now_ms = 1_700_000_000_000
    original = Engine(clock_ms=lambda: now_ms, random=Random(1))
    # The copy's clock stands still: only the effects tell it what expired.
    copy = Engine(clock_ms=lambda: 0, random=Random(2))
    follower = copy.open_session(lambda reply: None)
    original.on_effect = lambda database, argv: _repeat(follower, argv)
    session = original.open_session(lambda reply: None)
    for line, pause_ms in zip(program, pauses_ms, strict=False):
        session.execute([word.encode() for word in line.split(" ")])
        now_ms += pause_ms
    session.execute([b"DISCARD"])
    assert _contents(copy) == _contents(original)


def _repeat(follower: Session, argv: list[bytes]) -> None:
    follower.execute(argv)


def _contents(engine: Engine) -> dict[bytes, object]:
    db = engine.databases[0]
    return {
        key: (value, db.deadline_of(key), _deadlines(db.field_deadlines.get(key)))
        for key, value in db.data.items()
    }


def _deadlines(timed: FieldDeadlines | None) -> dict[bytes, int | None]:
    return {} if timed is None else {field: timed.deadline_of(field) for field in timed}


# -- the cycle


def make_hash(client: Client, number: int, *, with_rest: bool) -> None:
    """A hash `h` with so many fields that expire in 10 ms, and perhaps one that stays."""
    names = [b"f%d" % each for each in range(number)]
    client.session.execute([b"HSET", b"h", *(x for each in names for x in (each, b"v"))])
    client.session.execute([b"HPEXPIRE", b"h", b"10", b"FIELDS", b"%d" % number, *names])
    if with_rest:
        client("HSET h rest v")


def test_the_cycle_removes_fields_that_nobody_reads(
    client: Client, engine: Engine, clock: Clock
) -> None:
    make_hash(client, 100, with_rest=True)
    client("HPEXPIRE h 100000 FIELDS 1 rest")
    clock.advance(BUCKET_MS)
    engine.cron()
    db = engine.databases[0]
    assert db.data[b"h"] == {b"rest": b"v"}
    assert db.expired_fields == 100
    assert_counted(engine)


def test_the_cycle_takes_a_big_hash_apart_within_its_budget(
    client: Client, engine: Engine, clock: Clock
) -> None:
    make_hash(client, 1000, with_rest=True)
    clock.advance(BUCKET_MS)
    ticks = iter(range(1000))
    cycle = ActiveExpiry(engine.databases, timer=lambda: next(ticks))
    fields = engine.databases[0].data[b"h"]
    left = [len(fields)]
    while not cycle.run(clock.now_ms, 1):
        left.append(len(fields))
    taken = {before - after for before, after in pairwise(left)}
    # A slice is as many fields as keys are removed between two looks at the time.
    assert taken == {32}
    assert len(fields) == 1
    assert_counted(engine)


def test_a_reader_does_not_wait_for_the_cycle(client: Client, clock: Clock) -> None:
    make_hash(client, 1000, with_rest=True)
    clock.advance(10)
    assert client("HLEN h") == 1
    assert client("HGETALL h") == {b"rest": b"v"}


def test_a_big_hash_whose_fields_are_all_due_goes_as_one(
    client: Client, engine: Engine, clock: Clock
) -> None:
    make_hash(client, 10_000, with_rest=False)
    clock.advance(10)
    before = engine.used_bytes
    assert client("EXISTS h") == 0
    # Its memory is counted off as it is freed, in slices.
    assert before / 2 < engine.used_bytes < before
    assert_counted(engine)
    assert engine.used_bytes == 0


def test_a_renewed_field_leaves_nothing_behind(
    client: Client, engine: Engine, clock: Clock
) -> None:
    client("HSET h f v")
    for _ in range(1000):
        clock.advance(1000)
        client("HPEXPIRE h 30000 FIELDS 1 f")
    db = engine.databases[0]
    assert len(db.buckets.keys) == 1
    client("HPERSIST h FIELDS 1 f")
    assert not db.buckets.keys
    assert not db.field_deadlines
    assert not db.deadlines


def test_hashes_without_deadlines_have_no_table(client: Client, engine: Engine) -> None:
    client("HSET h f v")
    assert client("HPERSIST h FIELDS 1 f") == [-1]
    assert client("HEXPIRE h 10 XX FIELDS 1 f") == [0]
    assert client("HEXPIRE h 10 FIELDS 1 none") == [-2]
    assert not engine.databases[0].field_deadlines


def test_a_flush_forgets_big_tables_in_slices(
    client: Client, engine: Engine, clock: Clock
) -> None:
    make_hash(client, 5000, with_rest=False)
    client("FLUSHALL")
    make_hash(client, 1, with_rest=True)
    clock.advance(10)
    assert client("HLEN h") == 1
    assert_counted(engine)
