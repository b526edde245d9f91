"""Fencing: nothing is forgotten, and those who are not fenced pay nothing for it."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate import structures
from sharedstate.backend import Backend, Command
from sharedstate.fenced_backend import MAX_WORDS, FencedBackend, _keys_of, _pieces
from sharedstate.fencing import Fence, fencing
from sharedstate.scripts import load_scripts
from sharedstate.state import State
from sharedstate.structures import counter, queue
from sharedstate.structures import map as map_module
from sharedstate.structures.base import Structure
from sharedstate.testing.fencing_cases import (
    CASES,
    NEITHER,
    WITHOUT_KEYWORD,
    Case,
    public_names,
)

FENCE = Fence("lock", 1, "ss:{lock:lock}")


@pytest.fixture
def state() -> Iterator[State]:
    """A state that nobody shares."""
    with sharedstate.connect("memory://") as state:
        yield state


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_public_name_is_known_to_write_or_to_read(case: Case) -> None:
    writes = {call.name for call in case.writes}
    reads = {call.name for call in case.reads}
    assert writes & reads == set()
    # A map without lifetimes has nothing that `persist` could change.
    optional = {"persist"} if case.label == "plain map" else set()
    assert public_names(case.kind) - NEITHER == writes | reads | optional


def test_every_structure_that_can_be_fenced_is_among_the_cases() -> None:
    for found in pkgutil.iter_modules(structures.__path__, "sharedstate.structures."):
        importlib.import_module(found.name)
    fenceable = {
        kind
        for kind in subclasses(Structure)
        if kind.fenceable
        and not kind.__subclasses__()
        and kind.__module__.startswith("sharedstate.structures.")
    }
    assert {case.kind for case in CASES} == fenceable


def subclasses(kind: type[Structure]) -> set[type[Structure]]:
    """All classes derived from one."""
    found = set(kind.__subclasses__())
    return found.union(*map(subclasses, found))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_what_writes_takes_a_fence_where_its_arguments_allow(case: Case) -> None:
    for call in case.writes:
        # A dict's `clear` takes nothing, and a queue's is its own.
        has_none = call.name in WITHOUT_KEYWORD or (call.name, case.kind) == (
            "clear",
            map_module.Map,
        )
        assert call.takes_fence(case.kind) != has_none, call
    for call in case.reads:
        assert not call.takes_fence(case.kind), call


def test_the_scripts_that_run_unchecked_are_these() -> None:
    unchecked = set()
    for module in (counter, map_module, queue):
        path = Path(module.__file__ or "").with_suffix(".lua")
        scripts = load_scripts(str(path)).values()
        unchecked |= {script.name for script in scripts if not script.fenced}
    reads = {f"map.{name}" for name in ("hget", "hexists", "hlen", "hmget", "hscan", "ttl")}
    # Counting waiters is no change to anybody, and an item that cannot be read has to go
    # back even if the lock was lost after it was got.
    waiting = {"queue.join", "queue.stop_waiting", "queue.give_back"}
    # A transaction reads with these; it is not a handle that has been fenced.
    transactions = {"map.look", "map.measure"}
    assert unchecked - transactions == reads | waiting


def test_what_stands_before_a_backend_has_all_of_its_methods() -> None:
    public = {name for name in vars(Backend) if not name.startswith("_")}
    assert public <= vars(FencedBackend).keys()


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_handle_that_was_never_fenced_has_its_own_backend(
    state: State, case: Case
) -> None:
    other, handle = case.make(state, "s"), case.make(state, "s")
    with fencing(FENCE, other):
        assert handle._context.backend is state.backend
        assert FencedBackend not in {type(owner) for owner in owners_of_methods(handle)}


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_handle_that_was_fenced_has_no_other_way_to_the_store(
    state: State, case: Case
) -> None:
    handle = case.make(state, "s")
    assert state.backend in owners_of_methods(handle)
    with fencing(FENCE, handle):
        assert isinstance(handle._context.backend, FencedBackend)
        assert state.backend not in owners_of_methods(handle)
        assert state.backend not in vars(handle).values()


def owners_of_methods(handle: object) -> list[object]:
    """The objects whose bound methods a handle keeps."""
    values = vars(handle).values()
    return [value.__self__ for value in values if isinstance(value, types.MethodType)]


def test_fencing_again_and_again_does_not_pile_up(state: State) -> None:
    hits = state.counter("hits")
    with fencing(FENCE, hits):
        backend = hits._context.backend
    with fencing(FENCE, hits):
        assert hits._context.backend is backend


def test_a_handle_keeps_what_it_knows_when_it_is_fenced(state: State) -> None:
    users: Any = state.map("users", key=int)
    users.set(1, "ada", ttl=100)
    with fencing(FENCE, users):
        assert users._timed
        assert users == {1: "ada"}


def test_a_block_can_be_entered_again_after_it_ended(state: State) -> None:
    hits = state.counter("hits")
    block = fencing(FENCE, hits)
    for turn in (1, 2):
        with block:
            assert hits.add(1) == turn


def test_blocks_may_end_in_any_order(state: State) -> None:
    hits = state.counter("hits")
    outer, inner = fencing(FENCE, hits), fencing(Fence("b", 1, "b"), hits)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    state.counter("hits").add(1, fence=Fence("lock", 2, "ss:{lock:lock}"))
    assert hits.add(1) == 2
    state.counter("hits").add(1, fence=Fence("b", 2, "b"))
    with pytest.raises(sharedstate.StaleToken):
        hits.add(1)
    inner.__exit__(None, None, None)
    assert hits.add(1) == 4


def test_a_fence_travels() -> None:
    assert pickle.loads(pickle.dumps(FENCE)) == FENCE


def test_an_object_of_another_kind_can_be_a_lock(state: State) -> None:
    class Quorum:
        name = "quorum"
        fence_prefix = "ss:{redlock:quorum}"
        token = 7

    hits = state.counter("hits")
    assert hits.add(1, fence=Quorum()) == 1
    seen = state.backend.execute(("HGETALL", hits._context.key("fence")))
    assert seen == [b"ss:{redlock:quorum}", b"7"]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("HSET", "k", "f", "v"), ["k"]),
        (("unlink", "a", "b", "c"), ["a", "b", "c"]),
        (("MSET", "a", 1, "b", 2), ["a", "b"]),
        (("RENAME", "a", "b"), ["a", "b"]),
        (("LMPOP", 2, "a", "b", "LEFT"), ["a", "b"]),
        (("ZUNIONSTORE", "to", 2, "a", "b"), ["to", "a", "b"]),
        (("BITOP", "AND", "to", "a", "b"), ["to", "a", "b"]),
        (("SORT", "a", "STORE", "b"), ["a"]),
        (("NOSUCHCOMMAND", "a"), []),
    ],
)
def test_the_keys_of_a_command_are_found(command: Command, keys: list[str]) -> None:
    assert list(_keys_of(command)) == keys


def test_a_long_command_is_cut_between_fields_and_not_within() -> None:
    words = [str(number) for number in range(2 * MAX_WORDS)]
    pieces = _pieces(("HSET", "key", *words))
    assert [word for piece in pieces for word in piece[2:]] == words
    for piece in pieces:
        assert piece[:2] == ("HSET", "key")
        assert len(piece) % 2 == 0
        assert len(piece) <= MAX_WORDS + 2
