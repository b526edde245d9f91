"""What goes into a script and what comes out, where the engine has a short way for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.replies import OK

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client


def run(client: Client, body: str, *words: bytes, keys: int = 0) -> Any:
    return client("EVAL", body, keys, *words)


ENTERED = "return {#KEYS, #ARGV, table.concat(KEYS, ' '), table.concat(ARGV, ' ')}"


@pytest.mark.parametrize("keys", [0, 1, 2, 3, 4, 31, 32, 33, 40])
@pytest.mark.parametrize("others", [0, 1, 2, 5])
def test_words_are_split_into_keys_and_arguments(
    client: Client, keys: int, others: int
) -> None:
    names = [b"k%d" % number for number in range(keys)]
    values = [b"v%d" % number for number in range(others)]

    entered = run(client, ENTERED, *names, *values, keys=keys)

    assert entered == [keys, others, b" ".join(names), b" ".join(values)]


def test_tables_of_one_run_are_not_those_of_the_next(client: Client) -> None:
    run(client, "KEYS[1], ARGV[5] = 'mine', 'mine too'", b"k", b"v", keys=1)

    assert run(client, ENTERED, b"k", b"v", keys=1) == [1, 1, b"k", b"v"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("count", range(7))
def test_a_list_has_its_items_in_a_script(client: Client, count: int, version: int) -> None:
    for number in range(count):
        client(f"RPUSH list {number}")
    body = (
        f"redis.setresp({version}) local list = redis.call('LRANGE', 'list', 0, -1)"
        " return {#list, table.concat(list, ' ')}"
    )

    items = b" ".join(b"%d" % number for number in range(count))
    assert run(client, body) == [count, items]


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1])
def test_an_item_may_have_any_size(client: Client, size: int) -> None:
    client("RPUSH list", b"x" * size, b"end")

    assert run(
        client, "local l = redis.call('LRANGE', 'list', 0, -1) return {#l[1], l[2]}"
    ) == [size, b"end"]


def test_what_is_missing_from_a_short_list_is_false(client: Client) -> None:
    client("HSET hash a 1 c 3")
    body = (
        "local found = redis.call('HMGET', 'hash', 'a', 'b', 'c')"
        " return {#found, tostring(found[2]), found[3]}"
    )

    assert run(client, body) == [3, b"false", b"3"]


def test_a_run_speaks_the_protocol_that_it_chose_and_the_next_one_does_not(
    client: Client,
) -> None:
    client("HSET hash field value")
    body = "local found = redis.call('HGETALL', 'hash') return found.map and 1 or #found"

    assert run(client, f"redis.setresp(3) {body}") == 1
    assert run(client, body) == 2
    client.refusal("EVAL", "redis.setresp(3) error('ends early')", 0)
    assert run(client, body) == 2


def test_ok_is_the_ok_of_commands(client: Client) -> None:
    assert run(client, "return redis.call('SET', 'k', 'v')") is OK
    assert run(client, "return redis.status_reply('OK')") is OK


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        ("'SET', 'k', 5", b"5"),
        ("'SET', 'k', 1.5", b"1.5"),
        ("'SET', 'k', 'v', 'PX', 5000", b"v"),
        ("'SET', 'k', 2 ^ 60, 'PX', 5000, 'NX'", b"1.152921504606847e+18"),
        ("'APPEND', 'k', -7", b"-7"),
    ],
)
def test_numbers_are_written_as_arguments_in_any_place(
    client: Client, call: str, argument: bytes
) -> None:
    run(client, f"redis.call({call})")

    assert client("GET k") == argument


@pytest.mark.parametrize(
    "call", ["{}", "true, 'k'", "'GET', {}", "'SET', 'k', nil", "'SET', 'k', 'v', 'NX', {}"]
)
def test_what_is_no_text_is_no_argument(client: Client, call: str) -> None:
    refusal = client.refusal("EVAL", f"return redis.call({call})", 0)

    assert "must be strings or integers" in refusal


@pytest.mark.parametrize(
    ("call", "has_written"),
    [
        ("'SET', 'k'", False),
        ("'GET', 'k'", False),
        ("'SET', 'k', 'v'", True),
        ("'INCR', 'list'", True),
    ],
)
def test_a_run_has_written_when_a_writing_command_was_executed(
    client: Client, call: str, has_written: bool
) -> None:
    client("RPUSH list item")
    body = f"redis.pcall({call}) redis.call('GET', 'k')"
    for _ in range(2):
        run(client, body)

        scripts = client.engine.scripts
        assert scripts is not None
        commands = scripts.load(body.encode(), keep=False).bridge.commands
        assert commands.has_written is has_written
