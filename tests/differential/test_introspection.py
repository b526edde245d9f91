"""What a server tells of itself: the same fields, shapes, counts and refusals as Redis."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import example, given, settings

from sharedstate.testing.servers import BuiltInServer, RedisServer
from sharedstate_memory.engine import Engine
from sharedstate_server.resp import encode_resp2, encode_resp3
from tests.differential.grammar import programs
from tests.differential.pair import OurEngine, RealRedis, Words
from tests.differential.wire import RawRedis

# Fields of INFO that only the one has: what Redis was built with, and what we add.
ONLY_REDIS = {"atomicvar_api", "gcc_version"}
ONLY_OURS = {
    "eventloop_duration_max",
    "eventloop_duration_cpu_max",
    "pubsub_clients",
    "watching_clients",
    "total_watched_keys",
    "total_blocking_keys",
    "sharedstate_version",
    "python_version",
    "used_memory_interpreter",
    # Of Redis 7.2.
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
}

ASKING = """
SLOWLOG GET
SLOWLOG GET count
SLOWLOG GET count int
SLOWLOG LEN
SLOWLOG RESET
SLOWLOG value
LATENCY LATEST
LATENCY HISTORY member
LATENCY GRAPH member
LATENCY RESET [member]
LATENCY DOCTOR
LATENCY HISTOGRAM nothing
LATENCY value
MEMORY USAGE key
MEMORY USAGE key SAMPLES count
MEMORY USAGE key value count
MEMORY DOCTOR
MEMORY PURGE
MEMORY STATS
MEMORY MALLOC-STATS
MEMORY value
INFO
INFO server
INFO everything
INFO value
LOLWUT
LOLWUT VERSION int
LOLWUT VERSION int count
ROLE
TIME
DEBUG SLEEP float
SET key value
"""

COUNTED = """
SET key value
set key value
GET key
LPUSH key value
INCR key
OBJECT ENCODING key
OBJECT value key
CONFIG GET maxmemory
CONFIG GET
COMMAND COUNT
COMMAND
MEMORY USAGE key
MEMORY USAGE key SAMPLES count
EVALSHA value count
nothing key
"""

profile = settings.get_profile("differential")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A connection to a server of ours that these tests have for themselves."""
    path = str(tmp_path_factory.mktemp("introspection") / "s")
    with BuiltInServer("--unix", path):
        connection = RealRedis(path)
        yield connection
        connection.close()


@pytest.fixture(params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


# INFO.


def test_info_has_the_sections_and_fields_of_redis_in_their_order(
    real: RealRedis, ours: RealRedis
) -> None:
    expected, told = fields(real), fields(ours)
    assert list(told) == list(expected)
    for section in expected.keys() - {"Commandstats", "Latencystats"}:
        shared = [name for name in told[section] if name not in ONLY_OURS]
        assert shared == [name for name in expected[section] if name not in ONLY_REDIS]


def fields(store: RealRedis) -> dict[str, list[str]]:
    """The names of the fields of each section, in their order."""
    ask: list[Words] = [(b"FLUSHALL",), (b"CONFIG", b"RESETSTAT"), (b"INFO", b"everything")]
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in store.ask(ask)[-1].decode().splitlines():
        if line.startswith("# "):
            names = found[line[2:]] = []
        elif line:
            names.append(line.partition(":")[0])
    return found


# Shapes and refusals.


@given(program=programs(ASKING))
@example(program=[(b"lolwut", b"VERSION", b"9223372036854775807", b"01")])
@profile
def test_replies_have_the_types_and_refusals_of_redis(
    raw: RawRedis, program: list[Words]
) -> None:
    engine = Engine(clock_ms=lambda: 0, random=Random(0))
    session = engine.open_session(lambda reply: None)
    session.execute([b"HELLO", raw.protocol])
    encode = encode_resp3 if raw.protocol == b"3" else encode_resp2
    for command in [(b"FLUSHALL",), *program]:
        got = encode(session.execute(list(command)))
        expected = raw.ask(command)
        assert shape(got) == shape(expected), command


def shape(reply: bytes) -> bytes:
    """What kind of a reply it is; of an error, all of it."""
    line = reply.partition(b"\r\n")[0]
    return line if line[:1] == b"-" or line in (b"$-1", b"_") else line[:1]


# Counts.


@given(program=programs(COUNTED))
@profile
def test_commands_and_errors_are_counted_as_redis_counts_them(
    real: RealRedis, program: list[Words]
) -> None:
    store = OurEngine()
    for ask in (real.ask, store.ask):
        ask([(b"FLUSHALL",), (b"CONFIG", b"RESETSTAT")])
    assert counts(store, program) == counts(real, program)


def counts(store: OurEngine | RealRedis, program: list[Words]) -> dict[bytes, list[bytes]]:
    """Of each command: calls, rejected and failed ones. Of each error: how many."""
    store.ask(program)
    text = b"".join(store.ask([(b"INFO", b"commandstats"), (b"INFO", b"errorstats")]))
    found = {}
    for line in text.splitlines():
        name, _, facts = line.partition(b":")
        found[name] = [fact for fact in facts.split(b",") if not fact.startswith(b"usec")]
    # The call that asks is over on the one, and not on the other.
    found.pop(b"cmdstat_info", None)
    return found


# The slow log.


WORDS = [
    "SET k " + "x" * 200,
    "DEL" + " k" * 31,
    "DEL" + " k" * 32,
    "AUTH pass",
    "AUTH default pass",
    "HELLO 2 AUTH default pass",
    "ACL SETUSER nobody on >pass",
    "ACL DELUSER nobody",
    "CONFIG SET masterauth ",
    "CONFIG SET maxmemory 0 masterauth ",
    "LPUSH k x",
    "GET",
    "nothing x",
    "get k",
    "PING",
]


@pytest.mark.parametrize("line", WORDS)
def test_the_slow_log_has_the_same_words(
    real: RealRedis, ours: RealRedis, line: str
) -> None:
    assert logged(ours, [line]) == logged(real, [line])


def test_the_slow_log_has_what_a_transaction_ran_and_not_exec(
    real: RealRedis, ours: RealRedis
) -> None:
    program = ["MULTI", "SET k v", "GET k", "EXEC"]
    assert logged(ours, program) == logged(real, program)


def logged(store: RealRedis, program: list[str]) -> list[list[bytes]]:
    """The words of the slow log after a program, the newest first."""
    commands = [tuple(line.encode().split(b" ")) for line in program]
    threshold = (b"CONFIG", b"SET", b"slowlog-log-slower-than")
    begin: list[Words] = [(*threshold, b"0"), (b"SLOWLOG", b"RESET")]
    end: list[Words] = [(*threshold, b"-1"), (b"SLOWLOG", b"GET", b"-1")]
    words = [entry[3] for entry in store.ask([*begin, *commands, *end])[-1]]
    assert words.pop() == [b"SLOWLOG", b"RESET"]
    return words
