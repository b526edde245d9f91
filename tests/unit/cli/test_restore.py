"""`sharedstate restore`: files go into stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate.backend import Backend
from sharedstate.registry import get_registry
from sharedstate.resolve import gather
from sharedstate.testing.servers import BuiltInServer
from sharedstate_server.tools.key_commands import PORTION_ELEMENTS, temporary_name
from sharedstate_server.tools.key_writer import KeyWriter
from tests.data_files import FAR_MS, PAST_MS, VARIED, log_of, snapshot_of, write_log

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[BuiltInServer]:
    with BuiltInServer() as server:
        yield server


@pytest.fixture
def store(server: BuiltInServer) -> Iterator[Backend]:
    """An empty store, as a backend."""
    settings = gather(server.url, {})
    backend = get_registry().backend("server").create(settings)
    backend.execute(("FLUSHALL",))
    backend.execute(("FUNCTION", "FLUSH"))
    yield backend
    backend.close()


@pytest.fixture
def restore(run: Command, server: BuiltInServer, tmp_path: Path) -> Command:
    """Restores the snapshot of some commands."""

    def restore_commands(commands: list[Any], *words: str) -> Any:
        path = tmp_path / "dump.rdb"
        path.write_bytes(snapshot_of(commands, now_ms=1))
        return run("restore", str(path), "--url", server.url, *words)

    return restore_commands


def read(store: Backend, *words: str | int, database: int = 0) -> Any:
    """A command's reply in a database."""
    return store.execute_many([("SELECT", database), words])[1]


def test_everything_comes_into_the_store(store: Backend, restore: Command) -> None:
    ended = restore(VARIED)
    assert ended.code == 0
    assert "restored 9 of 9 keys" in ended.out
    assert read(store, "GET", "bytes") == b"\xff\x00"
    assert read(store, "LRANGE", "list", 0, -1) == [b"b", b"a", b"b"]
    assert sorted(read(store, "SMEMBERS", "set")) == [b"m", b"n"]
    pairs = read(store, "ZRANGE", "zset", 0, -1, "WITHSCORES")
    assert pairs == [b"x", b"1", b"y", b"2.5", b"t", b"inf"]
    assert read(store, "HGETALL", "hash") == [b"f", b"v", b"g", b"w"]
    assert read(store, "PEXPIRETIME", "hash") == FAR_MS
    assert read(store, "PEXPIRETIME", "text") == -1
    assert read(store, "GET", "other", database=3) == b"v"
    assert read(store, "FCALL", "f", 0) == 7


def test_the_summary_can_be_json(store: Backend, restore: Command) -> None:
    summary = restore(VARIED, "--json").data
    assert summary["keys"] == 9
    assert summary["functions"] == 1
    assert summary["written"]["3"] == {"string": 1}


def test_a_log_is_restored_as_it_ended(
    store: Backend, run: Command, server: BuiltInServer, tmp_path: Path
) -> None:
    changes: list[Any] = [("SELECT", 0), ("DEL", "text"), ("RPUSH", "list", "last")]
    log = write_log(tmp_path, log_of(changes), base=snapshot_of(VARIED))
    assert run("restore", str(log), "--url", server.url).code == 0
    assert read(store, "EXISTS", "text") == 0
    assert read(store, "LRANGE", "list", -1, -1) == [b"last"]


def test_a_folders_store_takes_it_too(run: Command, tmp_path: Path) -> None:
    path, url = tmp_path / "dump.rdb", f"local://{tmp_path / 'store'}"
    path.write_bytes(snapshot_of(VARIED))
    with sharedstate.connect(url) as state:
        assert run("restore", str(path), "--url", url).code == 0
        assert state.ping() > 0
        again = run("restore", str(path), "--url", url, "--skip-existing", "--json")
        assert again.data["skipped"] == 9


