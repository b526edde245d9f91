"""Client-side caching: broadcasting, telling another client, and the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.unit.memory.caching import caching, told

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

Connect = Callable[[], "Client"]


# Broadcasting.


def test_every_change_is_broadcast(client: Client, connect: Connect) -> None:
    reader = caching(connect, "BCAST")
    client("SET a 1")
    client("MSET b 1 c 1 b 2")
    client("GET a")
    assert told(reader) == [[b"a"], [b"b", b"c"]]


def test_changes_below_prefixes_are_broadcast(client: Client, connect: Connect) -> None:
    reader = caching(connect, "BCAST PREFIX a PREFIX b")
    client("MSET a1 1 b1 1 c1 1 a2 1")
    assert told(reader) == [[b"a1", b"a2"], [b"b1"]]


def test_a_transaction_is_broadcast_as_one(client: Client, connect: Connect) -> None:
    reader = caching(connect, "BCAST")
    for line in ("MULTI", "SET a 1", "SET b 1", "EXEC"):
        client(line)
    assert told(reader) == [[b"a", b"b"]]


def test_one_s_own_changes_may_be_left_out_of_what_is_broadcast(
    client: Client, connect: Connect
) -> None:
    reader = caching(connect, "BCAST NOLOOP")
    reader("SET a 1")
    assert told(reader) == []
    client("SET a 1")
    assert told(reader) == [[b"a"]]


def test_prefixes_add_up(client: Client, connect: Connect) -> None:
    reader = caching(connect, "BCAST PREFIX a")
    reader("CLIENT TRACKING ON BCAST PREFIX b")
    client("MSET a 1 b 1")
    assert told(reader) == [[b"a"], [b"b"]]


# Another client is told.


def test_a_client_of_resp2_is_told_in_place_of_the_reader(
    client: Client, connect: Connect
) -> None:
    listener, reader = connect(), connect()
    listener("SUBSCRIBE __redis__:invalidate")
    reader(f"CLIENT TRACKING ON REDIRECT {listener.session.id}")
    reader("GET k")
    client("SET k 1")
    client("FLUSHALL")
    assert listener.delivered == [
        [b"message", b"__redis__:invalidate", [b"k"]],
        [b"message", b"__redis__:invalidate", None],
    ]
    assert reader.delivered == []


def test_one_that_does_not_listen_is_told_nothing(client: Client, connect: Connect) -> None:
    listener, reader = connect(), connect()
    reader(f"CLIENT TRACKING ON REDIRECT {listener.session.id}")
    reader("GET k")
    client("SET k 1")
    assert listener.delivered == []


def test_a_client_of_resp3_is_told_by_a_push(client: Client, connect: Connect) -> None:
    listener, reader = connect(), connect()
    listener("HELLO 3")
    reader(f"CLIENT TRACKING ON REDIRECT {listener.session.id}")
    reader("GET k")
    client("SET k 1")
    assert told(listener) == [[b"k"]]


def test_the_reader_hears_that_nobody_is_told_any_more(
    engine: Engine, client: Client, connect: Connect
) -> None:
    listener = connect()
    reader = caching(connect, f"REDIRECT {listener.session.id}")
    reader("GET k")
    engine.close_session(listener.session)
    client("SET k 1")
    assert reader.delivered == [[b"tracking-redir-broken", listener.session.id]]
    assert reader("CLIENT TRACKINGINFO")[b"flags"] == {b"on", b"broken_redirect"}
    assert b"flags=tR " in reader("CLIENT INFO")


# The commands.


def test_what_is_tracked_can_be_asked(connect: Connect) -> None:
    other, client = connect(), connect()
    assert client("CLIENT TRACKINGINFO") == {
        b"flags": [b"off"],
        b"redirect": -1,
        b"prefixes": [],
    }
    assert client("CLIENT GETREDIR") == -1
    number = other.session.id
    client(f"CLIENT TRACKING ON BCAST PREFIX a PREFIX b NOLOOP REDIRECT {number}")
    assert client("CLIENT TRACKINGINFO") == {
        b"flags": [b"on", b"bcast", b"noloop"],
        b"redirect": number,
        b"prefixes": [b"a", b"b"],
    }
    assert client("CLIENT GETREDIR") == number
    client("RESET")
    assert client("CLIENT GETREDIR") == -1


def test_the_choice_can_be_asked(client: Client) -> None:
    client("CLIENT TRACKING ON OPTIN")
    client("CLIENT CACHING YES")
    flags = client("CLIENT TRACKINGINFO")[b"flags"]
    assert flags == [b"on", b"optin", b"caching-yes"]


_SWITCH = "before disabling tracking for this client, and then re-enabling it with"


@pytest.mark.parametrize(
    ("before", "line", "text"),
    [
        ("", "TRACKING maybe", "ERR syntax error"),
        ("", "TRACKING ON FOO", "ERR syntax error"),
        ("", "TRACKING ON PREFIX", "ERR syntax error"),
        ("", "TRACKING ON PREFIX a", "ERR PREFIX option requires BCAST mode to be enabled"),
        (
            "",
            "TRACKING ON REDIRECT 99",
            "ERR The client ID you want redirect to does not exist",
        ),
        ("", "TRACKING ON REDIRECT x", "ERR value is not an integer or out of range"),
        (
            "",
            "TRACKING ON OPTIN OPTOUT",
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ),
        (
            "",
            "TRACKING ON BCAST OPTIN",
            "ERR OPTIN and OPTOUT are not compatible with BCAST",
        ),
        ("BCAST", "TRACKING ON", f"ERR You can't switch BCAST mode on/off {_SWITCH}"),
        (
            "OPTOUT",
            "TRACKING ON OPTIN",
            f"ERR You can't switch OPTIN/OPTOUT mode {_SWITCH}",
        ),
        (
            "",
            "TRACKING ON BCAST PREFIX a PREFIX ab",
            "ERR Prefix 'a' overlaps with another provided prefix 'ab'.",
        ),
        (
            "BCAST PREFIX a",
            "TRACKING ON BCAST PREFIX abc",
            "ERR Prefix 'abc' overlaps with an existing prefix 'a'.",
        ),
        ("BCAST", "TRACKING ON BCAST PREFIX a", "ERR Prefix 'a' overlaps with an existing"),
        ("", "CACHING YES", "ERR CLIENT CACHING YES is only valid when"),
        ("OPTIN", "CACHING NO", "ERR CLIENT CACHING NO is only valid when"),
        ("OPTIN", "CACHING maybe", "ERR syntax error"),
    ],
)
def test_refusals(client: Client, before: str, line: str, text: str) -> None:
    if before or line.startswith("CACHING"):
        client(f"CLIENT TRACKING ON {before}")
    assert client.refusal(f"CLIENT {line}").startswith(text)


def test_a_choice_needs_tracking(client: Client) -> None:
    assert client.refusal("CLIENT CACHING YES").startswith(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode"
    )
