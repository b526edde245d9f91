"""Commands in scripts: which of them may be called, and what comes of each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import ErrorReply

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

Effects = list[tuple[int, list[bytes]]]
Connect = Callable[[], "Client"]

OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
READ_ONLY = "ERR Write commands are not allowed from read-only scripts."


def names(effects: Effects) -> list[bytes]:
    return [argv[0].upper() for _, argv in effects]


# -- subcommands, and read-only scripts


@pytest.mark.parametrize("words", ["'object', 'encoding', 'k'", "'Object', 'HELP'"])
def test_a_subcommand_without_the_flag_may_be_called(client: Client, words: str) -> None:
    client("SET k v")
    assert not isinstance(client("EVAL", f"return redis.call({words})", 0), ErrorReply)


def test_what_was_allowed_once_is_asked_about_again(client: Client) -> None:
    client("EVAL", "return redis.call('client', 'help')", 0)
    refusal = client.refusal("EVAL", "return redis.call('client', 'id')", 0)
    assert refusal.startswith("ERR This Redis command is not allowed from script ")


@pytest.mark.parametrize("words", ["'set', 'k', 1", "'SET', 'k', 1", "'publish', 'c', 'm'"])
@pytest.mark.parametrize("way", ["EVAL_RO", "no-writes"])
def test_a_script_that_only_reads_cannot_write(
    client: Client, words: str, way: str
) -> None:
    body = f"return redis.call({words})"
    client("EVAL", body, 0)
    if way == "EVAL_RO":
        assert client.refusal("EVAL_RO", body, 0).startswith(READ_ONLY)
    else:
        head = "#!lua flags=no-writes\n"
        assert client.refusal("EVAL", head + body, 0).startswith(READ_ONLY)


def test_a_script_that_says_it_writes_is_not_run_as_one_that_reads(client: Client) -> None:
    text = "ERR Can not execute a script with write flag using *_ro command."
    assert client.refusal("EVAL_RO", "#!lua\nreturn 1", 0) == text
    sha = client("SCRIPT LOAD", "#!lua\nreturn 1").decode()
    assert client.refusal(f"EVALSHA_RO {sha} 0") == text


def test_a_script_may_use_commands_in_any_case(client: Client) -> None:
    assert client("EVAL", "redis.call('SeT', 'k', 1) return redis.call('gEt', 'k')", 0) == (
        b"1"
    )


# -- memory


@pytest.fixture
def short(client: Client) -> Client:
    """A client of an engine whose memory is short."""
    client("SET k v")
    client("CONFIG SET maxmemory 1")
    return client


@pytest.mark.parametrize(
    "body",
    [
        "redis.call('set', 'a', 1)",
        "redis.call('get', 'k') redis.call('set', 'a', 1)",
        "redis.pcall('del') redis.call('set', 'a', 1)",
        "redis.pcall('set', 'a', 1) redis.call('set', 'a', 1)",
    ],
)
def test_a_script_of_old_cannot_ask_for_memory_when_it_is_short(
    short: Client, body: str
) -> None:
    assert short.refusal("EVAL", body, 0).startswith(OUT_OF_MEMORY)


@pytest.mark.parametrize(
    "body",
    [
        "return redis.call('get', 'k')",
        "return redis.call('del', 'a')",
        "redis.call('del', 'a') return redis.call('set', 'a', 1)",
        "redis.pcall('lpop', 'k') return redis.call('set', 'a', 1)",
        "#!lua flags=allow-oom\nreturn redis.call('set', 'a', 1)",
        "#!lua flags=no-writes\nreturn redis.call('get', 'k')",
    ],
)
def test_scripts_that_ask_for_none_or_have_written_go_on(short: Client, body: str) -> None:
    assert not isinstance(short("EVAL", body, 0), ErrorReply)


def test_a_script_that_says_what_it_does_is_not_begun(short: Client) -> None:
    assert short.refusal("EVAL", "#!lua\nreturn 1", 0) == OUT_OF_MEMORY
    assert short.refusal("EVAL_RO", "#!lua\nreturn 1", 0) == OUT_OF_MEMORY


def test_memory_that_is_there_again_is_used_again(short: Client) -> None:
    body = "return redis.call('set', 'a', 1)"
    assert short.refusal("EVAL", body, 0).startswith(OUT_OF_MEMORY)
    short("CONFIG SET maxmemory 0")
    assert short("EVAL", body, 0) == b"OK"


# -- users


@pytest.fixture
def ann(client: Client, connect: Connect) -> Client:
    """A client who may not do everything."""
    client("ACL SETUSER ann on nopass +@all -set ~k* &c*")
    ann = connect()
    ann("AUTH ann any")
    return ann


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("'set', 'k', 1", "can't run this command or subcommand"),
        ("'get', 'a'", "can't access at least one of the keys"),
        ("'publish', 'd', 'm'", "can't publish to the channel"),
    ],
)
def test_a_script_may_do_what_its_user_may(ann: Client, words: str, text: str) -> None:
    refusal = ann.refusal("EVAL", f"return redis.call({words})", 0)
    assert refusal.startswith(f"ERR The user executing the script {text}")
    assert ann("EVAL", "return redis.call('get', 'k1')", 0) is None


def test_what_one_user_may_is_not_allowed_to_another(client: Client, ann: Client) -> None:
    body = "return redis.call('set', 'k', 1)"
    assert client("EVAL", body, 0) == b"OK"
    assert isinstance(ann("EVAL", body, 0), ErrorReply)
    assert client("EVAL", body, 0) == b"OK"


def test_a_watched_script_that_only_reads_cannot_write(ann: Client) -> None:
    assert ann.refusal("EVAL_RO", "redis.call('del', 'k')", 0).startswith(READ_ONLY)


def test_a_watched_script_cannot_ask_for_memory_when_it_is_short(
    client: Client, ann: Client
) -> None:
    client("SET k v")
    client("CONFIG SET maxmemory 1")
    growing = "return redis.call('append', 'k', 'x')"
    assert ann.refusal("EVAL", growing, 0).startswith(OUT_OF_MEMORY)
    assert ann("EVAL", "redis.call('del', 'k1') " + growing, 0) == 2


@pytest.mark.parametrize(
    ("words", "permitted"),
    [
        ("'get', 'k'", True),
        ("'get', 'a'", False),
        ("'set', 'k', 1", False),
        ("'publish', 'd', 'm'", False),
        ("'client', 'id'", True),
        ("'client'", True),
        ("'set'", False),
    ],
)
def test_a_script_may_ask_what_it_may(ann: Client, words: str, permitted: bool) -> None:
    body = f"return tostring(redis.acl_check_cmd({words}))"
    assert ann("EVAL", body, 0) == str(permitted).lower().encode()


# -- what comes of each call


def test_calls_are_counted_by_command(engine: Engine, client: Client) -> None:
    body = "redis.call('set', 'a', 1) redis.pcall('lpush', 'a', 1) redis.call('get', 'a')"
    client("EVAL", body, 0)
    assert {name: engine.statistics.calls[name] for name in (b"set", b"get", b"EVAL")} == {
        b"set": 1,
        b"get": 1,
        b"EVAL": 1,
    }
    assert engine.statistics.failed == {b"lpush": 1}
    assert engine.statistics.errors == {b"WRONGTYPE": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("error('x')", b"ERR"),
        ("error({err = 'MINE x'})", b"MINE"),
        ("redis.call('set', 'a', 1) redis.call('lpush', 'a', 1)", b"WRONGTYPE"),
    ],
)
def test_the_error_of_a_script_is_counted_once(
    engine: Engine, client: Client, body: str, code: bytes
) -> None:
    assert isinstance(client("EVAL", body, 0), ErrorReply)
    assert engine.statistics.errors == {code: 1}
    assert engine.statistics.failed[b"EVAL"] == 1


def test_each_command_has_its_events(client: Client, connect: Connect) -> None:
    listener = connect()
    client("CONFIG SET notify-keyspace-events KEA")
    listener("PSUBSCRIBE __keyevent*")
    listener.delivered.clear()
    client("EVAL", "redis.call('set', 'a', 1) redis.call('incr', 'a')", 0)
    assert [bytes(message[2]).rpartition(b":")[2] for message in listener.delivered] == [
        b"set",
        b"incrby",
    ]


def test_a_script_may_keep_its_effects_to_itself(client: Client, effects: Effects) -> None:
    body = """
        redis.set_repl(redis.REPL_NONE)
        redis.call('set', 'a', 1)
        redis.set_repl(redis.REPL_ALL)
        redis.call('set', 'b', 1)
    """
    client("EVAL", body, 0)
    assert effects == [(0, [b"set", b"b", b"1"])]


def test_the_next_script_has_effects_again(client: Client, effects: Effects) -> None:
    client("EVAL", "redis.set_repl(redis.REPL_NONE)", 0)
    client("EVAL", "redis.call('set', 'a', 1)", 0)
    assert names(effects) == [b"SET"]


def test_settings_of_json_last_as_long_as_the_script(client: Client) -> None:
    body = "cjson.encode_number_precision(3) return cjson.encode({1 / 3})"
    assert client("EVAL", body, 0) == b"[0.333]"
    assert client("EVAL", "return cjson.encode({1 / 3})", 0) == b"[0.33333333333333]"
