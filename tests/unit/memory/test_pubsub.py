"""Channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import Many, Push

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

    Connect = Callable[[], Client]


def test_messages_reach_who_listens(client: Client, connect: Connect) -> None:
    listener = connect()
    assert listener("SUBSCRIBE news") == [b"subscribe", b"news", 1]
    assert client("PUBLISH news hello") == 1
    assert client("PUBLISH other hello") == 0
    assert listener.delivered == [[b"message", b"news", b"hello"]]
    assert isinstance(listener.delivered[0], Push)


def test_patterns_get_messages_too(client: Client, connect: Connect) -> None:
    listener = connect()
    listener("SUBSCRIBE news")
    listener("PSUBSCRIBE n* *x")
    assert client("PUBLISH news hello") == 2
    assert listener.delivered == [
        [b"message", b"news", b"hello"],
        [b"pmessage", b"n*", b"news", b"hello"],
    ]


def test_several_channels_are_confirmed_one_by_one(client: Client) -> None:
    reply = client("SUBSCRIBE a b a")
    assert isinstance(reply, Many)
    assert reply == [
        [b"subscribe", b"a", 1],
        [b"subscribe", b"b", 2],
        [b"subscribe", b"a", 2],
    ]


def test_unsubscribing_from_some_or_all(client: Client, connect: Connect) -> None:
    listener = connect()
    listener("SUBSCRIBE a b c")
    assert listener("UNSUBSCRIBE b") == [b"unsubscribe", b"b", 2]
    assert listener("UNSUBSCRIBE") == [[b"unsubscribe", b"a", 1], [b"unsubscribe", b"c", 0]]
    assert listener("UNSUBSCRIBE") == [b"unsubscribe", None, 0]
    assert listener("PUNSUBSCRIBE x") == [b"punsubscribe", b"x", 0]
    assert client("PUBLISH a hello") == 0


def test_resp2_takes_few_commands_while_subscribed(client: Client) -> None:
    client("SUBSCRIBE a")
    text = client.refusal("GET k")
    assert text.startswith("ERR Can't execute 'get': only (P|S)SUBSCRIBE")
    assert client("PING") == [b"pong", b""]
    assert client("PING hi") == [b"pong", b"hi"]
    client("UNSUBSCRIBE a")
    assert client("GET k") is None


def test_resp3_takes_every_command_while_subscribed(client: Client) -> None:
    client("HELLO 3")
    client("SUBSCRIBE a")
    assert client("PING") == b"PONG"
    assert client("PUBLISH a hi") == 1
    assert client.delivered == [[b"message", b"a", b"hi"]]


def test_reset_ends_subscriptions(client: Client) -> None:
    client("SUBSCRIBE a")
    assert client("RESET") == b"RESET"
    assert client("GET k") is None


def test_inspection(client: Client, connect: Connect) -> None:
    connect()("SUBSCRIBE news sport")
    connect()("SUBSCRIBE news")
    connect()("PSUBSCRIBE n*")
    assert sorted(client("PUBSUB CHANNELS")) == [b"news", b"sport"]
    assert client("PUBSUB CHANNELS s*") == [b"sport"]
    assert client("PUBSUB NUMSUB news none") == [b"news", 2, b"none", 0]
    assert client("PUBSUB NUMPAT") == 1


@pytest.mark.parametrize("line", ["SUBSCRIBE a", "PSUBSCRIBE a*"])
def test_a_closed_session_hears_nothing(
    engine: Engine, client: Client, connect: Connect, line: str
) -> None:
    listener = connect()
    listener(line)
    engine.close_session(listener.session)
    engine.close_session(listener.session)
    assert client("PUBLISH a hi") == 0
