"""`get`, `set`, `delete` and `list`."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

import sharedstate
from sharedstate.testing.background import SECONDS, in_background, wait_for_waiters

Command = Callable[..., Any]


def test_a_value_is_json_if_it_parses_and_text_if_not(
    on_store: Command, state: sharedstate.State
) -> None:
    for key, text in {
        "int": "3",
        "list": '[1, "a"]',
        "none": "null",
        "word": "a b",
    }.items():
        assert on_store("set", "map", "values", key, text).code == 0
    entries = state.map("values").copy()
    assert entries == {"int": 3, "list": [1, "a"], "none": None, "word": "a b"}


def test_text_that_looks_like_json_can_be_forced(
    on_store: Command, state: sharedstate.State
) -> None:
    on_store("set", "map", "values", "number", "3", "--text")
    assert state.map("values")["number"] == "3"


def test_an_entry_can_be_given_a_lifetime(
    on_store: Command, state: sharedstate.State
) -> None:
    on_store("set", "map", "values", "brief", "1", "--ttl", "60")
    remaining = state.map("values").ttl("brief")
    assert remaining is not None
    assert 0 < remaining <= 60


def test_one_entry_is_written_as_text_or_json(
    on_store: Command, state: sharedstate.State
) -> None:
    state.map("prices")["apple"] = "cheap"
    assert on_store("get", "map", "prices", "apple").out == "cheap\n"
    assert on_store("get", "map", "prices", "apple", "--json").out == '"cheap"\n'


def test_a_whole_map_is_written_in_lines_or_as_one_object(
    on_store: Command, state: sharedstate.State
) -> None:
    state.map("prices").set_many({"pear": [1], "apple": 3})
    assert on_store("get", "map", "prices").out == "apple\t3\npear\t[1]\n"
    assert on_store("--json", "get", "map", "prices").data == {"pear": [1], "apple": 3}


def test_values_without_a_json_form_are_told_as_text(
    on_store: Command, state: sharedstate.State
) -> None:
    day = datetime.date(2026, 11, 22)
    state.map("odd").set_many({"bytes": b"\x00a\xff", "day": day, "set": {1}})
    told = on_store("get", "map", "odd", "--json").data
    assert told == {"bytes": "\x00a\\xff", "day": "2026-11-22", "set": [1]}


@pytest.mark.parametrize(
    ("key_type", "kind", "text", "key"),
    [
        ("int", int, "7", 7),
        ("bytes", bytes, "é", "é".encode()),
        ("any", object, "[1]", (1,)),
    ],
)
def test_keys_of_other_types_are_read_from_the_command_line(
    on_store: Command,
    state: sharedstate.State,
    key_type: str,
    kind: Any,
    text: str,
    key: Any,
) -> None:
    on_store("set", "map", "keyed", text, "here", "--key-type", key_type)
    assert state.map("keyed", key=kind)[key] == "here"
    assert on_store("get", "map", "keyed", text, "--key-type", key_type).out == "here\n"


def test_counters_are_read_and_set(on_store: Command, state: sharedstate.State) -> None:
    assert on_store("get", "counter", "hits").out == "0\n"
    on_store("set", "counter", "hits", "--", "-5")
    assert state.counter("hits").value == -5
    on_store("set", "float_counter", "load", "2.5")
    assert on_store("get", "float_counter", "load", "--json").data == 2.5


def test_the_next_item_of_a_queue_is_shown_and_stays(
    on_store: Command, state: sharedstate.State
) -> None:
    state.queue("jobs").put_many([{"id": 1}, {"id": 2}])
    assert on_store("get", "queue", "jobs").data == {"id": 1}
    assert state.queue("jobs").qsize() == 2


def test_a_lock_tells_who_holds_it(on_store: Command, state: sharedstate.State) -> None:
    assert on_store("get", "lock", "door").out == "free, 0 waiting\n"
    with state.lock("door") as lock:
        info = on_store("get", "lock", "door", "--json").data
        assert len(info["holders"]) == 1
        assert info["fencing"] == lock.token
        assert "holder: host" in on_store("get", "lock", "door").out


def test_a_lock_tells_who_waits_and_for_what(
    on_store: Command, state: sharedstate.State
) -> None:
    door = state.rwlock("door")
    with door.write():
        waiting = in_background(door.read().acquire)
        wait_for_waiters(door, 1)
        told = on_store("get", "rwlock", "door").out
        data = on_store("get", "rwlock", "door", "--json").data
    assert waiting.result(SECONDS)
    assert told.startswith("held, 1 waiting\nholder: host")
    assert ", to read\n" in told.partition("waiter: ")[2]
    assert [each["mode"] for each in data["holders"] + data["line"]] == ["write", "read"]


@pytest.mark.parametrize(
    "missing",
    [
        ("get", "map", "none"),
        ("get", "map", "none", "key"),
        ("get", "queue", "none"),
        ("delete", "map", "none"),
        ("delete", "map", "none", "key"),
    ],
)
def test_what_is_not_there_has_an_exit_code_of_its_own(
    on_store: Command, missing: tuple[str, ...]
) -> None:
    ended = on_store(*missing)
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("sharedstate: there is no ")


def test_an_entry_or_a_structure_is_deleted(
    on_store: Command, state: sharedstate.State
) -> None:
    state.map("prices").set_many({"apple": 1, "pear": 2})
    assert on_store("delete", "map", "prices", "apple").code == 0
    assert state.map("prices").copy() == {"pear": 2}
    assert on_store("delete", "map", "prices").code == 0
    assert list(state.names()) == []


def test_all_structures_or_those_of_one_kind_are_listed(
    on_store: Command, state: sharedstate.State
) -> None:
    state.map("prices")["apple"] = 1
    state.counter("hits").add(1)
    assert on_store("list").out == "counter\thits\nmap\tprices\n"
    assert on_store("list", "map", "--json").data == [{"kind": "map", "name": "prices"}]


@pytest.mark.parametrize(
    "wrong",
    [
        ("get", "counter", "hits", "key"),
        ("get", "wheel", "hits"),
        ("set", "map", "prices", "value"),
        ("set", "counter", "hits", "many"),
        ("set", "counter", "hits", "1.5"),
        ("set", "counter", "hits", str(2**63)),
        ("set", "counter", "hits", "1", "--ttl", "5"),
        ("set", "map", "prices", "apple", "1", "--ttl", "1e30"),
        ("set", "map", "prices", "x", "1", "--key-type", "int"),
        ("set", "map", "prices", "{}", "1", "--key-type", "any"),
        ("delete", "counter", "hits", "key"),
    ],
)
def test_wrong_usage_changes_nothing_and_is_told(
    on_store: Command, state: sharedstate.State, wrong: tuple[str, ...]
) -> None:
    ended = on_store(*wrong)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert list(state.names()) == []


@pytest.mark.parametrize("url", ["local://", "memory://"])
def test_a_store_that_ends_with_the_command_is_refused(run: Command, url: str) -> None:
    ended = run("set", "map", "prices", "apple", "3", "--url", url)
    assert ended.code == 2
    assert "begins and ends with this command" in ended.err
