"""Client-side caching: who is told of which keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.unit.memory.caching import caching, told
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

Connect = Callable[[], "Client"]


@pytest.fixture
def reader(connect: Connect) -> Client:
    """A client that caches what it reads."""
    return caching(connect)


# The default mode.


def test_a_reader_is_told_once_of_a_change(client: Client, reader: Client) -> None:
    reader("GET k")
    client("SET k 1")
    client("SET k 2")
    assert told(reader) == [[b"k"]]


def test_keys_that_were_not_read_do_not_matter(client: Client, reader: Client) -> None:
    reader("GET k")
    client("SET other 1")
    assert told(reader) == []


@pytest.mark.parametrize(
    "change",
    ["DEL k", "EXPIRE k 100", "APPEND k x", "RENAME k j", "RENAME j k", "GETDEL k"],
)
def test_all_changes_count(client: Client, reader: Client, change: str) -> None:
    client("MSET k 1 j 1")
    reader("GET k")
    client(change)
    assert told(reader) == [[b"k"]]


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("MGET k j", {b"k", b"j"}),
        ("EXISTS k j", {b"k", b"j"}),
        ("OBJECT ENCODING k", {b"k"}),
        ("SINTERCARD 2 k j", {b"k", b"j"}),
        ("SORT_RO k", {b"k"}),
        ("GETEX k", set()),
        ("KEYS *", set()),
        ("WATCH k", set()),
    ],
)
def test_the_keys_of_commands_that_only_read_are_remembered(
    client: Client, reader: Client, line: str, keys: set[bytes]
) -> None:
    reader(line)
    client("MSET k 1 j 1 l 1")
    assert {key for (key,) in told(reader)} == keys


def test_one_s_own_change_counts(reader: Client) -> None:
    reader("GET k")
    reader("SET k 1")
    assert told(reader) == [[b"k"]]


def test_one_s_own_change_may_be_left_out(client: Client, connect: Connect) -> None:
    reader = caching(connect, "NOLOOP")
    reader("GET k")
    reader("SET k 1")
    assert told(reader) == []
    reader("GET k")
    client("SET k 2")
    assert told(reader) == [[b"k"]]


def test_keys_read_in_a_transaction_are_remembered(client: Client, reader: Client) -> None:
    reader("MULTI")
    reader("GET k")
    client("SET k 1")
    assert told(reader) == []
    reader("EXEC")
    client("SET k 2")
    assert told(reader) == [[b"k"]]


def test_keys_that_a_script_reads_are_remembered(client: Client, reader: Client) -> None:
    script = "return redis.call('get', KEYS[1])"
    reader("EVAL_RO", script, 2, "k", "not read")
    client("SET k 1")
    client("SET", b"not read", 1)
    assert told(reader) == [[b"k"]]


def test_what_others_scripts_read_does_not_matter(client: Client, reader: Client) -> None:
    client("EVAL", "return redis.call('get', KEYS[1])", 1, "k")
    client("SET k 1")
    assert told(reader) == []


def test_expiry_counts(
    engine: Engine, client: Client, reader: Client, clock: Clock
) -> None:
    client("SET read 1 PX 10")
    client("SET forgotten 1 PX 10")
    reader("MGET read forgotten")
    clock.advance(10)
    client("GET read")
    assert told(reader) == [[b"read"]]
    clock.advance(1000)
    engine.cron()
    assert told(reader) == [[b"forgotten"]]


def test_eviction_counts(engine: Engine, client: Client, reader: Client) -> None:
    client("SET k 1")
    reader("GET k")
    engine.databases[0].evict(b"k")
    assert told(reader) == [[b"k"]]


@pytest.mark.parametrize("line", ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"])
def test_flushing_is_told_once_as_everything(
    client: Client, reader: Client, line: str
) -> None:
    reader("GET k")
    client(line)
    assert told(reader) == [None]
    client("SET k 1")
    assert told(reader) == []


def test_a_client_of_resp2_is_told_nothing(client: Client, connect: Connect) -> None:
    reader = connect()
    reader("CLIENT TRACKING ON")
    reader("GET k")
    client("SET k 1")
    assert told(reader) == []


def test_tracking_ends(engine: Engine, client: Client, reader: Client) -> None:
    reader("GET k")
    reader("CLIENT TRACKING OFF")
    client("SET k 1")
    assert told(reader) == []
    assert engine.tracking is None
    assert not engine.databases[0].attentive


@pytest.mark.parametrize("words", ["", "BCAST PREFIX k"])
def test_a_closed_session_tracks_nothing(
    engine: Engine, client: Client, connect: Connect, words: str
) -> None:
    reader = caching(connect, words)
    reader("GET k")
    engine.close_session(reader.session)
    client("SET k 1")
    assert reader.delivered == []
    assert engine.tracking is None


def test_the_table_forgets_what_was_read_first(
    engine: Engine, client: Client, reader: Client
) -> None:
    client("CONFIG SET tracking-table-max-keys 2")
    for key in "abc":
        reader(f"GET {key}")
    assert told(reader) == [[b"a"]]
    client("CONFIG SET tracking-table-max-keys 1")
    assert told(reader) == [[b"b"]]
    assert engine.tracking is not None
    assert engine.tracking.key_count == engine.tracking.item_count == 1


# Choosing what is remembered.


def test_opting_in(client: Client, connect: Connect) -> None:
    reader = caching(connect, "OPTIN")
    reader("GET a")
    reader("CLIENT CACHING YES")
    reader("GET b")
    reader("GET c")
    client("MSET a 1 b 1 c 1")
    assert told(reader) == [[b"b"]]


def test_opting_out(client: Client, connect: Connect) -> None:
    reader = caching(connect, "OPTOUT")
    reader("GET a")
    reader("CLIENT CACHING NO")
    reader("GET b")
    reader("GET c")
    client("MSET a 1 b 1 c 1")
    assert told(reader) == [[b"a"], [b"c"]]


@pytest.mark.parametrize(
    "lines",
    [
        ["CLIENT CACHING YES", "MULTI", "GET a", "GET b", "EXEC", "GET c"],
        ["MULTI", "CLIENT CACHING YES", "GET a", "GET b", "EXEC", "GET c"],
    ],
)
def test_a_choice_holds_for_a_whole_transaction(
    client: Client, connect: Connect, lines: list[str]
) -> None:
    reader = caching(connect, "OPTIN")
    for line in lines:
        reader(line)
    client("MSET a 1 b 1 c 1")
    assert told(reader) == [[b"a"], [b"b"]]


# Its own messages come after the reply.


@pytest.mark.parametrize("words", ["", "BCAST"])
def test_a_reply_comes_before_what_its_command_invalidates(
    engine: Engine, words: str
) -> None:
    reader = WiredClient(engine)
    reader("HELLO 3")
    reader(f"CLIENT TRACKING ON {words}")
    reader("GET k")
    assert reader("SET k 1") == [b"OK", [b"invalidate", [b"k"]]]
    assert reader("PING") == b"PONG"
    assert reader.delivered == []


def test_a_transaction_s_reply_comes_before_what_it_invalidates(engine: Engine) -> None:
    reader = WiredClient(engine)
    reader("HELLO 3")
    reader("CLIENT TRACKING ON")
    reader("GET k")
    reader("MULTI")
    reader("SET k 1")
    assert reader("EXEC") == [[b"OK"], [b"invalidate", [b"k"]]]
