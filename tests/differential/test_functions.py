"""Functions: as on Redis, and their dumps are read by both."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply
from tests.differential.pair import RealRedis, Words
from tests.differential.wire import RawRedis, check_shapes

# Names that differ by their case only are not used: on Redis it is chance whom it finds.
NAMES = ("f", "g", "do_it", "x-y", "")

CALLBACKS = (
    "function(keys, args) return {keys, args} end",
    "function(keys) return redis.call('get', keys[1] or 'x') end",
    "function(keys) return redis.call('set', keys[1] or 'x', 'y') end",
    "function() local r = redis.call('lpush', 'x', 1) return r end",
    "function() return redis.pcall('nosuch') end",
    "function() return nosuch end",
    "function() x = 1 end",
    "function() return KEYS end",
    "function() return redis.register_function end",
    "function() error({err = 'MY error'}) end",
    "function() error('why') end",
    "function() return redis.setresp(3) end",
    "function() return {map = {a = {double = 1.5}}} end",
    "function() return cjson.encode({1, 2}) end",
    "function() return redis.call('fcall', 'f', 0) end",
    "tostring",
    "5",
)

FLAGS = (
    "{}",
    "{'no-writes'}",
    "{'allow-oom', 'no-writes'}",
    "{'allow-stale', 'no-cluster', 'allow-cross-slot-keys'}",
    "{'nosuch'}",
    "{1}",
    "1",
)

HEADS = (
    "#!lua name=a",
    "#!lua name=b",
    "#!LUA NAME=a",
    "#!lua name='c'",
    "#!lua   name=d  ",
)

WRONG_HEADS = (
    "#!lua",
    "#!lua name=",
    "#!lua name=a name=b",
    "#!lua name=a-b",
    "#!lua foo=1",
    "#!lua foo",
    "#!js name=a",
    "#! lua name=a",
    '#!lua name=a "x',
    "#!",
    "",
)

WRONG_BODIES = (
    "",
    "return 1",
    "foo(",
    "foo()",
    "local x = nil; x.y = 1",
    "x = 1",
    "function g() end",
    "redis.call('get', 'x')",
    "local x = math",
    "local x = redis.nosuch",
    "local x = redis.REDIS_VERSION_NUM + redis.LOG_WARNING",
    "redis.register_function()",
    "redis.register_function('f')",
    "redis.register_function('f', 1)",
    "redis.register_function({}, 1)",
    "redis.register_function('f', function() end, 1)",
    "redis.register_function{}",
    "redis.register_function{function_name = 'f'}",
    "redis.register_function{function_name = {}, callback = function() end}",
    "redis.register_function{function_name = 'f', callback = function() end, x = 1}",
    "redis.register_function{function_name = 'f', callback = function() end,"
    " description = {}}",
    "redis.register_function('f', function() end)"
    " redis.register_function('f', function() end)",
    "local r = redis r.register_function('f', function() return r.call('ping') end)",
    "local r = redis r.register_function('f', function() r.register_function() end)",
    "local n = 0 redis.register_function('f', function() n = n + 1 return n end)",
)

profile = settings.get_profile("differential")


def _registration(name: str, callback: str, flags: str | None, text: str | None) -> str:
    if flags is None and text is None:
        return f"redis.register_function('{name}', {callback})"
    parts = [f"function_name = '{name}'", f"callback = {callback}"]
    parts += [] if flags is None else [f"flags = {flags}"]
    parts += [] if text is None else [f"description = '{text}'"]
    return f"redis.register_function{{{', '.join(parts)}}}"


registrations = st.builds(
    _registration,
    st.sampled_from(NAMES),
    st.sampled_from(CALLBACKS),
    st.none() | st.sampled_from(FLAGS),
    st.none() | st.sampled_from(("what it does", "")),
)
# One function each: of two that are there already, it is chance which one Redis names.
bodies = st.one_of(registrations, registrations, st.sampled_from(WRONG_BODIES))
heads = st.one_of(
    st.sampled_from(HEADS), st.sampled_from(HEADS), st.sampled_from(WRONG_HEADS)
)
libraries = st.builds(lambda head, body: f"{head}\n{body}".encode(), heads, bodies)

OTHERS = """
FUNCTION LIST
FUNCTION LIST WITHCODE
FUNCTION LIST LIBRARYNAME a*
FUNCTION LIST WITHCODE LIBRARYNAME B
FUNCTION LIST x
FUNCTION LIST LIBRARYNAME
FUNCTION DELETE a
FUNCTION DELETE b
FUNCTION DELETE
FUNCTION FLUSH
FUNCTION FLUSH ASYNC
FUNCTION FLUSH x
FUNCTION FLUSH ASYNC x
FUNCTION STATS
FUNCTION KILL
FUNCTION nosuch
FUNCTION
FUNCTION LOAD
FUNCTION RESTORE x
FUNCTION RESTORE x y
FCALL f 0
FCALL f 1 x y
FCALL g 0
FCALL G 1 x
FCALL do_it 0
FCALL nosuch 0
FCALL f x
FCALL f -1
FCALL f 5 x
FCALL_RO f 0
FCALL_RO g 1 x
FCALL_RO do_it 0
SCRIPT FLUSH
SET x y
"""

words = st.sampled_from(OTHERS.strip().encode().splitlines()).map(
    lambda line: tuple(line.split())
)

commands: st.SearchStrategy[Words] = st.one_of(
    words,
    libraries.map(lambda code: (b"FUNCTION", b"LOAD", code)),
    libraries.map(lambda code: (b"FUNCTION", b"LOAD", b"REPLACE", code)),
    libraries.map(lambda code: (b"function", b"load", b"replace", b"x", code)),
)


@pytest.fixture(scope="module", params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


@settings(profile)
@given(program=st.lists(commands, max_size=15))
def test_functions(raw: RawRedis, program: list[Words]) -> None:
    check_shapes(raw, [(b"FUNCTION", b"FLUSH"), *program])


def _execute(engine: Engine, *words: bytes) -> Any:
    return engine.open_session(lambda reply: None).execute(list(words))


def _load_both(real: RealRedis, codes: list[bytes]) -> Engine:
    engine = Engine(clock_ms=lambda: 0, random=Random(0))
    real.ask([(b"FUNCTION", b"FLUSH")])
    for code in codes:
        real.ask([(b"FUNCTION", b"LOAD", code)])
        _execute(engine, b"FUNCTION", b"LOAD", code)
    return engine


PADDED = b"#!lua name=padded\nredis.register_function('padded', function() return '%s' end)"

valid_codes = st.lists(libraries, max_size=4).map(
    lambda codes: [*codes, PADDED % (b"abcabc " * 300)]
)


@settings(profile, max_examples=60)
@given(codes=valid_codes)
def test_redis_restores_our_dump(real: RealRedis, codes: list[bytes]) -> None:
    engine = _load_both(real, codes)
    (expected,) = real.ask([(b"FUNCTION", b"LIST", b"WITHCODE")])
    payload = _execute(engine, b"FUNCTION", b"DUMP")
    assert real.ask([(b"FUNCTION", b"RESTORE", payload, b"FLUSH")]) == [b"OK"]
    (restored,) = real.ask([(b"FUNCTION", b"LIST", b"WITHCODE")])
    assert sorted(map(repr, restored)) == sorted(map(repr, expected))


@settings(profile, max_examples=60)
@given(codes=valid_codes)
def test_we_restore_the_dump_of_redis(real: RealRedis, codes: list[bytes]) -> None:
    engine = _load_both(real, codes)
    (payload,) = real.ask([(b"FUNCTION", b"DUMP")])
    expected = _execute(engine, b"FUNCTION", b"LIST", b"WITHCODE")
    _execute(engine, b"FUNCTION", b"FLUSH")
    assert _execute(engine, b"FUNCTION", b"RESTORE", payload) == b"OK"
    restored = _execute(engine, b"FUNCTION", b"LIST", b"WITHCODE")
    assert sorted(map(repr, restored)) == sorted(map(repr, expected))


@settings(profile, max_examples=60)
@given(codes=valid_codes, damage=st.tuples(st.integers(0, 3000), st.integers(1, 255)))
def test_a_damaged_dump_is_refused(
    real: RealRedis, codes: list[bytes], damage: tuple[int, int]
) -> None:
    engine = _load_both(real, codes)
    payload = bytearray(_execute(engine, b"FUNCTION", b"DUMP"))
    payload[damage[0] % len(payload)] ^= damage[1]
    refusal = _execute(engine, b"FUNCTION", b"RESTORE", bytes(payload), b"FLUSH")
    assert [refusal] == real.ask([(b"FUNCTION", b"RESTORE", bytes(payload), b"FLUSH")])
    assert isinstance(refusal, ErrorReply)