def test_big_containers_come_in_portions_and_whole(
    store: Backend, restore: Command
) -> None:
    count = 3 * PORTION_ELEMENTS + 1
    numbers = [str(number) for number in range(count)]
    commands: list[Any] = [
        ("RPUSH", "list", *numbers),
        ("SADD", "set", *numbers),
        ("HSET", "hash", *(word for n in numbers for word in (n, n))),
        ("ZADD", "zset", *(word for n in numbers for word in (n, n))),
        ("PEXPIREAT", "zset", FAR_MS),
    ]
    assert restore(commands).code == 0
    assert read(store, "LRANGE", "list", 0, -1) == [n.encode() for n in numbers]
    sizes = [read(store, *words) for words in (("SCARD", "set"), ("HLEN", "hash"))]
    assert sizes == [count, count]
    assert read(store, "ZCARD", "zset") == count
    assert read(store, "PEXPIRETIME", "zset") == FAR_MS
    assert read(store, "DBSIZE") == 4


def test_what_an_interruption_has_left_of_a_big_container_is_cleared_away(
    store: Backend, restore: Command
) -> None:
    store.execute(("RPUSH", temporary_name(b"list"), "half", "of", "it"))
    commands: list[Any] = [("RPUSH", "list", *map(str, range(2000)))]
    for words in ((), ("--replace",), ("--skip-existing",)):
        assert restore(commands, *words).code == 0
        assert read(store, "LLEN", "list") == 2000
        assert read(store, "DBSIZE") == 1


def test_a_key_that_is_there_stops_it_before_anything_is_written(
    store: Backend, restore: Command
) -> None:
    store.execute(("SET", "set", "mine"))
    ended = restore(VARIED)
    assert ended.code == 1
    assert "the store has b'set' of database 0 already: nothing was written" in ended.err
    assert read(store, "DBSIZE") == 1
    assert read(store, "FUNCTION", "LIST") == []


def test_functions_that_are_there_stop_it_too(store: Backend, restore: Command) -> None:
    store.execute(("FUNCTION", "LOAD", VARIED[0][2]))
    ended = restore(VARIED)
    assert ended.code == 1
    assert "the functions 'shop'" in ended.err
    assert restore(VARIED, "--skip-existing").code == 0
    assert restore(VARIED, "--replace").code == 0


def test_existing_keys_are_skipped_or_replaced_on_request(
    store: Backend, restore: Command
) -> None:
    store.execute(("SET", "set", "mine"))
    assert restore(VARIED, "--skip-existing", "--json").data["skipped"] == 1
    assert read(store, "GET", "set") == b"mine"
    assert restore(VARIED, "--replace", "--json").data["keys"] == 9
    assert read(store, "SCARD", "set") == 2
    assert restore(VARIED, "--replace", "--skip-existing").code == 2


def test_to_replace_a_key_takes_its_old_deadline_away(
    store: Backend, restore: Command
) -> None:
    store.execute(("SET", "text", "old", "PXAT", FAR_MS))
    assert restore(VARIED, "--replace").code == 0
    assert read(store, "PEXPIRETIME", "text") == -1


def test_what_has_expired_is_left_out(store: Backend, restore: Command) -> None:
    commands: list[Any] = [
        ("SET", "gone", "v", "PXAT", PAST_MS),
        ("HSET", "hash", "gone", "v", "stays", "v", "timed", "v"),
        ("HPEXPIREAT", "hash", PAST_MS, "FIELDS", "1", "gone"),
        ("HPEXPIREAT", "hash", FAR_MS, "FIELDS", "1", "timed"),
        ("HSET", "all gone", "f", "v"),
        ("HPEXPIREAT", "all gone", PAST_MS, "FIELDS", "1", "f"),
    ]
    summary = restore(commands, "--json").data
    assert (summary["keys"], summary["expired"]) == (1, 2)
    assert sorted(read(store, "HKEYS", "hash")) == [b"stays", b"timed"]
    assert read(store, "HPEXPIRETIME", "hash", "FIELDS", 1, "timed") == [FAR_MS]


def test_databases_can_be_chosen_and_mapped(store: Backend, restore: Command) -> None:
    assert restore(VARIED, "--db", "3:7", "--without-functions").code == 0
    assert read(store, "GET", "other", database=7) == b"v"
    assert read(store, "DBSIZE") == 0
    assert restore(VARIED, "--db", "3", "--without-functions").code == 0
    assert read(store, "GET", "other", database=3) == b"v"
    assert restore(VARIED, "--db", "x").code == 2


