"""Loading a log: whole units only, what a crash cut off, and what is damaged."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_server import failpoints
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import BASE, INCREMENT, LogFile, Manifest
from sharedstate_server.aof.packing import pack_all
from sharedstate_server.aof.parsing import PORTION_BYTES
from sharedstate_server.aof.reader import LogReader
from sharedstate_server.aof.units import Trouble, Unit, units_of

if TYPE_CHECKING:
    from pathlib import Path

SET_A = pack_all([[b"SET", b"a", b"1"]])
SET_B = pack_all([[b"SET", b"b", b"2"]])
UNIT = pack_all([[b"MULTI"], [b"SET", b"c", b"3"], [b"INCR", b"a"], [b"EXEC"]])
LOG = SET_A + SET_B + UNIT


class Loaded:
    """What came of loading some files, and what was told of it."""

    def __init__(self, path: Path, *files: bytes, cuts_off: bool = True) -> None:
        self.folder = LogFolder(str(path), "appendonly.aof")
        names = [f"appendonly.aof.{place}.incr.aof" for place in range(1, len(files) + 1)]
        for name, data in zip(names, files, strict=True):
            (path / name).write_bytes(data)
        increments = tuple(LogFile(name, n, INCREMENT) for n, name in enumerate(names, 1))
        self.load(Manifest(None, increments), cuts_off=cuts_off)

    def load(self, manifest: Manifest, *, cuts_off: bool = True) -> None:
        self.told: list[str] = []
        self.engine = Engine(clock_ms=lambda: 5_000, random=Random(1))
        reader = LogReader(
            self.folder, manifest, self.engine, cuts_off=cuts_off, tell=self.told.append
        )
        self.steps = list(reader.load())

    @property
    def data(self) -> dict[bytes, Any]:
        data: dict[bytes, Any] = self.engine.databases[0].data
        return data


def expected(cut: int) -> dict[bytes, bytes]:
    """What the log has before a cut: whole units only."""
    data = {}
    if cut >= len(SET_A):
        data[b"a"] = b"1"
    if cut >= len(SET_A + SET_B):
        data[b"b"] = b"2"
    if cut >= len(LOG):
        data |= {b"a": b"2", b"c": b"3"}
    return data


def test_a_command_of_very_many_words_may_be_cut_off_too(tmp_path: Path) -> None:
    """What SPOP took from a big set is one command."""
    many = b"*2000000\r\n$4\r\nSREM\r\n$1\r\ns\r\n$1\r\na\r\n"
    loaded = Loaded(tmp_path, SET_A + many)
    assert loaded.data == {b"a": b"1"}
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == SET_A


def test_a_word_may_be_longer_than_half_a_gigabyte(tmp_path: Path) -> None:
    """As `proto-max-bulk-len` allows."""
    loaded = Loaded(tmp_path, SET_A + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$600000000\r\nv")
    assert loaded.data == {b"a": b"1"}


def test_a_database_that_is_not_there_stops_the_loading(tmp_path: Path) -> None:
    """What follows would come into another one."""
    elsewhere = pack_all([[b"SELECT", b"16"], [b"SET", b"a", b"of another"]])
    with pytest.raises(AofError, match="SELECT 16") as caught:
        Loaded(tmp_path, SET_A + elsewhere)
    assert caught.value.offset == len(SET_A)


@pytest.mark.parametrize("cut", range(len(LOG) + 1))
def test_a_log_that_is_cut_anywhere_has_what_was_whole(tmp_path: Path, cut: int) -> None:
    loaded = Loaded(tmp_path, LOG[:cut])
    assert loaded.data == expected(cut)
    ends = [0, len(SET_A), len(SET_A + SET_B), len(LOG)]
    end = max(end for end in ends if end <= cut)
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == LOG[:end]
    assert len(loaded.told) == (end != cut)
    if end != cut:
        assert f"cut off at {end}" in loaded.told[0]


def test_a_cut_is_an_error_if_nothing_is_to_be_cut_off(tmp_path: Path) -> None:
    with pytest.raises(AofError, match="aof-load-truncated") as caught:
        Loaded(tmp_path, LOG[:-3], cuts_off=False)
    assert caught.value.offset == len(SET_A + SET_B)
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == LOG[:-3]


@pytest.mark.parametrize("zeros", [1, 5, 4096])
@pytest.mark.parametrize("cut", range(len(LOG) + 1))
def test_zeros_behind_a_cut_are_cut_off_as_well(
    tmp_path: Path, cut: int, zeros: int
) -> None:
    loaded = Loaded(tmp_path, LOG[:cut] + bytes(zeros))
    assert loaded.data == expected(cut)
    assert len(loaded.told) == 1


@pytest.mark.parametrize(
    ("damaged", "offset", "reason"),
    [
        (SET_A + b"hello\r\n" + SET_B, len(SET_A), "expected"),
        (SET_A + SET_B.replace(b"$3", b"$2"), len(SET_A) + 8, "CRLF"),
        (SET_A + SET_B.replace(b"*3", b"*2") + SET_A, 47, "expected"),
        (SET_A + b"*1\r\n:5\r\n" + SET_B, len(SET_A) + 4, "expected"),
        (SET_A + b"*0\r\n" + SET_B, len(SET_A), "expected"),
        (SET_A + b"*-1\r\n" + SET_B, len(SET_A), "expected"),
        (SET_A + b"$3\r\nfoo\r\n" + SET_B, len(SET_A), "expected"),
        (SET_A + b"*4000000000\r\n$1\r\na\r\n", len(SET_A), "expected"),
        (SET_A + b"*1\r\n$99999999999\r\na\r\n", len(SET_A) + 4, "expected"),
        (SET_A + bytes(7) + SET_B, len(SET_A), "expected"),
        (SET_A + pack_all([[b"NONESUCH", b"x"]]) + SET_B, len(SET_A), "not known"),
        (SET_A + pack_all([[b"SHUTDOWN"]]) + SET_B, len(SET_A), "no command of a log"),
        (SET_A + pack_all([[b"CONFIG", b"GET", b"*"]]), len(SET_A), "no command of a log"),
    ],
)
def test_damage_stops_the_loading_and_is_told_with_its_place(
    tmp_path: Path, damaged: bytes, offset: int | None, reason: str
) -> None:
    with pytest.raises(AofError, match=reason) as caught:
        Loaded(tmp_path, damaged)
    if offset is not None:
        assert caught.value.offset == offset
    assert "sharedstate check" in str(caught.value)
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == damaged


def test_a_file_that_is_cut_must_be_the_last(tmp_path: Path) -> None:
    with pytest.raises(AofError, match="goes on in other files") as caught:
        Loaded(tmp_path, LOG[:-3], SET_A)
    assert caught.value.path.endswith("appendonly.aof.1.incr.aof")


def test_empty_files_behind_a_cut_have_nothing_to_lose(tmp_path: Path) -> None:
    assert Loaded(tmp_path, LOG[:-3], b"", b"").data == expected(len(LOG) - 3)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path, SET_A)
    missing = LogFile("gone.incr.aof", 9, INCREMENT)
    with pytest.raises(AofError, match="and it is gone"):
        loaded.load(Manifest(None, (missing,)))


def test_every_file_begins_in_the_first_database(tmp_path: Path) -> None:
    select = pack_all([[b"SELECT", b"3"]])
    loaded = Loaded(tmp_path, select + SET_A, SET_B)
    assert loaded.data == {b"b": b"2"}
    assert loaded.engine.databases[3].data == {b"a": b"1"}


def test_annotations_are_let_pass(tmp_path: Path) -> None:
    note = b"#TS:1700000000\r\n"
    loaded = Loaded(tmp_path, note + SET_A + note + note + SET_B + note)
    assert loaded.data == {b"a": b"1", b"b": b"2"}
    assert loaded.told == []


def test_keys_whose_time_is_over_are_there_for_later_commands(tmp_path: Path) -> None:
    log = [[b"SET", b"k", b"5", b"PXAT", b"1000"], [b"INCR", b"k"], [b"PERSIST", b"k"]]
    assert Loaded(tmp_path, pack_all(log)).data == {b"k": b"6"}


def test_a_deadline_that_is_over_is_set_all_the_same(tmp_path: Path) -> None:
    log = [
        [b"HSET", b"h", b"f", b"1"],
        [b"HPEXPIREAT", b"h", b"1000", b"FIELDS", b"1", b"f"],
        [b"PEXPIREAT", b"h", b"2000"],
        [b"HINCRBY", b"h", b"f", b"1"],
    ]
    loaded = Loaded(tmp_path, pack_all(log))
    db = loaded.engine.databases[0]
    assert db.data == {b"h": {b"f": b"2"}}
    assert db.deadline_of(b"h") == 2000
    assert db.find(b"h") is None


def test_a_snapshot_and_what_follows_it_are_one_base(tmp_path: Path) -> None:
    from sharedstate_memory.rdb.writer import snapshot

    engine = Engine(clock_ms=lambda: 5_000, random=Random(1))
    engine.databases[0].put(b"a", b"1")
    engine.databases[0].put(b"old", b"x")
    engine.databases[0].set_deadline(b"old", 1_000)
    base = b"".join(snapshot(engine))
    (tmp_path / "appendonly.aof").write_bytes(base + UNIT)
    loaded = Loaded(tmp_path)
    loaded.load(Manifest(LogFile("appendonly.aof", 1, BASE)))
    # What is over by now may be needed by what follows.
    assert loaded.data == {b"a": b"2", b"c": b"3", b"old": b"x"}
    assert loaded.steps[-1] <= len(base + UNIT)


def test_a_snapshot_that_is_damaged_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"REDIS0010\xfa")
    loaded = Loaded(tmp_path)
    with pytest.raises(AofError) as caught:
        loaded.load(Manifest(LogFile("b", 1, BASE)))
    assert caught.value.offset is not None


def test_commands_that_fail_are_told_of_once(tmp_path: Path) -> None:
    log = [[b"SET", b"k", b"text"], [b"INCR", b"k"], [b"LPUSH", b"k", b"x"]]
    told = Loaded(tmp_path, pack_all(log)).told
    assert len(told) == 1
    assert told[0].startswith("2 commands of the log failed")


def test_a_transaction_of_many_portions_is_there_or_not(tmp_path: Path) -> None:
    sets = [[b"SET", b"k%d" % number, b"v" * 100] for number in range(2_000)]
    unit = pack_all([[b"MULTI"], *sets, [b"EXEC"]])
    assert len(unit) > 3 * PORTION_BYTES
    assert len(Loaded(tmp_path, SET_A + unit + SET_B).data) == 2_002
    loaded = Loaded(tmp_path, SET_A + unit[:-1])
    assert loaded.data == {b"a": b"1"}
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == SET_A


words = st.binary(max_size=12)
log_commands = st.one_of(
    st.tuples(st.just(b"SET"), words, words),
    st.tuples(st.just(b"DEL"), words),
    st.tuples(st.just(b"SET"), words, st.just(b"v\r\n*1\r\n$4\r\n" * 3000)),
)
units = st.one_of(
    st.builds(lambda one: [one], log_commands),
    st.builds(
        lambda some: [(b"MULTI",), *some, (b"EXEC",)], st.lists(log_commands, max_size=4)
    ),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(units, max_size=12), st.data())
def test_the_quick_and_the_careful_way_read_the_same(
    tmp_path: Path, log: list[list[tuple[bytes, ...]]], data: st.DataObject
) -> None:
    packed = [pack_all(unit) for unit in log]
    whole = b"".join(packed)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path / "appendonly.aof.1.incr.aof"
    loaded = Loaded(tmp_path, whole[:cut])
    # The other way, by hand: units with their places.
    path.write_bytes(whole[:cut])
    found, trouble = _read_carefully(path)
    assert found == [] or trouble is None or found[-1].end == trouble.offset
    assert trouble is None or trouble.is_torn
    assert [unit.end - unit.start for unit in found] == [
        len(unit) for unit in packed[: len(found)]
    ]
    again: dict[bytes, bytes] = {}
    for unit in found:
        for argv in unit.commands:
            if argv[0] == b"SET":
                again[argv[1]] = argv[2]
            elif argv[0] == b"DEL":
                again.pop(argv[1], None)
    assert loaded.data == again


def _read_carefully(path: Path) -> tuple[list[Unit], Trouble | None]:
    """The units of a file, and what came after them."""
    found: list[Unit] = []
    with open(path, "rb") as file:
        try:
            found.extend(units_of(file))
        except Trouble as trouble:
            # `extend` has kept what came before.
            return found, trouble
    return found, None


# What is cut off, and is more than a crash leaves.


@pytest.mark.parametrize("far", [0, 70_000])
def test_whole_commands_behind_a_wrong_length_are_kept(tmp_path: Path, far: int) -> None:
    big = pack_all([[b"SET", b"big", b"x" * 1000 + b"y" * far]])
    wrong = big.replace(b"$%d" % (1000 + far), b"$9000000")
    end = wrong + (SET_A + SET_B) * 10
    loaded = Loaded(tmp_path, SET_A + end)
    assert loaded.data == {b"a": b"1"}
    kept = tmp_path / "appendonly.aof.1.incr.aof.cut"
    assert kept.read_bytes() == end
    assert (tmp_path / "appendonly.aof.1.incr.aof").read_bytes() == SET_A
    assert f"the last {len(end)} bytes" in loaded.told[0]
    assert "whole commands stand in what was cut" in loaded.told[0]
    assert str(kept) in loaded.told[0]


def test_what_was_kept_before_stays(tmp_path: Path) -> None:
    wrong = SET_B.replace(b"$1", b"$9999", 1)
    Loaded(tmp_path, SET_A + wrong + SET_A)
    Loaded(tmp_path, SET_A + wrong + SET_B)
    kept = sorted(path.name for path in tmp_path.glob("*.cut*"))
    assert kept == [f"appendonly.aof.1.incr.aof.cut{end}" for end in ("", ".2")]
    assert (tmp_path / kept[0]).read_bytes() == wrong + SET_A


def test_a_transaction_whose_end_is_damaged_is_kept(tmp_path: Path) -> None:
    end = UNIT.replace(b"EXEC", b"EXEX") + SET_B
    assert Loaded(tmp_path, SET_A + end).data == {b"a": b"1"}
    assert (tmp_path / "appendonly.aof.1.incr.aof.cut").read_bytes() == end


@pytest.mark.parametrize("zeros", [0, 4096])
@pytest.mark.parametrize("cut", range(len(LOG) + 1))
def test_what_a_crash_leaves_is_not_kept(tmp_path: Path, cut: int, zeros: int) -> None:
    Loaded(tmp_path, LOG[:cut] + bytes(zeros))
    assert [path.name for path in tmp_path.iterdir()] == ["appendonly.aof.1.incr.aof"]


@pytest.mark.parametrize("place", ["aof.cut-write", "aof.cut-fsync"])
def test_what_cannot_be_kept_is_not_cut_off(tmp_path: Path, place: str) -> None:
    damaged = SET_A + SET_B.replace(b"$1", b"$9999", 1) + SET_A
    failpoints.arm(place, "error:ENOSPC")
    try:
        with pytest.raises(AofError, match=r"No space left .* Nothing was changed"):
            Loaded(tmp_path, damaged)
    finally:
        failpoints.arm(place, "off")
    path = tmp_path / "appendonly.aof.1.incr.aof"
    assert path.read_bytes() == damaged
    assert [*tmp_path.iterdir()] == [path]


# Bases that are no snapshots any more, and files that cannot be read.


@pytest.mark.parametrize("size", [0, 1, 512])
@pytest.mark.parametrize("increment", [b"", SET_A])
def test_a_snapshot_without_content_is_damage_and_stays(
    tmp_path: Path, size: int, increment: bytes
) -> None:
    base = LogFile("appendonly.aof.1.base.rdb", 1, BASE)
    loaded = Loaded(tmp_path, increment)
    increments = (LogFile("appendonly.aof.1.incr.aof", 1, INCREMENT),)
    (tmp_path / base.name).write_bytes(bytes(size))
    with pytest.raises(AofError, match=r"base\.rdb.* a backup of the whole folder"):
        loaded.load(Manifest(base, increments))
    assert (tmp_path / base.name).stat().st_size == size


def test_a_base_of_commands_may_be_empty(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path, SET_A)
    base = LogFile("appendonly.aof.1.base.aof", 1, BASE)
    (tmp_path / base.name).write_bytes(b"")
    loaded.load(Manifest(base, (LogFile("appendonly.aof.1.incr.aof", 1, INCREMENT),)))
    assert loaded.data == {b"a": b"1"}


def test_what_cutting_cannot_repair_is_not_said_to_be_repaired(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path, SET_A)
    missing = LogFile("gone.incr.aof", 9, INCREMENT)
    with pytest.raises(AofError, match="nor can `sharedstate check --fix`"):
        loaded.load(Manifest(None, (missing,)))


def test_a_snapshot_that_is_damaged_is_not_said_to_be_repaired_in_its_place(
    tmp_path: Path,
) -> None:
    loaded = Loaded(tmp_path, SET_A)
    base = LogFile("appendonly.aof.1.base.rdb", 1, BASE)
    (tmp_path / base.name).write_bytes(b"REDIS0011\xfa")
    with pytest.raises(AofError, match="to a new file, and leaves the log as it is"):
        loaded.load(Manifest(base))
