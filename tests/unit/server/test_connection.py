"""One connection: whole, in pieces, in heaps, and hostile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from sharedstate_server.requests import MAX_LINE_BYTES
from sharedstate_server.turn import COMMANDS_PER_TURN


class Client(Protocol):
    """What `connect` of the conftest opens."""

    def send(self, data: bytes) -> None: ...
    def read(self, size: int) -> bytes: ...
    def expect(self, data: bytes) -> None: ...
    def read_to_end(self) -> bytes: ...


Connect = Callable[[], Client]

SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\n"


def test_a_command_that_comes_byte_by_byte_is_answered_once(connect: Connect) -> None:
    client = connect()
    for position in range(len(SET)):
        client.send(SET[position : position + 1])
    client.expect(b"+OK\r\n")
    client.send(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
    client.expect(b"$5\r\na\r\nbc\r\n")


def test_a_pipeline_longer_than_a_turn_is_answered_in_order(connect: Connect) -> None:
    client = connect()
    count = 5 * COMMANDS_PER_TURN + 3
    client.send(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * count)
    client.expect(b"".join(b":%d\r\n" % number for number in range(1, count + 1)))


def test_inline_commands_and_protocol_commands_may_alternate(connect: Connect) -> None:
    client = connect()
    client.send(b"PING\r\nECHO 'hello you'\n*1\r\n$4\r\nPING\r\n")
    client.expect(b"+PONG\r\n$9\r\nhello you\r\n+PONG\r\n")
    client.send(b"PI")
    client.send(b"NG\r\n")
    client.expect(b"+PONG\r\n")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"*1\r\n:5\r\n",
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$-1\r\n",
        b"*1\r\n!\r\n",
        b"*x\r\n",
        b"ECHO 'open\r\n",
    ],
)
def test_nonsense_is_answered_with_a_protocol_error_and_the_end(
    connect: Connect, nonsense: bytes
) -> None:
    client = connect()
    client.send(nonsense)
    answer = client.read_to_end()
    assert answer.startswith(b"-ERR Protocol error: ")
    assert answer.endswith(b"\r\n")
    other = connect()
    other.send(b"PING\r\n")
    other.expect(b"+PONG\r\n")


def test_commands_before_nonsense_are_answered(connect: Connect) -> None:
    client = connect()
    client.send(b"*1\r\n$4\r\nPING\r\n*1\r\n:5\r\n")
    assert client.read_to_end().startswith(b"+PONG\r\n-ERR Protocol error")


def test_an_endless_inline_command_is_refused(connect: Connect) -> None:
    client = connect()
    client.send(b"A" * MAX_LINE_BYTES)
    assert b"too big inline request" in client.read_to_end()


def test_a_large_reply_arrives_whole_although_the_socket_takes_it_in_parts(
    connect: Connect,
) -> None:
    client = connect()
    value = b"x" * 20_000_000
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    client.expect(b"+OK\r\n")
    client.send(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" * 3)
    for _ in range(3):
        client.expect(b"$%d\r\n%b\r\n" % (len(value), value))


def test_a_client_that_does_not_read_does_not_stop_the_others(connect: Connect) -> None:
    lazy, other = connect(), connect()
    value = b"x" * 1_000_000
    lazy.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
    lazy.expect(b"+OK\r\n")
    lazy.send(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" * 20)
    other.send(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
    other.expect(b":1\r\n")
    for _ in range(20):
        lazy.expect(b"$%d\r\n%b\r\n" % (len(value), value))


def test_commands_behind_a_blocking_one_wait_for_it(connect: Connect) -> None:
    waiter, other = connect(), connect()
    waiter.send(b"BLPOP list 10\r\nPING\r\n")
    other.send(b"RPUSH list item\r\n")
    other.expect(b":1\r\n")
    waiter.expect(b"*2\r\n$4\r\nlist\r\n$4\r\nitem\r\n+PONG\r\n")


def test_a_blocking_command_times_out_with_a_null_array(connect: Connect) -> None:
    client = connect()
    client.send(b"BLPOP list 0.05\r\n")
    client.expect(b"*-1\r\n")


def test_a_waiting_client_that_goes_away_takes_nothing_with_it(connect: Connect) -> None:
    waiter, other = connect(), connect()
    waiter.send(b"BLPOP list 10\r\n")
    waiter.send(b"")
    other.send(b"CLIENT LIST\r\n")
    other.read(1)
    waiter.sock.close()  # type: ignore[attr-defined]
    third = connect()
    third.send(b"PING\r\n")
    third.expect(b"+PONG\r\n")
    third.send(b"RPUSH list item\r\nLLEN list\r\n")
    third.expect(b":1\r\n:1\r\n")


def test_quit_is_answered_before_the_end(connect: Connect) -> None:
    client = connect()
    client.send(b"QUIT\r\nPING\r\n")
    assert client.read_to_end() == b"+OK\r\n"


def test_hello_3_changes_the_form_of_the_replies_that_follow(connect: Connect) -> None:
    client = connect()
    client.send(b"HSET h f v\r\nHGETALL h\r\n")
    client.expect(b":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n")
    client.send(b"HELLO 3\r\n")
    assert client.read(1) == b"%"
    client = connect()
    client.send(b"HELLO 3\r\nHGETALL h\r\n")
    end = b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
    data = b""
    while not data.endswith(end):
        data += client.read(1)


def test_messages_reach_subscribers(connect: Connect) -> None:
    listener, speaker = connect(), connect()
    listener.send(b"SUBSCRIBE news\r\n")
    listener.expect(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
    speaker.send(b"PUBLISH news hello\r\n")
    speaker.expect(b":1\r\n")
    listener.expect(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")


def test_a_pipeline_cut_in_the_middle_of_a_word_is_not_taken_for_inline(
    connect: Connect,
) -> None:
    client = connect()
    command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\n123456789\r\n"
    # More than a turn's commands in one packet, the last of them cut.
    data = command * (COMMANDS_PER_TURN + 40)
    client.send(data[:-4])
    client.expect(b"+OK\r\n" * (COMMANDS_PER_TURN + 39))
    client.send(data[-4:])
    client.expect(b"+OK\r\n")
