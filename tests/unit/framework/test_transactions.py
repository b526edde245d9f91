"""Parts of transactions that need no store, or any: slots, sums of floats, the loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharedstate import Capability, CommandError, ConfigError, State, connect
from sharedstate import registry as registry_module
from sharedstate.hookspecs import BackendRecord, hookimpl
from sharedstate.slots import check_one_slot, hash_tag, named_by, place_of, slot_of
from sharedstate.structures import map_layout
from sharedstate.structures.script_file import ScriptFile
from sharedstate.transaction_views.float_sums import float_sum
from sharedstate.transaction_views.map_base import MOST_REMEMBERED, MapBase
from sharedstate.transaction_views.number_image import whole_sum
from sharedstate.transaction_views.watched import Watched
from sharedstate_memory.backend import MemoryBackend

_names = st.text(st.sampled_from("{}():ab"), min_size=1)


class SpreadBackend(MemoryBackend):
    """A memory backend that says its store is spread over nodes."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.SLOTS})


class Spreads:
    """A plugin with such a backend."""

    @hookimpl
    def sharedstate_backends(self) -> list[BackendRecord]:
        able = frozenset({Capability.SLOTS})
        return [BackendRecord("spread", "For tests.", ("spread",), able, SpreadBackend)]


@pytest.fixture
def spread() -> Iterator[State]:
    """A state whose store would be a cluster."""
    info = registry_module.register(Spreads(), name="spreads")
    try:
        with connect("spread://") as state:
            yield state
    finally:
        registry_module.unregister(info)


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("ss:{map:stock}:data", "map:stock"),
        ("{user1000}.following", "user1000"),
        ("foo{}{bar}", None),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo", None),
        ("foo{bar", None),
        ("foo}bar{", None),
    ],
)
def test_the_hash_tag_is_between_the_first_braces(key: str, tag: str | None) -> None:
    assert hash_tag(key) == tag


def test_slots_are_those_of_redis_cluster() -> None:
    # The first is the check value of CRC-16/XMODEM; the others were asked of a server.
    assert slot_of("123456789") == 0x31C3 % 16384
    assert slot_of("foo") == 12182
    assert slot_of("{foo}.bar") == slot_of("foo")


@given(_names)
def test_a_place_tells_its_kind_and_name(name: str) -> None:
    assert named_by(f"{place_of('map', name)}:data") == ("map", name)


@given(_names, _names)
def test_a_place_belongs_to_one_name(name: str, other: str) -> None:
    assert (place_of("map", name) == place_of("map", other)) == (name == other)


@given(_names)
def test_a_names_own_tag_decides_of_the_slot(name: str) -> None:
    tag = hash_tag(name)
    if tag is not None:
        assert hash_tag(f"ss:{place_of('map', name)}:data") == tag
        assert slot_of(f"ss:{place_of('counter', name)}:value") == slot_of(tag)
    elif "}" not in name:
        assert hash_tag(f"ss:{place_of('map', name)}:data") == f"map:{name}"


def test_names_that_share_no_slot_are_refused_where_it_matters(spread: State) -> None:
    stock, sold = spread.map("stock"), spread.counter("sold")
    with pytest.raises(ConfigError, match=r"'\{shared\}stock', '\{shared\}sold'"):
        spread.transaction(stock, sold)
    spread.transaction(stock)
    spread.transaction(spread.map("{shop}stock"), spread.counter("{shop}sold"))


def test_names_that_share_a_slot_by_chance_are_taken(spread: State) -> None:
    first = spread.map("m0")
    slot = slot_of(first._context.prefix)
    names = (f"m{number}" for number in range(1, 10**6))
    other = next(name for name in names if slot_of(f"ss:{place_of('map', name)}") == slot)
    check_one_slot(spread, [first, spread.map(other)])


def test_names_are_free_where_there_are_no_slots(state: State) -> None:
    check_one_slot(state, [state.map("stock"), state.counter("sold")])


