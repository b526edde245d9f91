"""DEBUG: who may use it, and what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BigNumber, ErrorReply, Status, Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock


@pytest.fixture
def tester(engine: Engine, client: Client) -> Client:
    """A client that may use DEBUG."""
    engine.settings.load("enable-debug-command", ["yes"])
    return client


def digest(client: Client) -> bytes:
    reply = client("DEBUG DIGEST")
    assert type(reply) is Status
    assert len(reply) == 40
    return reply


# Who may.


def test_nobody_may_debug_unless_it_is_set(client: Client) -> None:
    assert client.refusal("DEBUG DIGEST").startswith("ERR DEBUG command not allowed.")
    refusal = client.refusal("CONFIG SET enable-debug-command yes")
    assert "immutable" in refusal


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        (b"", True),
        (b"/run/socket:0", True),
        (b"127.0.0.1:1234", True),
        (b"[::1]:1234", True),
        (b"::1:1234", True),
        (b"[::ffff:127.0.0.1]:1234", True),
        (b"10.0.0.1:1234", False),
        (b"[2001:db8::1]:1234", False),
    ],
)
def test_local_clients_may_if_it_is_set_to_local(
    engine: Engine, client: Client, address: bytes, is_local: bool
) -> None:
    engine.settings.load("enable-debug-command", ["local"])
    client.session.address = address
    reply = client("DEBUG DIGEST")
    assert isinstance(reply, ErrorReply) is not is_local


@pytest.mark.parametrize("line", ["DEBUG NOTHING", "DEBUG SLEEP", "DEBUG ERROR a b"])
def test_unknown_subcommands_are_refused(tester: Client, line: str) -> None:
    assert tester.refusal(line) == (
        "ERR unknown subcommand or wrong number of arguments for"
        f" '{line.split()[1]}'. Try DEBUG HELP."
    )


# Digests.


def test_the_digest_of_nothing_is_zero(tester: Client) -> None:
    assert digest(tester) == b"0" * 40
    assert tester("DEBUG DIGEST-VALUE nothing") == [b"0" * 40]
    assert tester("DEBUG DIGEST-VALUE") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SADD k a b c", "SADD k c b a"),
        ("HSET k a 1 b 2", "HSET k b 2 a 1"),
        ("ZADD k 1 a 2 b", "ZADD k 2 b 1 a"),
        ("MSET a 1 b 2", "MSET b 2 a 1"),
    ],
)
def test_the_order_of_making_does_not_count(tester: Client, one: str, other: str) -> None:
    tester(one)
    first = digest(tester)
    tester("FLUSHALL")
    assert digest(tester) == b"0" * 40
    tester(other)
    assert digest(tester) == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RPUSH k a b", "RPUSH k b a"),
        ("RPUSH k ab c", "RPUSH k a bc"),
        ("SET k a", "SET k b"),
        ("SET k a", "SET j a"),
        ("SADD k a", "RPUSH k a"),
        ("SADD k a", "SET k a"),
        ("HSET k a b", "HSET k b a"),
        ("HSET k a b c d", "HSET k a d c b"),
        ("ZADD k 1 a", "ZADD k 2 a"),
        ("SET k a", "SET k a PX 100"),
        ("SET k a PX 100", "SET k a PX 101"),
        ("HSET k a b c d", "SADD k a b c d"),
        ("HSET k a b", "HSET k a b;HPEXPIRE k 1000 FIELDS 1 a"),
        ("HSET k a b;HPEXPIRE k 1000 FIELDS 1 a", "HSET k a b;HPEXPIRE k 9 FIELDS 1 a"),
    ],
)
def test_what_differs_has_another_digest(tester: Client, one: str, other: str) -> None:
    for line in one.split(";"):
        tester(line)
    first, first_value = digest(tester), tester("DEBUG DIGEST-VALUE k")
    tester("FLUSHALL")
    for line in other.split(";"):
        tester(line)
    assert digest(tester) != first
    assert tester("DEBUG DIGEST-VALUE k") != first_value or "j" in other


def test_the_digest_has_the_databases(tester: Client) -> None:
    tester("SET k v")
    first = digest(tester)
    tester("SWAPDB 0 1")
    assert digest(tester) != first


def test_a_digest_of_a_value_leaves_its_name_out(tester: Client) -> None:
    tester("RPUSH a x y")
    tester("RPUSH b x y")
    first, second = tester("DEBUG DIGEST-VALUE a b")
    assert first == second


def test_what_has_expired_is_in_no_digest(tester: Client, clock: Clock) -> None:
    tester("SET k v PX 10")
    clock.advance(11)
    assert digest(tester) == b"0" * 40


# The others.


def test_active_expiry_can_be_switched_off(
    engine: Engine, tester: Client, clock: Clock
) -> None:
    tester("SET k v PX 10")
    tester("DEBUG SET-ACTIVE-EXPIRE 0")
    clock.advance(5000)
    engine.cron()
    assert tester("DBSIZE") == 1
    tester("DEBUG SET-ACTIVE-EXPIRE 1")
    engine.cron()
    assert tester("DBSIZE") == 0


def test_sleep_takes_its_time(tester: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("sharedstate_memory.commands.debugging.sleep", slept.append)
    assert tester("DEBUG SLEEP 0.25") == b"OK"
    tester("DEBUG SLEEP -1")
    tester("DEBUG SLEEP 1e9")
    assert slept == [0.25, 0.0, 60.0]


def test_objects_are_described(tester: Client) -> None:
    tester("SET k 12")
    reply = tester("DEBUG OBJECT k")
    assert type(reply) is Status
    text = reply.decode()
    assert text.startswith("Value at:0x")
    assert " encoding:int serializedlength:" in text
    assert tester.refusal("DEBUG OBJECT nothing") == "ERR no such key"


def test_keys_are_made_by_the_number(tester: Client) -> None:
    tester("SET k:1 mine")
    assert tester("DEBUG POPULATE 3 k 4") == b"OK"
    assert tester("MGET k:0 k:1 k:2") == [b"valu", b"mine", b"valu"]
    tester("DEBUG POPULATE 2")
    assert tester("MGET key:0 key:1") == [b"value:0", b"value:1"]
    tester("DEBUG POPULATE 1 z 9")
    assert tester("GET z:0") == b"value:0\0\0"


def test_errors_are_answered_as_given(tester: Client) -> None:
    assert tester.refusal("DEBUG ERROR", "MINE my text") == "MINE my text"


def test_patterns_are_tested_against_long_strings(tester: Client) -> None:
    assert tester("DEBUG STRINGMATCH-LEN 10000 a*a*a*a*a*a*a*a*a*a*a*a*b") == 0
    assert tester("DEBUG STRINGMATCH-LEN 10 a*") == 1


def test_reloading_is_refused(tester: Client) -> None:
    assert "keeps nothing on disk" in tester.refusal("DEBUG RELOAD")
    assert tester("DEBUG QUICKLIST-PACKED-THRESHOLD 100b") == b"OK"
    assert tester("DEBUG LOG hello") == b"OK"


def test_help_tells_every_subcommand(tester: Client) -> None:
    lines = tester("DEBUG HELP")
    assert {type(line) for line in lines} == {Status}
    for name in (b"SLEEP <seconds>", b"DIGEST", b"PROTOCOL <type>", b"HELP"):
        assert name in lines


def test_every_type_of_a_reply_can_be_asked_for(
    tester: Client, connect: Callable[[], Client]
) -> None:
    expected = {
        "string": b"Hello World",
        "integer": 12345,
        "double": 3.141,
        "null": None,
        "array": [0, 1, 2],
        "set": {0, 1, 2},
        "map": {0: False, 1: True, 2: False},
        "true": True,
        "false": False,
        "attrib": b"Some real reply following the attribute",
    }
    for name, reply in expected.items():
        assert tester(f"DEBUG PROTOCOL {name}") == reply
    assert type(tester("DEBUG PROTOCOL verbatim")) is Verbatim
    assert type(tester("DEBUG PROTOCOL bignum")) is BigNumber
    assert tester.refusal("DEBUG PROTOCOL push").startswith("ERR RESP2 is not supported")
    assert tester.refusal("DEBUG PROTOCOL x").startswith("ERR Wrong protocol type name.")
