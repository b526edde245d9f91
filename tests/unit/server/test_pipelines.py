"""What stands in the middle of a pipeline and changes the conversation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharedstate_server.requests import STEPS_PER_FEED
from sharedstate_server.server import Server
from sharedstate_server.turn import COMMANDS_PER_TURN
from tests.unit.server.conftest import BareClient

if TYPE_CHECKING:
    Connect = Callable[[], BareClient]

_SEVERAL_TURNS = 3 * COMMANDS_PER_TURN // 2


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[BareClient]:
    """A client of a server that asks for the password `secret`."""
    server = Server(password="secret")
    server.listen_unix(str(tmp_path / "p"))
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    client = BareClient(str(tmp_path / "p"))
    yield client
    client.sock.close()
    server.request_stop()
    thread.join(20)
    assert not thread.is_alive()


def pack(*words: bytes) -> bytes:
    head = b"*%d\r\n" % len(words)
    return head + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def ask_for_id(client: BareClient) -> bytes:
    client.send(b"CLIENT ID\r\n")
    return client.read_line()[1:]


def test_a_client_may_close_itself_in_a_pipeline_of_several_turns(
    connect: Connect,
) -> None:
    client, other = connect(), connect()
    own = ask_for_id(client)
    kill = pack(b"CLIENT", b"KILL", b"ID", own, b"SKIPME", b"no")
    client.send(b"PING\r\n" * _SEVERAL_TURNS + kill + b"SET after yes\r\n")
    assert client.read_to_end() == b"+PONG\r\n" * _SEVERAL_TURNS + b":1\r\n"
    other.send(b"EXISTS after\r\n")
    other.expect(b":0\r\n")


def test_another_may_close_a_client_whose_pipeline_is_under_way(
    connect: Connect,
) -> None:
    client, other = connect(), connect()
    own = ask_for_id(client)
    client.send(b"BLPOP list 0\r\n" + b"PING\r\n" * _SEVERAL_TURNS)
    other.send(pack(b"CLIENT", b"KILL", b"ID", own))
    other.expect(b":1\r\n")
    assert client.read_to_end() == b""


@pytest.mark.parametrize("kind", ["one", "several"])
def test_after_quit_nothing_is_answered(connect: Connect, kind: str) -> None:
    client = connect()
    before = b"" if kind == "one" else b"PING\r\n" * _SEVERAL_TURNS
    client.send(before + pack(b"QUIT") + pack(b"PING") * 3)
    assert client.read_to_end() == before.replace(b"PING", b"+PONG") + b"+OK\r\n"


def test_replies_are_skipped_and_muted_one_by_one(connect: Connect) -> None:
    client = connect()
    client.send(
        b"ECHO a\r\nCLIENT REPLY SKIP\r\nECHO b\r\nECHO c\r\nCLIENT REPLY OFF\r\n"
        + b"ECHO d\r\n" * _SEVERAL_TURNS
        + b"CLIENT REPLY ON\r\nECHO e\r\n"
    )
    client.expect(b"$1\r\na\r\n$1\r\nc\r\n+OK\r\n$1\r\ne\r\n")


def test_what_follows_a_login_at_once_has_the_limits_of_everybody(
    stranger: BareClient,
) -> None:
    words = [b"%d" % number for number in range(40)]
    stranger.send(pack(b"AUTH", b"secret") + pack(b"MSET", *words) + pack(b"GET", b"0"))
    stranger.expect(b"+OK\r\n+OK\r\n$1\r\n1\r\n")


def test_what_follows_a_failed_login_has_the_limits_of_strangers(
    stranger: BareClient,
) -> None:
    stranger.send(pack(b"AUTH", b"guess") + pack(b"ECHO", b"x" * 20_000))
    answer = stranger.read_to_end()
    assert answer.startswith(b"-WRONGPASS")
    assert answer.endswith(b"-ERR Protocol error: unauthenticated bulk length\r\n")


def test_a_flood_of_lines_is_answered_in_order(connect: Connect) -> None:
    client = connect()
    client.send(b"\n" * (3 * STEPS_PER_FEED) + b"PING\n" * 5000 + b"ECHO end\r\n")
    client.expect(b"+PONG\r\n" * 5000 + b"$3\r\nend\r\n")


def test_letters_of_many_bytes_are_no_spaces_in_inline_commands(connect: Connect) -> None:
    client = connect()
    client.send("ECHO à\r\nECHO 'à x'\r\n".encode())
    client.expect("$2\r\nà\r\n$4\r\nà x\r\n".encode())


def test_who_monitors_is_told_of_its_own_commands_after_their_replies(
    connect: Connect,
) -> None:
    client = connect()
    client.send(b"MONITOR\r\nPING\r\nECHO x\r\n")
    assert client.read_line() == b"+OK"
    assert client.read_line() == b"+PONG"
    assert client.read_line().endswith(b'"PING"')
    client.expect(b"$1\r\nx\r\n")
    assert client.read_line().endswith(b'"ECHO" "x"')


def test_the_name_of_no_command_is_not_told_to_others(connect: Connect) -> None:
    liar, observer = connect(), connect()
    liar.send(pack(b"x\nid=99 addr=10.0.0.1:1"))
    assert liar.read_line().startswith(b"-ERR unknown command")
    observer.send(b"CLIENT LIST\r\n")
    text = observer.read(int(observer.read_line()[1:]))
    assert b"id=99" not in text
    assert b" cmd=NULL " in text.splitlines()[0]
    assert b" cmd=client|list " in text.splitlines()[1]


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\xff", b"\0"])
def test_the_reason_of_a_protocol_error_is_one_line(connect: Connect, byte: bytes) -> None:
    client = connect()
    client.send(b"*1\r\n" + byte + b"4\r\nPING\r\n")
    line = client.read_to_end()
    assert line.startswith(b"-ERR Protocol error: expected '$', got '")
    assert line.endswith(b"'\r\n")
    assert line.count(b"\n") == line.count(b"\r") == 1
