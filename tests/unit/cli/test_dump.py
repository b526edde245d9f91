"""`sharedstate dump`: what is in files, key by key."""

from __future__ import annotations

import base64
import errno
import importlib
import io
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

# The module: the package has its function by the same name.
dumping = importlib.import_module("sharedstate_server.tools.dump")


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


# -- where it goes


def test_a_dump_never_takes_the_place_of_what_it_is_made_of(
    run: Command, dump_file: Path
) -> None:
    folder = dump_file.parent
    log = write_log(folder, log_of(VARIED))
    increment = log / "appendonly.aof.1.incr.aof"
    link = folder / "link"
    link.symlink_to(log)
    before = {path: path.read_bytes() for path in (dump_file, increment)}
    for source, output in (
        (dump_file, dump_file),
        (dump_file, folder / "link" / ".." / "dump.rdb"),
        (folder, increment),
        (folder, folder / "new.json"),
        (log, link / increment.name),
        (log / "appendonly.aof.manifest", increment),
        (increment, log / "appendonly.aof.manifest"),
    ):
        ended = run("dump", str(source), "-o", str(output))
        assert ended.code == 2, (source, output)
        assert f"{output} is, or lies in, what is to be read" in ended.err
    assert before == {path: path.read_bytes() for path in before}
    assert not (folder / "new.json").exists()


def test_an_output_that_cannot_be_written_is_named_as_it_was_given(
    run: Command, dump_file: Path
) -> None:
    ended = run("dump", str(dump_file), "-o", "/nonexistent/x")
    assert ended.code == 1
    assert ended.err == "sharedstate: /nonexistent/x: No such file or directory\n"


def test_a_full_disk_is_told_with_the_file_and_leaves_no_part(
    run: Command, dump_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full_to_write(path: str, mode: str) -> Full:
        Path(path).touch()
        return Full()

    monkeypatch.setattr(dumping, "open", full_to_write, raising=False)
    ended = run("dump", str(dump_file), "-o", str(tmp_path / "out"))
    assert ended.code == 1
    assert ended.err == f"sharedstate: {tmp_path / 'out'}: No space left on device\n"
    assert sorted(tmp_path.iterdir()) == [dump_file]


def test_what_is_no_file_is_written_to_and_not_replaced(
    run: Command, dump_file: Path
) -> None:
    link = dump_file.parent / "null"
    link.symlink_to("/dev/null")
    assert run("dump", str(dump_file), "-o", str(link)).code == 0
    assert link.is_symlink()


def test_damage_is_told_with_the_file_and_what_is_no_data_as_what_it_is(
    run: Command, dump_file: Path
) -> None:
    dump_file.write_bytes(dump_file.read_bytes()[:-30])
    assert f"{dump_file}: damaged at byte" in run("dump", str(dump_file)).err
    picture = dump_file.parent / "p.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0JFIF")
    ended = run("dump", str(picture))
    assert ended.code == 1
    assert f"{picture}: damaged at byte 0: neither a snapshot (REDIS…)" in ended.err