@pytest.mark.parametrize(
    ("stored", "amount", "total"),
    [
        (b"0.1", b"0.2", b"0.3"),
        (b"0", b"1e-17", b"0.00000000000000001"),
        (b"0", b"-4e-18", b"0"),
        (b"3.0e3", b"200", b"3200"),
        (b"-1.5", b".5", b"-1"),
        (b"18446744073709551616", b"1", b"18446744073709551616"),
        (b"9223372036854775807", b"1", b"9223372036854775808"),
    ],
)
def test_sums_of_floats_are_rounded_as_by_the_store(
    stored: bytes, amount: bytes, total: bytes, remote_state: State
) -> None:
    assert float_sum(stored, amount) == total
    execute = remote_state.backend.execute
    execute(("SET", "t", stored))
    assert execute(("INCRBYFLOAT", "t", amount)) == total


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_a_sum_of_floats_is_near_the_exact_one(left: float, right: float) -> None:
    one, other = repr(left), repr(right)
    exact = Fraction(one) + Fraction(other)
    # Three numbers are rounded to 64 binary digits, and the text to 17 places.
    margin = 3 * max(abs(Fraction(one)), abs(Fraction(other))) / 2**63 + Fraction(1, 10**17)
    assert abs(Fraction(float_sum(one.encode(), other.encode()).decode()) - exact) <= margin


@pytest.mark.parametrize("text", [b"", b"x", b"1_0", b" 1", b"1/3", b"0x1", b"1e99999"])
def test_what_is_no_float_is_refused(text: bytes) -> None:
    with pytest.raises(CommandError, match="not a valid float"):
        float_sum(text, b"1")


@pytest.mark.parametrize(("stored", "amount"), [(b"inf", b"1"), (b"1e4932", b"1e4932")])
def test_a_float_without_end_is_refused(stored: bytes, amount: bytes) -> None:
    with pytest.raises(CommandError, match="NaN or Infinity"):
        float_sum(stored, amount)


@pytest.mark.parametrize("text", [b"", b"+1", b"01", b"-0", b"1_0", b" 1", b"1.0", b"x"])
def test_what_the_store_does_not_take_for_a_number_is_none(text: bytes) -> None:
    with pytest.raises(CommandError, match="not an integer"):
        whole_sum(text, b"1")


@pytest.mark.parametrize("ttl", [None, 1000.0])
def test_an_iteration_remembers_no_more_than_so_much(
    state: State, ttl: float | None
) -> None:
    numbers = state.map("numbers", key=int)
    numbers.set_many(dict.fromkeys(range(MOST_REMEMBERED + 10_000), 0), ttl=ttl)
    watched = Watched(state.backend, [numbers._context.key("data")])
    base = MapBase(watched, ScriptFile(map_layout.__file__, "map.lua"), numbers._keys)
    cursor, told = b"0", 0
    while told == 0 or cursor != b"0":
        cursor, entries = base.scan(cursor)
        told += len(entries)
    assert told == MOST_REMEMBERED + 10_000
    assert len(base._known) <= MOST_REMEMBERED + 2 * map_layout.SCAN_COUNT
    assert base.find(b"7") is not None
    watched.close()


def test_an_attempt_has_to_be_entered(state: State) -> None:
    with pytest.raises(RuntimeError, match="with attempt"):
        for _ in state.transaction(state.counter("c")):
            pass


def test_an_attempt_is_entered_once(state: State) -> None:
    for attempt in state.transaction(state.counter("c")):
        with attempt as _, pytest.raises(RuntimeError, match="entered once"):
            attempt.__enter__()


def test_a_transaction_may_be_run_again_and_inside_of_another(state: State) -> None:
    inner_counter, outer_counter = state.counter("inner"), state.counter("outer")
    inner = state.transaction(inner_counter)

    def outer(counter: Any) -> int:
        return int(counter.add(inner.run(lambda inner_now: inner_now.add(1))))

    transaction = state.transaction(outer_counter)
    assert [transaction.run(outer) for _ in range(2)] == [1, 3]
    assert repr(transaction) == "<Transaction over the counter 'outer'>"


def test_transactions_are_imported_by_the_first_of_them() -> None:
    code = (
        "import sharedstate, sys; state = sharedstate.connect('memory://');"
        "state.counter('c').add(1); state.map('m')['a'] = 1;"
        "print([name for name in sys.modules if 'sharedstate.transaction' in name])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
