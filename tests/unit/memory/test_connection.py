"""Connections: protocols, passwords, names, and how replies are held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import NO_REPLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.memory.conftest import Client


def test_a_stranger_can_do_nothing(stranger: Client) -> None:
    assert stranger.refusal("GET k") == "NOAUTH Authentication required."
    assert stranger.refusal("MULTI").startswith("NOAUTH")
    assert stranger.refusal("HELLO 3").startswith("NOAUTH HELLO must be called")


@pytest.mark.parametrize(
    "line", ["AUTH secret", "AUTH default secret", "HELLO 3 AUTH default secret"]
)
def test_the_password_lets_in(stranger: Client, line: str) -> None:
    stranger(line)
    assert stranger("SET k v") == b"OK"


@pytest.mark.parametrize(
    "line", ["AUTH wrong", "AUTH other secret", "HELLO 2 AUTH default secre", "AUTH x y"]
)
def test_anything_else_keeps_out(stranger: Client, line: str) -> None:
    assert stranger.refusal(line).startswith("WRONGPASS")
    assert stranger.refusal("GET k").startswith("NOAUTH")


def test_reset_asks_for_the_password_again(stranger: Client) -> None:
    stranger("AUTH secret")
    stranger("RESET")
    assert stranger.refusal("GET k").startswith("NOAUTH")


def test_a_password_nobody_set_is_an_error(client: Client) -> None:
    assert client.refusal("AUTH x").startswith("ERR AUTH <password> called without any")
    assert client("AUTH default whatever") == b"OK"


def test_hello_agrees_on_a_protocol(client: Client) -> None:
    reply = client("HELLO 3 SETNAME me")
    assert reply[b"proto"] == 3
    assert reply[b"server"] == b"redis"
    assert client.session.protocol == 3
    assert client("CLIENT GETNAME") == b"me"
    assert client("HELLO")[b"proto"] == 3


def test_hello_refuses_what_it_does_not_know(client: Client) -> None:
    assert client.refusal("HELLO 4") == "NOPROTO unsupported protocol version"
    assert client.refusal("HELLO x").startswith("ERR Protocol version is not")
    assert client.refusal("HELLO 3 WHAT").startswith("ERR Syntax error in HELLO option")
    assert client.session.protocol == 2


def test_databases_are_apart(client: Client) -> None:
    client("SET k v")
    assert client("SELECT 15") == b"OK"
    assert client("GET k") is None
    assert client.refusal("SELECT 16") == "ERR DB index is out of range"
    assert client.refusal("SELECT x") == "ERR value is not an integer or out of range"


def test_small_talk(client: Client) -> None:
    assert client("PING") == b"PONG"
    assert client("PING", b"a b") == b"a b"
    assert client("ECHO hi") == b"hi"
    assert client("QUIT") == b"OK"
    assert client.session.closing


def test_names(client: Client) -> None:
    assert client("CLIENT GETNAME") is None
    assert client("CLIENT SETNAME me") == b"OK"
    assert client("CLIENT GETNAME") == b"me"
    assert "cannot contain spaces" in client.refusal("CLIENT SETNAME", b"a b")
    assert client("CLIENT SETINFO lib-name redis-py") == b"OK"


def test_clients_are_listed(client: Client, connect: Callable[[], Client]) -> None:
    other = connect()
    other("CLIENT SETNAME other")
    other("SUBSCRIBE c")
    lines = client("CLIENT LIST").decode().splitlines()
    assert len(lines) == 2
    assert f"id={other.session.id} " in lines[1]
    assert " name=other " in lines[1]
    assert client("CLIENT LIST TYPE pubsub").decode().splitlines() == lines[1:]
    assert client("CLIENT LIST ID", client.session.id).decode().splitlines() == lines[:1]
    own_line = client("CLIENT INFO").decode().replace("client|info", "client|list")
    assert own_line.splitlines() == lines[:1]


def test_replies_can_be_held_back(client: Client) -> None:
    assert client("CLIENT REPLY OFF") is NO_REPLY
    assert client("SET k v") is NO_REPLY
    assert client("MULTI") is NO_REPLY
    assert client("INCR n") is NO_REPLY
    assert client("EXEC") is NO_REPLY
    assert client("CLIENT REPLY ON") == b"OK"
    assert client("MGET k n") == [b"v", b"1"]


def test_one_reply_can_be_skipped(client: Client) -> None:
    assert client("CLIENT REPLY SKIP") is NO_REPLY
    assert client("SET k v") is NO_REPLY
    assert client("GET k") == b"v"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("NOSUCH a b", "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("CLIENT WHAT", "ERR unknown subcommand 'WHAT'. Try CLIENT HELP."),
        ("client setname", "ERR wrong number of arguments for 'client|setname' command"),
    ],
)
def test_refusals_are_worded_as_in_redis(client: Client, line: str, text: str) -> None:
    assert client.refusal(line) == text


def test_an_error_is_one_line_whatever_it_quotes(client: Client) -> None:
    text = client.refusal("NOSUCH", b"a\r\n+OK\r\n")
    assert "\r" not in text
    assert "\n" not in text
