"""redis-cli as a person uses it: at a prompt, in a terminal, and for a heap of commands."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer
from tests.interop.terminal import Terminal

CONTROL_C = b"\x03"


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def prompt(built_in_server: BuiltInServer) -> str:
    """What redis-cli shows when it is ready for a line."""
    return f"127.0.0.1:{built_in_server.port}> "


@pytest.fixture
def other(built_in_server: BuiltInServer) -> Iterator[Any]:
    """Another client of the same server."""
    with redis.Redis(port=built_in_server.port) as client:
        yield client


@pytest.fixture
def terminal(
    built_in_server: BuiltInServer, redis_is_installed: None, prompt: str
) -> Iterator[Terminal]:
    """A terminal with redis-cli in it, which is at its first prompt."""
    program = shutil.which("redis-cli") or "valkey-cli"
    with Terminal([program, "-p", str(built_in_server.port)]) as terminal:
        terminal.read_until(prompt)
        yield terminal


def ask(terminal: Terminal, line: str, prompt: str) -> str:
    """Type a line, and return what is shown from its end to the next prompt."""
    terminal.type(line)
    terminal.read_until(line)
    terminal.read_until("\n")
    return terminal.read_until(prompt).removesuffix(prompt).strip()


def test_lines_are_answered(terminal: Terminal, prompt: str, key: str) -> None:
    assert ask(terminal, f"SET {key} 'a value'", prompt) == "OK"
    assert ask(terminal, f"GET {key}", prompt) == '"a value"'
    assert ask(terminal, f"GET {key}:none", prompt) == "(nil)"
    assert ask(terminal, f"STRLEN {key}", prompt) == "(integer) 7"


def test_mistakes_are_shown(terminal: Terminal, prompt: str, key: str) -> None:
    assert "ERR unknown command" in ask(terminal, "NONSENSE", prompt)
    assert "wrong number of arguments" in ask(terminal, "GET", prompt)
    ask(terminal, f"SET {key} x", prompt)
    assert "(error) WRONGTYPE" in ask(terminal, f"LPUSH {key} x", prompt)


def test_the_third_protocol_can_be_chosen(
    terminal: Terminal, prompt: str, key: str
) -> None:
    assert "proto" in ask(terminal, "HELLO 3", prompt)
    ask(terminal, f"HSET {key} field value", prompt)
    assert ask(terminal, f"HGETALL {key}", prompt) == '1# "field" => "value"'


def test_the_prompt_shows_the_transaction_and_the_database(
    terminal: Terminal, prompt: str, key: str
) -> None:
    inside = prompt[:-2] + "(TX)> "
    assert ask(terminal, "MULTI", inside) == "OK"
    assert ask(terminal, f"INCR {key}", inside) == "QUEUED"
    assert ask(terminal, "EXEC", prompt) == "1) (integer) 1"
    assert ask(terminal, "SELECT 3", prompt[:-2] + "[3]> ") == "OK"


def test_messages_are_shown_until_control_c(
    terminal: Terminal, other: Any, prompt: str, key: str
) -> None:
    terminal.type(f"SUBSCRIBE {key}")
    terminal.read_until('1) "subscribe"')
    terminal.read_until("(integer) 1")
    assert other.publish(key, "hello") == 1
    assert '3) "hello"' in terminal.read_until('"hello"')
    terminal.press(CONTROL_C)
    terminal.read_until(prompt)
    assert ask(terminal, f"PUBSUB NUMSUB {key}", prompt).endswith("2) (integer) 0")


def test_commands_of_others_are_shown_until_control_c(
    terminal: Terminal, other: Any, prompt: str, key: str
) -> None:
    terminal.type("MONITOR")
    terminal.read_until("OK")
    other.set(key, "seen")
    assert f'"{key}" "seen"' in terminal.read_until('"seen"')
    terminal.press(CONTROL_C)
    terminal.read_until(prompt)
    assert ask(terminal, "PING", prompt) == "PONG"


def test_a_wait_can_be_given_up(terminal: Terminal, other: Any, key: str) -> None:
    terminal.type(f"BLPOP {key} 0")
    terminal.read_until(f"BLPOP {key} 0")
    while other.info("clients")["blocked_clients"] == 0:
        pass
    terminal.press(CONTROL_C)
    terminal.process.wait(20)
    while other.info("clients")["blocked_clients"] != 0:
        pass


def test_a_connection_that_was_lost_is_made_again(
    terminal: Terminal, other: Any, prompt: str, key: str
) -> None:
    number = ask(terminal, "CLIENT ID", prompt).removeprefix("(integer) ")
    other.client_kill_filter(_id=number)
    assert "closed the connection" in ask(terminal, "PING", "not connected> ")
    assert ask(terminal, f"INCR {key}", prompt) == "(integer) 1"


def test_a_hundred_thousand_commands_are_piped(
    built_in_server: BuiltInServer, redis_is_installed: None, other: Any, key: str
) -> None:
    program = shutil.which("redis-cli") or "valkey-cli"
    count = 100_000
    one = f"*2\r\n$4\r\nINCR\r\n${len(key)}\r\n{key}\r\n"
    ended = subprocess.run(
        [program, "-p", str(built_in_server.port), "--pipe"],
        input=one * count,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert f"errors: 0, replies: {count}" in ended.stdout
    assert other.get(key) == str(count).encode()


def test_there_is_help(terminal: Terminal, prompt: str) -> None:
    assert "summary: Set a key" in ask(terminal, "HELP SET", prompt)
