"""The special modes of redis-cli, unmodified, against the built-in server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from sharedstate.testing.servers import BuiltInServer

Cli = Callable[..., str]


@pytest.fixture(scope="module")
def server(redis_is_installed: None) -> Iterator[BuiltInServer]:
    """A server of these tests' own: they look at all of its keys."""
    with BuiltInServer("--set", "maxmemory-policy=allkeys-lfu") as server:
        yield server


@pytest.fixture
def command(server: BuiltInServer) -> list[str]:
    """How redis-cli is called."""
    program = shutil.which("redis-cli") or "valkey-cli"
    return [program, "-p", str(server.port)]


@pytest.fixture
def cli(command: list[str]) -> Cli:
    """Runs redis-cli, and returns what it printed."""

    def run(*words: str, text: str | None = None) -> str:
        ended = subprocess.run(
            [*command, *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return run


@pytest.fixture
def filled(cli: Cli) -> Cli:
    """A server with keys of every type."""
    cli("FLUSHALL")
    lines = [
        "SET small x",
        f"SET string {'x' * 1000}",
        "RPUSH list a b c d",
        "SADD set a b c",
        "HSET hash a 1 b 2",
        "ZADD zset 1 a 2 b",
    ]
    cli(text="\n".join(lines))
    return cli


def first_lines(command: list[str], *, wanted: int) -> list[str]:
    """What a mode prints first that goes on until it is ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(wanted)]
        process.terminate()
    return lines


def test_big_keys_of_each_type_are_found(filled: Cli) -> None:
    text = filled("--bigkeys")
    for name, size in (
        ("string", "1000 bytes"),
        ("list", "4 items"),
        ("set", "3 members"),
        ("hash", "2 fields"),
        ("zset", "2 members"),
    ):
        assert f"found '\"{name}\"' has {size}" in text
    assert "Sampled 6 keys in the keyspace!" in text


@pytest.mark.parametrize("mode", [["--memkeys"], ["--memkeys-samples", "2"]])
def test_keys_that_take_much_memory_are_found(filled: Cli, mode: list[str]) -> None:
    text = filled(*mode)
    assert "Biggest string found '\"string\"' has" in text
    assert "Sampled 6 keys in the keyspace!" in text


def test_hot_keys_are_found(filled: Cli) -> None:
    filled(text="GET small\n" * 200)
    text = filled("--hotkeys")
    assert "Sampled 6 keys in the keyspace!" in text
    assert "hot key found with counter:" in text
    assert "keyname: small" in text or 'keyname: "small"' in text


def test_keys_are_scanned(filled: Cli) -> None:
    assert sorted(filled("--scan").splitlines()) == [
        "hash",
        "list",
        "set",
        "small",
        "string",
        "zset",
    ]
    assert filled("--scan", "--pattern", "z*") == "zset"


def test_commands_are_piped(cli: Cli) -> None:
    cli("DEL", "piped")
    one = "*2\r\n$4\r\nINCR\r\n$5\r\npiped\r\n"
    assert "errors: 0, replies: 1000" in cli("--pipe", text=one * 1000)
    assert cli("GET", "piped") == "1000"


def test_piped_mistakes_are_counted(command: list[str]) -> None:
    ended = subprocess.run(
        [*command, "--pipe"], input=b"*1\r\n$3\r\nGET\r\n", capture_output=True, timeout=30
    )
    assert b"errors: 1, replies: 1" in ended.stdout
    assert b"wrong number of arguments" in ended.stderr


def test_statistics_go_on_and_on(filled: Cli, command: list[str]) -> None:
    lines = first_lines([*command, "--stat", "-i", "0.1"], wanted=4)
    assert lines[1].split() == [
        "keys",
        "mem",
        "clients",
        "blocked",
        "requests",
        "connections",
    ]
    keys, memory, clients, *_ = lines[2].split()
    assert keys == "6"
    assert memory[-1] in "BKMG"
    assert int(clients) >= 1


def test_latency_is_measured(cli: Cli) -> None:
    least, most, average, samples = cli("--latency", "-i", "0.2").split()
    assert 0 <= float(least) <= float(average) <= float(most)
    assert int(samples) > 0


def test_latency_is_told_again_and_again(command: list[str]) -> None:
    (line,) = first_lines([*command, "--latency-history", "-i", "0.2"], wanted=1)
    assert len(line.split()) >= 4


def test_info_is_printed_as_text(cli: Cli) -> None:
    for protocol in ("-2", "-3"):
        text = cli(protocol, "INFO", "server")
        assert text.startswith("# Server")
        assert "redis_version:7." in text


def test_reports_are_printed_as_text(cli: Cli) -> None:
    for words in (("MEMORY", "DOCTOR"), ("LATENCY", "DOCTOR"), ("LOLWUT",)):
        assert not cli("-3", *words).startswith('"txt:')


def test_help_of_containers_is_printed(cli: Cli) -> None:
    for name in ("MEMORY", "SLOWLOG", "LATENCY"):
        assert f"{name} <subcommand>" in cli(name, "HELP")


def test_slow_commands_are_shown(cli: Cli) -> None:
    cli("CONFIG", "SET", "slowlog-log-slower-than", "0")
    cli("SET", "slow", "x")
    text = cli("SLOWLOG", "GET")
    cli("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    assert "SET\nslow\nx" in text
