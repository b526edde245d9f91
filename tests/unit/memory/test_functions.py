"""Functions: libraries as a part of the data, and what they cannot leave behind.

That they do what functions do on Redis is the subject of the differential tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.lua_bytecode import CodeError, mend
from sharedstate_memory.rdb.checksum import crc64
from sharedstate_memory.rdb.payload import PayloadError
from sharedstate_memory.rdb.payload import dump_functions as dump
from sharedstate_memory.rdb.payload import restore_functions as load
from sharedstate_memory.replies import ErrorReply

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

Effects = list[tuple[int, list[bytes]]]

MINE = """#!lua name=mine
redis.register_function('echo', function(keys, arguments) return {keys, arguments} end)
redis.register_function{
  function_name = 'look', description = 'reads a key', flags = {'no-writes'},
  callback = function(keys) return redis.call('get', keys[1]) end,
}
redis.register_function('put', function(keys) return redis.call('set', keys[1], 1) end)
"""

OTHER = "#!lua name=other\nredis.register_function('more', function() return 'more' end)"

READONLY = "Attempt to modify a readonly table"


@pytest.fixture
def loaded(client: Client) -> Client:
    """A client of an engine with a library."""
    assert client("FUNCTION LOAD", MINE) == b"mine"
    return client


# -- calling


def test_a_function_gets_its_keys_and_arguments(loaded: Client) -> None:
    assert loaded("FCALL echo 1 a b c") == [[b"a"], [b"b", b"c"]]
    assert loaded("FCALL echo 0") == [[], []]
    assert loaded("FCALL ECHO 2 a b") == [[b"a", b"b"], []]


def test_a_function_gets_as_many_arguments_as_one_likes(loaded: Client) -> None:
    words = [b"%d" % number for number in range(10_000)]
    assert loaded("FCALL echo 3", *words) == [words[:3], words[3:]]


def test_only_a_function_that_says_so_is_called_as_one_that_reads(loaded: Client) -> None:
    assert loaded("FCALL_RO look 1 a") is None
    assert loaded.refusal("FCALL_RO echo 0") == (
        "ERR Can not execute a script with write flag using *_ro command."
    )


def test_a_function_that_says_it_only_reads_cannot_write(client: Client) -> None:
    code = MINE.replace("'get', keys[1]", "'set', keys[1], 1")
    client("FUNCTION LOAD", code)
    assert client.refusal("FCALL look 1 a").startswith("ERR Write commands are not allowed")


def test_what_a_function_does_is_an_effect(loaded: Client, effects: Effects) -> None:
    loaded("FCALL put 1 a")
    assert effects == [(0, [b"set", b"a", b"1"])]


def test_a_function_is_not_begun_while_memory_is_short(loaded: Client) -> None:
    loaded("SET k v")
    loaded("CONFIG SET maxmemory 1")
    assert loaded.refusal("FCALL put 1 a").startswith("OOM ")
    assert loaded("FCALL look 1 k") == b"v"


# -- what is kept apart


@pytest.mark.parametrize(
    "body",
    [
        "x = 1",
        "redis = nil",
        "redis.x = 1",
        "string.x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "loadstring('x = 1')()",
    ],
)
def test_a_function_leaves_no_globals_behind(client: Client, body: str) -> None:
    code = f"#!lua name=l\nredis.register_function('f', function() {body} end)"
    client("FUNCTION LOAD", code)
    assert READONLY in client.refusal("FCALL f 0")


@pytest.mark.parametrize("body", ["x = 1", "redis.x = 1", "function f() end"])
def test_nor_does_a_library_that_is_loaded(client: Client, body: str) -> None:
    refusal = client.refusal("FUNCTION LOAD", f"#!lua name=l\n{body}")
    assert refusal.startswith("ERR Error registering functions: ERR user_function:2: ")
    assert READONLY in refusal


def test_what_is_local_to_a_library_lasts(client: Client) -> None:
    counting = "local n = 0 redis.register_function('f', function() n = n + 1 return n end)"
    client("FUNCTION LOAD", f"#!lua name=l\n{counting}")
    assert [client("FCALL f 0"), client("FCALL f 0")] == [1, 2]


def test_a_library_sees_no_more_than_it_needs_while_it_is_loaded(client: Client) -> None:
    for name in ("math", "error", "pcall", "_G", "KEYS", "redis.call", "redis.sha1hex"):
        refusal = client.refusal("FUNCTION LOAD", f"#!lua name=l\nlocal x = {name}")
        assert "nonexistent global variable" in refusal, name


def test_scripts_and_functions_are_flushed_apart(loaded: Client) -> None:
    sha = loaded("SCRIPT LOAD", "return 1").decode()
    loaded("SCRIPT FLUSH")
    assert loaded("FCALL echo 0") == [[], []]
    assert loaded.refusal(f"EVALSHA {sha} 0").startswith("NOSCRIPT ")
    sha = loaded("SCRIPT LOAD", "return 1").decode()
    loaded("FUNCTION FLUSH")
    assert loaded(f"EVALSHA {sha} 0") == 1
    assert loaded.refusal("FCALL echo 0") == "ERR Function not found"
    assert loaded("FUNCTION LOAD", MINE) == b"mine"


def test_the_data_are_flushed_without_the_functions(loaded: Client) -> None:
    loaded("FLUSHALL")
    assert loaded("FCALL echo 0") == [[], []]


# -- changing the libraries


def test_a_library_takes_the_place_of_another_or_nothing_changes(loaded: Client) -> None:
    taken = OTHER.replace("more", "echo")
    assert loaded.refusal("FUNCTION LOAD", taken) == "ERR Function echo already exists"
    assert loaded.refusal("FUNCTION LOAD", MINE) == "ERR Library 'mine' already exists"
    broken = "#!lua name=mine\nfoo()"
    assert loaded.refusal("FUNCTION LOAD REPLACE", broken).startswith(
        "ERR Error registering"
    )
    assert loaded("FCALL echo 0") == [[], []]
    assert loaded("FUNCTION LOAD REPLACE", OTHER.replace("=other", "=mine")) == b"mine"
    assert loaded.refusal("FCALL echo 0") == "ERR Function not found"
    assert loaded("FCALL more 0") == b"more"


def test_a_restored_dump_is_all_or_nothing(loaded: Client) -> None:
    payload = dump([OTHER.encode(), MINE.encode()])
    assert loaded.refusal("FUNCTION RESTORE", payload) == "ERR Library mine already exists"
    assert loaded.refusal("FCALL more 0") == "ERR Function not found"
    assert loaded("FUNCTION RESTORE", payload, "REPLACE") == b"OK"
    assert loaded("FCALL more 0") == b"more"
    assert loaded("FUNCTION RESTORE", dump([OTHER.encode()]), "FLUSH") == b"OK"
    assert loaded.refusal("FCALL echo 0") == "ERR Function not found"


def test_changes_of_the_libraries_are_effects(client: Client, effects: Effects) -> None:
    client("FUNCTION LOAD", MINE)
    client("FUNCTION DELETE mine")
    client("FUNCTION RESTORE", dump([OTHER.encode()]))
    client("FUNCTION FLUSH")
    assert [argv[:2] for _, argv in effects] == [
        [b"FUNCTION", b"LOAD"],
        [b"FUNCTION", b"DELETE"],
        [b"FUNCTION", b"RESTORE"],
        [b"FUNCTION", b"FLUSH"],
    ]


def test_what_fails_or_only_tells_is_none(loaded: Client, effects: Effects) -> None:
    for line in ("FUNCTION LIST", "FUNCTION DUMP", "FUNCTION STATS", "FUNCTION DELETE x"):
        loaded(line)
    loaded("FUNCTION LOAD", MINE)
    assert effects == []


def test_the_libraries_of_a_dump_are_those_that_were_there(
    engine: Engine, loaded: Client
) -> None:
    loaded("FUNCTION LOAD", OTHER)
    assert load(loaded("FUNCTION DUMP")) == [MINE.encode(), OTHER.encode()]
    assert engine.functions is not None
    assert engine.functions.used_bytes() > 0


# -- payloads


def test_the_checksum_is_the_one_of_redis() -> None:
    assert crc64(b"123456789") == (0xE9C6D914C4B8D9CA).to_bytes(8, "little")
    assert dump([]) == b"\n\x00]\x9b\\@\x0f\x7f\xa2\xda"


@pytest.mark.parametrize("length", [0, 1, 63, 64, 16383, 16384, 100_000])
def test_a_dump_can_be_read(length: int) -> None:
    assert load(dump([b"a" * length, b"b"])) == [b"a" * length, b"b"]


def _payload(body: bytes) -> bytes:
    body += (10).to_bytes(2, "little")
    return body + crc64(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xf5\x03abc", b"abc"),
        (b"\xf5\x40\x03abc", b"abc"),
        (b"\xf5\x80\x00\x00\x00\x03abc", b"abc"),
        (b"\xf5\x81\x00\x00\x00\x00\x00\x00\x00\x03abc", b"abc"),
        (b"\xf5\xc0\xfe", b"-2"),
        (b"\xf5\xc2\x00\x00\x00\x01", b"16777216"),
        # A literal, and a copy of nine bytes from one byte back.
        (b"\xf5\xc3\x05\x0a\x00a\xe0\x00\x00", b"aaaaaaaaaa"),
    ],
)
def test_strings_of_every_form_are_read(body: bytes, text: bytes) -> None:
    assert load(_payload(body)) == [text]


@pytest.mark.parametrize(
    "body",
    [
        b"\xf5",
        b"\xf5\x05ab",
        b"\xf5\x40",
        b"\xf5\x82abc",
        b"\xf5\xc3\x05\x06ab",
        b"\xf5\xc3\x02\x06\x03a",
        b"\xf5\xc3\x02\x06\x20\x05",
        b"\xf5\xc3\x01\x06\xe0",
        b"\xf5\xc3\x05\x02\x00a\xe0\xff\x00",
        b"\xf6\x03abc",
        b"\x00\x03abc",
    ],
)
def test_what_is_no_payload_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError):
        load(_payload(body))


@pytest.mark.parametrize("payload", [b"", b"x", _payload(b"")[1:], _payload(b"") + b"x"])
def test_what_is_damaged_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError, match="version or checksum are wrong"):
        load(payload)


# -- compiled code


def test_code_of_another_machine_is_left_alone() -> None:
    assert mend(b"\x1bLua\x51\x00\x00\x04\x04\x04\x08\x00...") == (
        b"\x1bLua\x51\x00\x00\x04\x04\x04\x08\x00..."
    )


def test_dangerous_code_is_named_by_its_place(client: Client) -> None:
    code = "\n\nlocal function f(a, b, c, d, ...) return ... end"
    refusal = client.refusal("EVAL", code, 0)
    assert refusal.endswith("user_script:3: more than 3 parameters before '...'")
    library = "#!lua name=l\nlocal function f(a, b, c, d, ...) return ... end"
    assert client.refusal("FUNCTION LOAD", library) == (
        "ERR Error compiling function: user_function:2: more than 3 parameters before '...'"
    )
    assert issubclass(CodeError, ValueError)
    assert not isinstance(client("EVAL", "return 1", 0), ErrorReply)
