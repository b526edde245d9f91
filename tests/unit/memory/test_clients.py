"""CLIENT: facts about clients, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, NO_REPLY, ErrorReply, Verbatim
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock

Wired = Callable[[], WiredClient]

FIELDS = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem"
    " multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver"
)


@pytest.fixture
def wired(engine: Engine) -> Wired:
    """Opens clients that have connections."""
    return lambda: WiredClient(engine)


def facts(client: Client) -> dict[str, str]:
    """What CLIENT INFO says."""
    text = client("CLIENT INFO").decode()
    return dict(field.split("=", 1) for field in text.split())


def listed(client: Client, line: str = "CLIENT LIST") -> list[int]:
    """The numbers of the clients that a CLIENT LIST gives."""
    return [int(line.split()[0][3:]) for line in client(line).decode().splitlines()]


# Facts.


def test_the_line_has_the_fields_of_redis_in_their_order(client: Client) -> None:
    text = client("CLIENT INFO")
    assert isinstance(text, Verbatim)
    assert [field.split("=")[0] for field in text.decode().split()] == FIELDS.split()
    assert text.endswith(b"\n")


def test_a_client_without_a_connection_has_usual_facts(client: Client) -> None:
    told = facts(client)
    assert (told["fd"], told["laddr"], told["idle"]) == ("-1", "", "0")


def test_the_connection_fills_its_fields(wired: Wired) -> None:
    client = wired()
    told = facts(client)
    assert told["laddr"] == "127.0.0.1:6379"
    assert told["addr"] == client.session.address.decode()
    assert (told["fd"], told["idle"], told["events"]) == (
        str(client.wire.facts()["fd"]),
        "3",
        "r",
    )


def test_the_line_follows_what_the_client_does(client: Client, clock: Clock) -> None:
    clock.advance(5000)
    client("HELLO 3")
    client("CLIENT SETNAME me")
    client("CLIENT SETINFO lib-name redis-py")
    client("CLIENT SETINFO LIB-VER 1.2")
    client("SELECT 3")
    client("SUBSCRIBE a b")
    client("PSUBSCRIBE p*")
    client("SSUBSCRIBE s")
    told = facts(client)
    expected = {
        "name": "me",
        "age": "5",
        "db": "3",
        "sub": "2",
        "psub": "1",
        "ssub": "1",
        "multi": "-1",
        "cmd": "client|info",
        "user": "default",
        "redir": "-1",
        "resp": "3",
        "lib-name": "redis-py",
        "lib-ver": "1.2",
    }
    assert {name: told[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("lines", "flags"),
    [
        ([], "N"),
        (["CLIENT NO-EVICT on"], "e"),
        (["CLIENT NO-TOUCH on"], "T"),
        (["CLIENT TRACKING on"], "t"),
        (["CLIENT TRACKING on BCAST"], "tB"),
        (["HELLO 3", "SUBSCRIBE a"], "P"),
        (["MONITOR"], "O"),
        (["CLIENT NO-EVICT on", "CLIENT NO-EVICT off"], "N"),
        (["CLIENT TRACKING on", "CLIENT TRACKING off"], "N"),
    ],
)
def test_flags(client: Client, lines: list[str], flags: str) -> None:
    for line in lines:
        client(line)
    assert facts(client)["flags"] == flags


def test_flags_of_others(client: Client, connect: Callable[[], Client]) -> None:
    waiting, queueing = connect(), connect()
    waiting("BLPOP l 0")
    queueing("WATCH k")
    queueing("MULTI")
    queueing("SET k v")
    client("SET k v")
    text = client("CLIENT LIST").decode()
    lines = [
        dict(field.split("=", 1) for field in line.split()) for line in text.splitlines()
    ]
    assert [line["flags"] for line in lines] == ["N", "b", "xd"]
    assert [line["multi"] for line in lines] == ["-1", "-1", "1"]
    assert int(lines[2]["multi-mem"]) > 0


def test_lists_by_type_and_number(client: Client, connect: Callable[[], Client]) -> None:
    listener = connect()
    listener("SUBSCRIBE a")
    mine, theirs = client.session.id, listener.session.id
    assert listed(client) == [mine, theirs]
    assert listed(client, "CLIENT LIST TYPE pubsub") == [theirs]
    assert listed(client, "CLIENT LIST type Normal") == [mine]
    assert listed(client, "CLIENT LIST TYPE master") == []
    assert listed(client, f"CLIENT LIST ID {theirs} 99 {mine}") == [theirs, mine]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'"),
        ("CLIENT LIST TYPE", "ERR syntax error"),
        ("CLIENT LIST TYPE normal ID 1", "ERR syntax error"),
        ("CLIENT LIST ID", "ERR syntax error"),
        ("CLIENT LIST ID x", "ERR Invalid client ID"),
        ("CLIENT ID x", "ERR wrong number of arguments for 'client|id' command"),
        ("CLIENT SETINFO lib-foo x", "ERR Unrecognized option 'lib-foo'"),
        ("CLIENT NO-EVICT maybe", "ERR syntax error"),
        ("CLIENT REPLY maybe", "ERR syntax error"),
        ("CLIENT KILL x", "ERR No such client"),
        ("CLIENT KILL ID x", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 1 FOO", "ERR syntax error"),
        ("CLIENT KILL FOO bar", "ERR syntax error"),
        ("CLIENT KILL TYPE foo", "ERR Unknown client type 'foo'"),
        ("CLIENT KILL USER nobody", "ERR No such user 'nobody'"),
        ("CLIENT KILL SKIPME perhaps", "ERR syntax error"),
        ("CLIENT KILL MAXAGE 0", "ERR maxage should be greater than 0"),
        ("CLIENT UNBLOCK x", "ERR value is not an integer or out of range"),
        (
            "CLIENT UNBLOCK 1 FOO",
            "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
        ),
        (
            "CLIENT UNBLOCK 1 ERROR x",
            "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'."
            " Try CLIENT HELP.",
        ),
        ("CLIENT FOO", "ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
    ],
)
def test_refusals(client: Client, line: str, text: str) -> None:
    assert client.refusal(line) == text


@pytest.mark.parametrize("name", ["a b", "a\n", "é"])
def test_names_are_one_visible_word(client: Client, name: str) -> None:
    text = client.refusal("CLIENT SETNAME", name)
    assert text == (
        "ERR Client names cannot contain spaces, newlines or special characters."
    )
    assert client.refusal("CLIENT SETINFO LIB-NAME", name).startswith("ERR lib-name cannot")


# Killing.


def test_killing_by_address(wired: Wired) -> None:
    client, other = wired(), wired()
    assert client("CLIENT KILL", other.session.address) == b"OK"
    assert (client.wire.is_closed, other.wire.is_closed) == (False, True)


def test_one_s_own_address_may_be_killed(wired: Wired) -> None:
    client = wired()
    assert client("CLIENT KILL", client.session.address) == b"OK"
    assert client.wire.is_closed


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("ID {id}", 1),
        ("ID {id} TYPE normal", 1),
        ("ID {id} TYPE pubsub", 0),
        ("ADDR {addr}", 1),
        ("LADDR 127.0.0.1:6379", 2),
        ("LADDR 127.0.0.1:1", 0),
        ("USER default", 2),
        ("USER default SKIPME no", 3),
        ("TYPE normal", 2),
        ("TYPE pubsub", 0),
        ("SKIPME yes", 2),
        ("MAXAGE 10", 0),
        ("MAXAGE 1", 1),
        ("ID {id} ADDR x", 0),
    ],
)
def test_killing_by_what_applies(
    wired: Wired, clock: Clock, words: str, count: int
) -> None:
    other = wired()
    clock.advance(2000)
    client, _ = wired(), wired()
    names = {"id": other.session.id, "addr": other.session.address.decode()}
    reply = client(f"CLIENT KILL {words.format(**names)}")
    assert reply in (count, [count])
    assert other.wire.is_closed == (count > 0)


def test_a_client_without_a_connection_is_closed_at_once(
    engine: Engine, client: Client, connect: Callable[[], Client]
) -> None:
    other = connect()
    assert client(f"CLIENT KILL ID {other.session.id}") == 1
    assert other.session.id not in engine.sessions


# Waits.


def test_a_wait_is_ended_as_by_time_or_as_a_failure(
    client: Client, connect: Callable[[], Client]
) -> None:
    other = connect()
    assert other("BLPOP l 0") is BLOCKED
    assert client(f"CLIENT UNBLOCK {other.session.id}") == 1
    assert other("BLPOP l 0") is BLOCKED
    assert client(f"CLIENT UNBLOCK {other.session.id} ERROR") == 1
    assert client(f"CLIENT UNBLOCK {other.session.id}") == 0
    null, failure = other.delivered
    assert repr(null) == "NULL_ARRAY"
    assert failure == ErrorReply(b"UNBLOCKED client unblocked via CLIENT UNBLOCK")


# Replies.


def test_replies_are_held_back(client: Client) -> None:
    assert client("CLIENT REPLY OFF") is NO_REPLY
    assert client("SET k v") is NO_REPLY
    assert client("CLIENT REPLY SKIP") is NO_REPLY
    assert client("CLIENT REPLY ON") == b"OK"
    assert client("GET k") == b"v"
    assert client("CLIENT REPLY SKIP") is NO_REPLY
    assert client("GET k") is NO_REPLY
    assert client("GET k") == b"v"


@pytest.mark.parametrize(("mode", "then"), [("OFF", NO_REPLY), ("SKIP", b"PONG")])
def test_the_reply_to_a_wait_is_held_back_too(
    client: Client, connect: Callable[[], Client], mode: str, then: object
) -> None:
    client(f"CLIENT REPLY {mode}")
    assert client("BLPOP l 0") is BLOCKED
    connect()("RPUSH l item")
    assert client.delivered == [NO_REPLY]
    assert client("PING") == then
