"""Channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import Many, Push
from tests.unit.memory.wires import WiredClient

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


# Sharded channels.


def test_sharded_messages_reach_who_listens(client: Client, connect: Connect) -> None:
    listener = connect()
    assert listener("SSUBSCRIBE news") == [b"ssubscribe", b"news", 1]
    assert client("SPUBLISH news hello") == 1
    assert listener.delivered == [[b"smessage", b"news", b"hello"]]
    assert listener("SUNSUBSCRIBE news") == [b"sunsubscribe", b"news", 0]
    assert client("SPUBLISH news hello") == 0


def test_sharded_channels_are_channels_of_their_own(
    client: Client, connect: Connect
) -> None:
    sharded, usual, pattern = connect(), connect(), connect()
    sharded("SSUBSCRIBE news")
    usual("SUBSCRIBE news")
    pattern("PSUBSCRIBE n*")
    assert client("SPUBLISH news sharded") == 1
    assert client("PUBLISH news usual") == 2
    assert sharded.delivered == [[b"smessage", b"news", b"sharded"]]
    assert usual.delivered == [[b"message", b"news", b"usual"]]


def test_sharded_subscriptions_are_counted_by_themselves(client: Client) -> None:
    client("HELLO 3")
    client("SUBSCRIBE a b")
    assert client("SSUBSCRIBE a") == [b"ssubscribe", b"a", 1]
    assert client("PSUBSCRIBE a*") == [b"psubscribe", b"a*", 3]
    assert client("SUNSUBSCRIBE") == [b"sunsubscribe", b"a", 0]
    assert client("SUNSUBSCRIBE") == [b"sunsubscribe", None, 0]
    assert client("UNSUBSCRIBE a") == [b"unsubscribe", b"a", 2]


def test_inspection_of_sharded_channels(client: Client, connect: Connect) -> None:
    connect()("SSUBSCRIBE news sport")
    connect()("SSUBSCRIBE news")
    assert sorted(client("PUBSUB SHARDCHANNELS")) == [b"news", b"sport"]
    assert client("PUBSUB SHARDCHANNELS s*") == [b"sport"]
    assert client("PUBSUB SHARDNUMSUB news none") == [b"news", 2, b"none", 0]
    assert client("PUBSUB CHANNELS") == []


def test_resp2_takes_few_commands_while_subscribed_to_a_shard(client: Client) -> None:
    client("SSUBSCRIBE a")
    assert client.refusal("GET k").startswith("ERR Can't execute 'get'")
    assert client("PING") == [b"pong", b""]
    client("SUNSUBSCRIBE")
    assert client("GET k") is None


@pytest.mark.parametrize("what", ["CHANNELS", "SHARDCHANNELS"])
def test_inspection_takes_one_pattern(client: Client, what: str) -> None:
    assert client.refusal(f"PUBSUB {what} a b") == (
        f"ERR unknown subcommand or wrong number of arguments for '{what}'."
        " Try PUBSUB HELP."
    )


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("ab*", ["ab", "abc"], ["a", "b", "xab"]),
        ("*", ["", "a"], []),
        ("a?c*", ["abc", "abcd"], ["ab", "ac"]),
        ("a\\*", ["a*"], ["ab", "a"]),
        ("[ab]c", ["ac", "bc"], ["cc", "c"]),
        ("abc", ["abc"], ["ab", "abcd"]),
    ],
)
def test_what_patterns_match(
    client: Client, connect: Connect, pattern: str, matching: list[str], others: list[str]
) -> None:
    listener = connect()
    listener("PSUBSCRIBE", pattern)
    assert [client("PUBLISH", channel, "m") for channel in matching] == [1] * len(matching)
    assert [client("PUBLISH", channel, "m") for channel in others] == [0] * len(others)


def test_a_channel_shorter_than_a_pattern_gets_its_message_once(
    client: Client, connect: Connect
) -> None:
    listener = connect()
    listener("PSUBSCRIBE ab* abcdefgh* a*")
    assert client("PUBLISH ab m") == 2
    listener("PUNSUBSCRIBE a* abcdefgh*")
    assert client("PUBLISH ab m") == 1
    listener("PUNSUBSCRIBE")
    assert client("PUBLISH ab m") == 0


def test_a_message_looks_only_at_the_patterns_that_begin_as_its_channel(
    client: Client, connect: Connect
) -> None:
    listener = connect()
    listener("PSUBSCRIBE", *[f"user:{number:04}:?" for number in range(1000)])
    assert client("PUBSUB NUMPAT") == 1000
    assert client("PUBLISH user:0500:x m") == 1
    assert listener.delivered == [[b"pmessage", b"user:0500:?", b"user:0500:x", b"m"]]


# What else a message is.


def test_messages_are_effects(
    client: Client, effects: list[tuple[int, list[bytes]]]
) -> None:
    client("PUBLISH c m")
    client("SPUBLISH c m")
    client("EVAL", "redis.call('publish', 'c', 'from a script')", 0)
    assert [argv for _, argv in effects] == [
        [b"PUBLISH", b"c", b"m"],
        [b"SPUBLISH", b"c", b"m"],
        [b"publish", b"c", b"from a script"],
    ]


def test_a_message_to_oneself_comes_after_the_reply(engine: Engine) -> None:
    client = WiredClient(engine)
    client("HELLO 3")
    client("SUBSCRIBE a")
    assert client("PUBLISH a m") == [1, [b"message", b"a", b"m"]]
    client("MULTI")
    client("PUBLISH a m")
    client("PING")
    assert client("EXEC") == [[1, b"PONG"], [b"message", b"a", b"m"]]
    assert client.delivered == []
