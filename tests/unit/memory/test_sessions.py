"""SESSION: scripts that run while a client is there, and when it has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory import binding_runs, bindings
from sharedstate_memory.replies import BLOCKED, NULL_ARRAY
from tests.unit.memory.conftest import Client, Clock
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine

FREE = "redis.call('DEL', KEYS[1])"
MARK = "redis.call('APPEND', KEYS[1], ARGV[1])"
COUNT = "redis.call('INCR', KEYS[1])"


def load(client: Client, body: str) -> str:
    sha: bytes = client("SCRIPT LOAD", body)
    return sha.decode()


def bind(
    client: Client, name: str, end: str, *words: str, keep: str = "", keep_ms: int = 0
) -> None:
    """Bind scripts by their text, with one key: the first of the words."""
    shas = load(client, end), load(client, keep) if keep else ""
    assert client("SESSION BIND", name, keep_ms, *shas, 1, *words) == b"OK"


def leave(client: Client) -> None:
    """Let a client go, as its connection sees it, and the engine do what is due then."""
    assert client.session.bound is not None
    client.session.bound.is_left = True
    client.engine.close_session(client.session)
    client.engine.cron()


def close(client: Client) -> None:
    """End the connection of a client that may be alive."""
    client.engine.close_session(client.session)
    client.engine.cron()


# Binding.


def test_what_is_bound_is_listed(client: Client) -> None:
    end, keep = load(client, MARK), load(client, COUNT)
    client("SESSION BIND a 0", end, "", 1, "k", "x")
    client("SESSION BIND b 250", end, keep.upper(), 0, "x")
    assert client("SESSION LIST") == [
        {
            b"name": b"a",
            b"keep-ms": 0,
            b"end": end.encode(),
            b"keep": b"",
            b"keys": [b"k"],
            b"arguments": [b"x"],
        },
        {
            b"name": b"b",
            b"keep-ms": 250,
            b"end": end.encode(),
            b"keep": keep.encode(),
            b"keys": [],
            b"arguments": [b"x"],
        },
    ]


def test_a_name_is_bound_to_one_thing_at_a_time(client: Client, other: Client) -> None:
    bind(client, "a", MARK, "k", "old", keep=COUNT, keep_ms=100)
    bind(client, "a", MARK, "k", "new")
    assert len(client("SESSION LIST")) == 1
    leave(client)
    assert other("GET k") == b"new"


def test_what_is_unbound_does_not_run(client: Client, other: Client) -> None:
    for name in "abc":
        bind(client, name, MARK, "k", name)
    assert client("SESSION UNBIND a c nope") == 2
    assert client("SESSION UNBIND a") == 0
    assert other("SESSION UNBIND b") == 0
    leave(client)
    assert other("GET k") == b"b"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("a", "x", "S", "", 0), "ERR keep-ms must be milliseconds"),
        (("a", -1, "S", "", 0), "ERR keep-ms must be milliseconds"),
        (("a", 10**12, "S", "S", 0), "ERR keep-ms must be milliseconds"),
        (("a", 5, "S", "", 0), "ERR a keep script needs a keep-ms above 0"),
        (("a", 0, "S", "S", 0), "ERR a keep script needs a keep-ms above 0"),
        (("a", 0, "S", "", "x"), "ERR Number of keys must be a number"),
        (("a", 0, "S", "", -1), "ERR Number of keys must be a number"),
        (("a", 0, "S", "", 1), "ERR Number of keys can't be greater"),
        (("a", 0, "0" * 40, "", 0), "NOSCRIPT"),
        (("a", 5, "S", "0" * 40, 0), "NOSCRIPT"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, words: tuple[str | int, ...], text: str
) -> None:
    sha = load(client, FREE)
    said = [sha if word == "S" else word for word in words]
    assert client.refusal("SESSION BIND", *said).startswith(text)
    assert client("SESSION LIST") == []


def test_an_identity_has_a_length(client: Client) -> None:
    assert client.refusal("SESSION IDENTIFY", "") == "ERR an identity has 1 to 256 bytes"
    assert client.refusal("SESSION IDENTIFY", "x" * 257).startswith("ERR an identity has")


def test_how_many_may_be_bound(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "MOST_BINDINGS", 2)
    sha = load(client, FREE)
    for name in "abb":
        assert client("SESSION BIND", name, 0, sha, "", 0) == b"OK"
    refusal = client.refusal("SESSION BIND c 0", sha, "", 0)
    assert refusal == (
        "ERR this connection has bound 2 names, and may bind no more: UNBIND some"
    )
    client("SESSION UNBIND a")
    assert client("SESSION BIND c 0", sha, "", 0) == b"OK"


def test_how_much_may_be_bound(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "MOST_BYTES", 10_000)
    sha = load(client, FREE)
    assert client("SESSION BIND a 0", sha, "", 0, "x" * 9000) == b"OK"
    # What takes the place of another need not fit beside it.
    assert client("SESSION BIND a 0", sha, "", 0, "y" * 9000) == b"OK"
    assert "would take 10" in client.refusal("SESSION BIND b 0", sha, "", 0)
    client("SESSION UNBIND a")
    assert client("SESSION BIND b 0", sha, "", 0) == b"OK"


def test_what_is_bound_is_counted(client: Client) -> None:
    bind(client, "a", FREE, "k", "x" * 1000)
    bound = client.session.bound
    assert bound is not None
    assert bound.size_bytes > 1000
    client("SESSION UNBIND a")
    assert bound.size_bytes == 0


# Keeping.


def test_a_keep_runs_once_an_interval(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", FREE, "k", keep=COUNT, keep_ms=1000)
    engine.cron()
    assert other("GET k") is None
    for expected in (b"1", b"2", b"3"):
        clock.advance(999)
        engine.cron()
        clock.advance(1)
        engine.cron()
        engine.cron()
        assert other("GET k") == expected


def test_a_keep_runs_no_more_when_its_client_has_gone(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", MARK, "k", "x", keep=COUNT, keep_ms=100)
    bind(client, "b", MARK, "k", "y", keep=COUNT, keep_ms=100)
    client("SESSION UNBIND b")
    leave(client)
    clock.advance(1000)
    engine.cron()
    assert other("GET k") == b"x"


def test_missed_intervals_are_not_made_up_for(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", FREE, "k", keep=COUNT, keep_ms=100)
    clock.advance(10_000)
    engine.cron()
    engine.cron()
    assert other("GET k") == b"1"


def test_nobody_waits_longer_when_the_clock_is_set_back(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", FREE, "k", keep=COUNT, keep_ms=1000)
    engine.cron()
    clock.advance(-3_600_000)
    engine.cron()
    clock.advance(1000)
    engine.cron()
    assert other("GET k") == b"1"


def test_bindings_that_are_replaced_leave_nothing_behind(
    client: Client, engine: Engine
) -> None:
    sha = load(client, COUNT)
    for _ in range(1000):
        client("SESSION BIND a 1000000", sha, sha, 1, "k")
    assert engine.bindings is not None
    assert len(engine.bindings._keeps._due) < 100


def test_ten_thousand_keeps_run_in_slices(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    sha = load(client, COUNT)
    for number in range(10_000):
        client("SESSION BIND", number, 1000, sha, sha, 1, "k")
    clock.advance(1000)
    engine.cron()
    assert 0 < int(other("GET k")) < 10_000
    assert engine.is_behind
    while engine.is_behind:
        engine.cron()
    assert other("GET k") == b"10000"


# The end.


def test_the_end_runs_when_the_client_has_gone(client: Client, other: Client) -> None:
    other("SET lock mine")
    bind(client, "a", FREE, "lock")
    assert other("EXISTS lock") == 1
    leave(client)
    assert other("EXISTS lock") == 0


def test_a_client_that_may_be_alive_ends_nothing(
    client: Client, other: Client, engine: Engine
) -> None:
    other("SET lock mine")
    bind(client, "a", FREE, "lock")
    close(client)
    assert other("EXISTS lock") == 1
    assert not engine.is_behind


def test_quit_is_a_way_to_go(client: Client, other: Client) -> None:
    bind(client, "a", MARK, "k", "x")
    client("QUIT")
    close(client)
    assert other("GET k") == b"x"


def test_reset_forgets_what_is_bound(client: Client, other: Client) -> None:
    bind(client, "a", MARK, "k", "x")
    client("RESET")
    assert client("SESSION LIST") == []
    close(client)
    assert other("EXISTS k") == 0


def test_ten_thousand_ends_run_in_slices(
    client: Client, other: Client, engine: Engine
) -> None:
    sha = load(client, COUNT)
    for number in range(10_000):
        client("SESSION BIND", number, 0, sha, "", 1, "k")
    leave(client)
    assert 0 < int(other("GET k")) < 10_000
    while engine.is_behind:
        engine.cron()
    assert other("GET k") == b"10000"


def test_who_comes_back_has_not_gone(
    client: Client, other: Client, connect: Callable[[], Client]
) -> None:
    client("SESSION IDENTIFY me")
    bind(client, "a", MARK, "k", "former")
    again = connect()
    again("SESSION IDENTIFY me")
    bind(again, "a", MARK, "k", "again")
    assert client("SESSION LIST") == []
    leave_if_bound(client)
    assert other("EXISTS k") == 0
    leave(again)
    assert other("GET k") == b"again"


def test_who_comes_back_in_time_stops_what_is_about_to_run(
    client: Client, other: Client, engine: Engine
) -> None:
    client("SESSION IDENTIFY me")
    bind(client, "a", MARK, "k", "x")
    assert client.session.bound is not None
    client.session.bound.is_left = True
    engine.close_session(client.session)
    other("SESSION IDENTIFY me")
    engine.cron()
    assert other("EXISTS k") == 0


def test_another_identity_is_another_client(client: Client, other: Client) -> None:
    client("SESSION IDENTIFY me")
    client("SESSION IDENTIFY someone")
    bind(client, "a", MARK, "k", "x")
    other("SESSION IDENTIFY me")
    leave(client)
    assert other("GET k") == b"x"


def test_nobody_comes_back_in_the_place_of_another_user(
    client: Client, other: Client
) -> None:
    other("ACL SETUSER low on nopass +@all ~* &*")
    client("SESSION IDENTIFY me")
    bind(client, "a", MARK, "k", "x")
    other("AUTH low x")
    other("SESSION IDENTIFY me")
    leave(client)
    assert other("GET k") == b"x"


def leave_if_bound(client: Client) -> None:
    if client.session.bound is not None:
        client.session.bound.is_left = True
    close(client)


# What a run is.


def test_a_run_is_one_unit_of_the_log(
    client: Client, other: Client, effects: list[tuple[int, list[bytes]]]
) -> None:
    client("SELECT 3")
    bind(client, "a", f"{MARK} redis.call('SET', KEYS[2], 'b')", "k", "x")
    client("SELECT 0")
    sha = load(client, f"{MARK} redis.call('SET', KEYS[2], 'b')")
    client("SELECT 3")
    client("SESSION BIND a 0", sha, "", 2, "k", "l", "x")
    client("SELECT 0")
    leave(client)
    assert effects == [
        (3, [b"MULTI"]),
        (3, [b"APPEND", b"k", b"x"]),
        (3, [b"SET", b"l", b"b"]),
        (3, [b"EXEC"]),
    ]
    assert other("EXISTS k") == 0


def test_everybody_hears_of_it(
    client: Client, other: Client, connect: Callable[[], Client]
) -> None:
    listener, waiting = connect(), connect()
    listener("SUBSCRIBE gone")
    assert waiting("BLPOP k 0") is BLOCKED
    other("WATCH k")
    end = "redis.call('RPUSH', KEYS[1], 'a', 'b') redis.call('PUBLISH', 'gone', ARGV[1])"
    bind(client, "a", end, "k", "x")
    leave(client)
    assert [list(message) for message in listener.delivered] == [
        [b"message", b"gone", b"x"]
    ]
    assert waiting.delivered == [[b"k", b"a"]]
    other("MULTI")
    other("PING")
    assert other("EXEC") is NULL_ARRAY


def test_it_runs_with_the_rights_of_who_bound_it(
    client: Client, other: Client, log: list[str]
) -> None:
    other("ACL SETUSER low on nopass +@all ~a* &*")
    other("SET b x")
    sha = load(client, FREE)
    client("AUTH low x")
    refusal = client.refusal("SESSION BIND n 0", sha, "", 1, "b")
    assert refusal.startswith("NOPERM")
    assert client("SESSION BIND n 0", sha, "", 1, "a") == b"OK"
    assert client("SESSION BIND m 0", sha, "", 1, "ab") == b"OK"
    other("MSET a x ab x")
    other("ACL SETUSER low resetkeys ~ab")
    leave(client)
    assert [other(f"EXISTS {key}") for key in ("a", "ab", "b")] == [1, 0, 1]
    assert len(log) == 1
    assert "bound as 'n' by client" in log[0]
    assert "can't access at least one of the keys" in log[0]


def test_a_user_who_is_deleted_leaves_nothing(
    client: Client, other: Client, log: list[str]
) -> None:
    other("ACL SETUSER low on nopass +@all ~* &*")
    client("AUTH low x")
    bind(client, "a", MARK, "k", "x")
    client("AUTH default x")
    other("ACL DELUSER low")
    leave(client)
    assert other("EXISTS k") == 0
    assert log[0].endswith("failed: the user who bound it is there no more")


def test_failures_are_logged_and_change_nothing_for_others(
    client: Client, other: Client, log: list[str]
) -> None:
    bind(client, "bad", "return redis.call('INCR', KEYS[1])", "s")
    bind(client, "good", MARK, "k", "x")
    other("RPUSH s x")
    leave(client)
    assert other("GET k") == b"x"
    assert len(log) == 1
    assert "the end script " in log[0]
    assert "failed: WRONGTYPE" in log[0]


def test_a_flood_of_failures_is_logged_in_part(
    client: Client, other: Client, clock: Clock, engine: Engine, log: list[str]
) -> None:
    other("RPUSH s x")
    sha = load(client, COUNT)
    for number in range(100):
        client("SESSION BIND", number, 100, sha, sha, 1, "s")
    for _ in range(5):
        clock.advance(5000)
        while True:
            engine.cron()
            if not engine.is_behind:
                break
    # The first failure of each counts, and of those so many.
    assert len(log) == binding_runs._MOST_LINES
    assert log[-1].endswith("(what else fails in this second is not logged)")


def test_runs_are_counted_as_commands(
    client: Client, other: Client, engine: Engine
) -> None:
    bind(client, "a", MARK, "k", "x")
    before = engine.statistics.calls[b"EVALSHA"]
    leave(client)
    assert engine.statistics.calls[b"EVALSHA"] == before + 1


# What may stand in the way.


def test_a_pause_holds_runs_up(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", MARK, "k", "x")
    bind(other, "b", FREE, "n", keep=COUNT, keep_ms=100)
    assert WiredClient(engine)("CLIENT PAUSE 1000 WRITE") == b"OK"
    leave(client)
    clock.advance(999)
    engine.cron()
    assert (other("GET k"), other("GET n")) == (None, None)
    assert not engine.is_behind
    clock.advance(1)
    engine.cron()
    assert (other("GET k"), other("GET n")) == (b"x", b"1")


def test_without_memory_what_frees_runs_and_what_asks_fails(
    client: Client, other: Client, log: list[str]
) -> None:
    other("MSET lock x big", "x" * 10_000)
    bind(client, "frees", f"{FREE} redis.call('SET', 'next', 'x')", "lock")
    bind(client, "asks", MARK, "k", "x")
    other("CONFIG SET maxmemory 1")
    leave(client)
    other("CONFIG SET maxmemory 0")
    assert [other(f"EXISTS {key}") for key in ("lock", "next", "k")] == [0, 1, 0]
    assert len(log) == 1
    assert "OOM" in log[0]


def test_what_is_bound_runs_though_scripts_were_flushed(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    bind(client, "a", MARK, "k", "x", keep=COUNT, keep_ms=100)
    bound_bytes = engine.overhead_bytes()
    other("SCRIPT FLUSH")
    assert engine.overhead_bytes() == pytest.approx(bound_bytes, rel=0.5)
    clock.advance(100)
    engine.cron()
    assert other("GET k") == b"1"
    leave(client)
    assert other("GET k") == b"1x"
    assert engine.bindings is not None
    assert engine.bindings.runtime_bytes() == 0


def test_only_some_generations_of_scripts_may_be_bound(
    client: Client, other: Client
) -> None:
    for number in range(bindings.MOST_RUNTIMES):
        bind(client, str(number), f"{FREE} -- {number}", "k")
        other("SCRIPT FLUSH")
    sha = load(other, FREE)
    refusal = other.refusal("SESSION BIND a 0", sha, "", 0)
    assert refusal.startswith("ERR scripts of 4 generations")
    client("SESSION UNBIND 0")
    assert other("SESSION BIND a 0", sha, "", 0) == b"OK"


def test_scripts_that_are_loaded_again_need_no_old_generation(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    for number in range(3 * bindings.MOST_RUNTIMES):
        bind(client, str(number), MARK, "k", "x", keep=COUNT, keep_ms=100)
        other("SCRIPT FLUSH")
    # What it was bound with runs, by whichever generation.
    clock.advance(100)
    engine.cron()
    assert other("GET k") == b"12"
    leave(client)
    assert other("GET k") == b"12" + 12 * b"x"
    assert engine.bindings is not None
    assert engine.bindings.runtime_bytes() == 0


def test_nothing_runs_in_the_middle_of_a_script(
    client: Client, other: Client, clock: Clock, engine: Engine
) -> None:
    """A script that takes long lets others in, and one of them may go."""
    bind(client, "a", MARK, "k", "x")
    seen = []

    def let_others_in() -> None:
        leave(client)
        seen.append(engine.databases[0].data.get(b"k"))
        assert engine.busy is not None
        engine.busy.killed = True

    engine.on_busy = let_others_in
    engine.script_time_limit_ms = 1
    other("EVAL", "while true do end", 0)
    assert seen == [None]
    engine.cron()
    assert other("GET k") == b"x"


@pytest.fixture
def other(connect: Callable[[], Client]) -> Client:
    return connect()


@pytest.fixture
def log(engine: Engine) -> list[str]:
    """What the engine tells the log."""
    lines: list[str] = []
    engine.on_log = lambda line, level: lines.append(line)
    return lines