def test_the_database_of_the_url_takes_the_only_one_of_a_file(
    store: Backend, run: Command, server: BuiltInServer, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of([("SET", "k", "v")]))
    assert run("restore", str(path), "--url", f"{server.url}/5").code == 0
    assert read(store, "GET", "k", database=5) == b"v"
    path.write_bytes(snapshot_of(VARIED))
    ended = run("restore", str(path), "--url", f"{server.url}/6")
    assert ended.code == 2
    assert "--db FROM:TO" in ended.err
    assert read(store, "DBSIZE", database=6) == 0


def test_a_database_that_the_store_has_not_is_refused(
    store: Backend, restore: Command
) -> None:
    ended = restore([("SET", "k", "v")], "--db", "0:9999")
    assert ended.code == 2
    assert "the store has no database 9999" in ended.err


def test_a_damaged_file_is_refused_before_anything_is_written(
    store: Backend, run: Command, server: BuiltInServer, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    whole = snapshot_of(VARIED)
    for size in range(0, len(whole), 40):
        path.write_bytes(whole[:size])
        ended = run("restore", str(path), "--url", server.url)
        assert ended.code == 1
        assert f"{path}: damaged at byte" in ended.err
        assert f"Nothing was written. `sharedstate check {path} --fix` says" in ended.err
    assert read(store, "DBSIZE") == 0


def test_keys_keep_their_names_whatever_the_namespace(
    store: Backend, restore: Command
) -> None:
    assert restore([("SET", "k", "v")], "--namespace", "other").code == 0
    assert read(store, "GET", "k") == b"v"


@pytest.mark.parametrize("url", ["memory://", "local://"])
def test_a_store_that_ends_with_the_command_is_refused(
    run: Command, tmp_path: Path, url: str
) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of([("SET", "k", "v")]))
    ended = run("restore", str(path), "--url", url)
    assert ended.code == 2
    assert "is lost" in ended.err


def test_a_store_that_is_full_tells_how_far_it_came_and_how_to_go_on(
    run: Command, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    count = 5000
    path.write_bytes(snapshot_of([("SET", f"k{n}", "v" * 1000) for n in range(count)]))
    with BuiltInServer("--set", "maxmemory=3mb") as small:
        stopped = run("restore", str(path), "--url", small.url)
        assert stopped.code == 1
        assert f"of {count:,} keys. Every key is there wholly or not at all" in stopped.err
        backend = get_registry().backend("server").create(gather(small.url, {}))
        backend.execute(("CONFIG", "SET", "maxmemory", 0))
        went_on = run("restore", str(path), "--url", small.url, "--skip-existing")
        assert went_on.code == 0
        assert backend.execute(("DBSIZE",)) == count
        backend.close()


def test_a_database_that_is_named_twice_or_is_not_in_the_file_is_refused(
    store: Backend, restore: Command
) -> None:
    twice = restore(VARIED, "--db", "0:1", "--db", "0:2")
    assert twice.code == 2
    assert "--db: database 0 is named twice" in twice.err
    absent = restore(VARIED, "--db", "3", "--db", "7")
    assert absent.code == 2
    assert "the file has no keys in database 7: nothing was written" in absent.err
    assert read(store, "DBSIZE", database=3) == 0


def test_a_database_whose_keys_have_all_expired_is_in_the_file(
    store: Backend, restore: Command
) -> None:
    commands: list[Any] = [("SELECT", 7), ("SET", "k", "v", "PXAT", PAST_MS)]
    ended = restore(commands, "--db", "7", "--json")
    assert ended.code == 0
    assert ended.data["expired"] == 1


def test_who_interrupts_it_is_told_how_far_it_came_and_how_to_go_on(
    store: Backend, restore: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(writer: KeyWriter) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(KeyWriter, "flush", interrupt)
    ended = restore(VARIED)
    assert ended.code == 130
    assert "stopped after 0 of 9 keys. Every key is there wholly or not" in ended.err
    assert "--skip-existing goes on" in ended.err
