"""`sharedstate dump`: what is in files, key by key."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedstate_server.data_folder import DataFolder
from sharedstate_server.tools.contents import open_contents
from tests.data_files import FAR_MS, LIBRARY, VARIED, log_of, snapshot_of, write_log

Command = Callable[..., Any]


def lines(text: str) -> list[Any]:
    """The objects of JSON in a text, one a line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def dump_file(tmp_path: Path) -> Path:
    path = tmp_path / "dump.rdb"
    path.write_bytes(snapshot_of(VARIED))
    return path


def coded(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


EXPECTED: list[tuple[int, Any, str, Any, int | None]] = [
    (0, "text", "string", "v", None),
    (0, "bytes", "string", coded(b"\xff\x00"), None),
    (0, coded(b"\xfekey"), "string", "v", None),
    (0, "timed", "string", "v", FAR_MS),
    (0, "list", "list", ["b", "a", "b"], None),
    (0, "set", "set", ["m", "n"], None),
    (0, "zset", "zset", [["x", 1.0], ["y", 2.5], ["t", "inf"]], None),
    (0, "hash", "hash", [["f", "v"], ["g", "w"]], FAR_MS),
    (3, "other", "string", "v", None),
]


def as_json(key: tuple[int, Any, str, Any, int | None]) -> dict[str, Any]:
    return dict(zip(("db", "key", "type", "value", "expires_at_ms"), key, strict=True))


def test_json_has_every_key_with_its_type_value_and_deadline(
    run: Command, dump_file: Path
) -> None:
    ended = run("dump", str(dump_file), "--json")
    assert ended.code == 0
    library, *keys = lines(ended.out)
    assert library == {"library": "shop", "code": LIBRARY}
    assert keys == list(map(as_json, EXPECTED))


def test_a_log_gives_what_a_snapshot_of_it_gives(run: Command, tmp_path: Path) -> None:
    log = write_log(tmp_path, log_of(VARIED[4:]), base=snapshot_of(VARIED[:4]))
    _, *keys = lines(run("dump", str(log), "--json").out)
    assert keys == list(map(as_json, EXPECTED))


def test_a_log_of_old_is_one_file_with_or_without_a_snapshot(
    run: Command, tmp_path: Path
) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(log_of(VARIED))
    _, *keys = lines(run("dump", str(path), "--json").out)
    assert keys == list(map(as_json, EXPECTED))


def test_a_snapshot_that_commands_follow_is_loaded_with_them(
    run: Command, tmp_path: Path
) -> None:
    from sharedstate_memory.rdb.writer import snapshot
    from tests.data_files import engine_with

    path = tmp_path / "appendonly.aof"
    base = b"".join(snapshot(engine_with([("SET", "a", "1")]), aux={b"aof-base": b"1"}))
    path.write_bytes(base + log_of([("SELECT", 0), ("SET", "a", "2")]))
    (key,) = lines(run("dump", str(path), "--json").out)
    assert key["value"] == "2"


def test_fields_tell_their_deadlines(run: Command, tmp_path: Path) -> None:
    commands: list[Any] = [
        ("HSET", "h", "f", "v", "g", "w", b"\xff", "x"),
        ("HPEXPIREAT", "h", FAR_MS, "FIELDS", "2", "f", b"\xff"),
    ]
    for path in (tmp_path / "dump.rdb", tmp_path / "log"):
        is_snapshot = path.suffix == ".rdb"
        path.write_bytes(snapshot_of(commands) if is_snapshot else log_of(commands))
        (key,) = lines(run("dump", str(path), "--json").out)
        assert key["field_expires_at_ms"] == [["f", FAR_MS], [coded(b"\xff"), FAR_MS]]
        assert key["expires_at_ms"] is None


def test_a_listing_has_a_line_a_key(run: Command, dump_file: Path) -> None:
    listed = run("dump", str(dump_file)).out.splitlines()
    assert "db0\tstring\t1 bytes\tstays\ttext\tv" in listed
    assert "db0\thash\t2 elements\t2096-10-02T07:06:40.000Z\thash\tf=v, g=w" in listed
    assert "db0\tlist\t3 elements\tstays\tlist\tb, a, b" in listed


def test_keys_can_be_chosen_by_pattern_and_database(run: Command, dump_file: Path) -> None:
    def keys(*words: str) -> list[Any]:
        return [
            key["key"] for key in lines(run("dump", str(dump_file), "--json", *words).out)
        ]

    assert keys("--match", "t*") == ["text", "timed"]
    assert keys("--db", "3") == ["other"]
    assert keys("--db", "3", "--match", "t*") == []


def test_a_dump_can_go_into_a_file(run: Command, dump_file: Path) -> None:
    path = dump_file.parent / "out.json"
    ended = run("dump", str(dump_file), "--json", "-o", str(path))
    assert (ended.code, ended.out) == (0, "")
    assert len(lines(path.read_text())) == len(EXPECTED) + 1
    assert sorted(dump_file.parent.iterdir()) == [dump_file, path]


def test_what_comes_before_damage_is_written_and_the_damage_told(
    run: Command, dump_file: Path, tmp_path: Path
) -> None:
    dump_file.write_bytes(dump_file.read_bytes()[:-30])
    log = write_log(tmp_path / "other", log_of(VARIED) + b"*x")
    for path in (dump_file, log):
        ended = run("dump", str(path), "--json")
        assert ended.code == 1
        assert "damaged at byte" in ended.err
        assert len(lines(ended.out)) > 5


def test_to_look_at_a_torn_log_does_not_cut_it(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(log_of(VARIED)[:-1])
    ended = run("dump", str(path), "--json")
    assert ended.code == 1
    assert len(lines(ended.out)) == len(EXPECTED)
    assert path.read_bytes() == log_of(VARIED)[:-1]


def test_of_a_folder_with_both_the_log_is_taken_and_that_is_told(
    run: Command, dump_file: Path
) -> None:
    write_log(dump_file.parent, log_of([("SET", "from the log", "v")]))
    ended = run("dump", str(dump_file.parent), "--json")
    assert [key["key"] for key in lines(ended.out)] == ["from the log"]
    assert f"leaves {dump_file}" in ended.err


def test_a_log_in_use_is_refused_and_a_snapshot_is_not(
    run: Command, dump_file: Path
) -> None:
    log = write_log(dump_file.parent, log_of(VARIED))
    holder = DataFolder()
    holder.take(str(dump_file.parent))
    try:
        assert run("dump", str(dump_file)).code == 0
        ended = run("dump", str(log))
        assert ended.code == 2
        assert "is in use by a server, pid" in ended.err
    finally:
        holder.free()


def test_a_snapshot_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    commands: list[Any] = [
        ("SET", f"key:{n}", bytes([n % 251]) * 200) for n in range(30_000)
    ]
    path.write_bytes(snapshot_of(commands))
    contents = open_contents(str(path), tell=print)
    tracemalloc.start()
    try:
        assert sum(1 for _ in contents.items()) == len(commands)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000
