"""Small requests that could cost much: none holds the loop up for long.

Each of them is a line or two, and asks for something enormous: a pattern that explodes, a
string of half a gigabyte, a million elements at random. It is answered with what it asks
for if that is bounded, as in Redis, or with an error. The bound of two seconds is for a
machine that is busy with others; on a quiet one, all take less than a tenth of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.vocabulary import Words, pack
from tests.unit.server.fuzzed import FuzzedServer, fuzzed_server, parse_replies

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.server.conftest import BareClient

LONGEST_SECONDS = 2.0
MOST_KIB = 400 * 1024

_LENGTH = 20_000
_MIN, _MAX = "-9223372036854775808", "9223372036854775807"
_EXPLOSIVE = "*a*a*a*a*a*a*a*a*a*b"

REQUESTS = [
    f"KEYS {_EXPLOSIVE}",
    f"SCAN 0 MATCH {_EXPLOSIVE} COUNT {_MAX}",
    f"SSCAN set 0 MATCH {'*m' * 400} COUNT {_MAX}",
    f"HSCAN hash 0 MATCH {'?' * 3000} COUNT {_MAX}",
    f"KEYS {'?' * 60_000}",
    f"KEYS {'[^a]' * 1000}",
    f"PSUBSCRIBE {'*?' * 2000}",
    f"CONFIG GET {_EXPLOSIVE}",
    "SRANDMEMBER set -262144",
    f"SRANDMEMBER set {_MIN}",
    "SRANDMEMBER set -1000000000",
    "HRANDFIELD hash -262144 WITHVALUES",
    "HRANDFIELD hash -1000000000",
    "ZRANDMEMBER sorted -262144 WITHSCORES",
    f"ZRANDMEMBER sorted {_MAX} WITHSCORES",
    "SETRANGE new 1048570 x",
    "SETRANGE new 536870911 x",
    f"SETRANGE new {_MAX} x",
    "SETBIT new 4294967295 1",
    "SETBIT new 8388607 1",
    f"BITFIELD new SET i64 {_MAX} 1",
    "BITFIELD new INCRBY u63 #1000000000 1",
    "BITFIELD new SET u8 #1048575 255",
    "BITOP NOT new long",
    "BITCOUNT long",
    "BITPOS long 0",
    f"GETRANGE long {_MIN} {_MAX}",
    "LCS long long LEN",
    "LCS medium medium IDX WITHMATCHLEN",
    "APPEND long x",
    "LRANGE list 0 -1",
    "LPOS list nothing COUNT 0 MAXLEN 0",
    f"LPOS list nothing RANK {_MAX}",
    f"LREM list {_MIN} nothing",
    "LINSERT list BEFORE nothing x",
    f"LTRIM list {_MIN} {_MAX}",
    f"LPOP list {_MAX}",
    "SORT list BY w_* GET w_*->field GET #",
    f"SORT list ALPHA DESC LIMIT {_MIN} {_MAX}",
    "SORT list BY nosort STORE new",
    "SUNIONSTORE new set set",
    "SPOP set 19000",
    "ZUNIONSTORE new 3 sorted sorted set AGGREGATE MAX",
    f"ZUNION {_MAX} sorted",
    f"ZRANGE sorted -inf +inf BYSCORE LIMIT 0 {_MAX}",
    f"ZRANGESTORE new sorted 0 {_MAX}",
    f"ZPOPMIN sorted {_MAX}",
    "COPY hash new",
    "HGETALL hash",
    f"HEXPIRE hash {_MAX} FIELDS 1 f1",
    f"EXPIRE long {_MAX}",
    f"SET new x PX {_MAX}",
    f"SET new {'9' * 100_000}",
    f"INCRBYFLOAT new 0.{'0' * 50_000}1",
    "INCRBYFLOAT new 1e4932",
    f"ZADD new 1e{'9' * 50_000} x",
    "BLPOP new -1e308",
    "COMMAND DOCS",
    "LATENCY DOCTOR",
    "MEMORY USAGE sorted SAMPLES 0",
    "ACL GENPASS 1000000000",
    "LOLWUT VERSION 5 1000000000 1000000000 1000000000",
    "INFO everything",
]
"""What fits into a line of its own."""

SCRIPTS = [
    "return string.rep('x', 1e9)",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "local t = {} for i = 1, 1e5 do t = {t} end return t",
    "local function f() return pcall(f) end return f()",
    "local function f() return coroutine.wrap(f)() end return f()",
    "return unpack({}, 1, 1e8)",
    "return table.concat({}, 'x', 1, 1e8)",
    "return cjson.decode('[' .. string.rep('9', 1e6) .. ']')",
    "return cjson.decode(string.rep('[', 1e6))",
    "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
    "return cmsgpack.unpack(string.rep('\\145', 1e6))",
    "return struct.pack('c2147483647', 'x')",
    "return struct.size('c2147483647c2147483647')",
    "return redis.call('KEYS', '" + _EXPLOSIVE + "')",
    "redis.log(redis.LOG_WARNING, string.rep('x', 1e6))",
]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedServer]:
    """A server for all of these tests. What they do to it is the same in any order."""
    with fuzzed_server(tmp_path_factory.mktemp("costly")) as fuzzed:
        yield fuzzed


@cache
def _filling() -> bytes:
    """Commands that leave nothing but big keys, one of each type."""
    names = [b"m%d" % number for number in range(_LENGTH)]
    commands: list[Words] = [
        (b"FLUSHALL",),
        (b"SET", b"a" * 1000, b"x"),
        (b"SET", b"long", b"ab" * 500_000),
        (b"SET", b"medium", b"ab" * 250),
        (b"RPUSH", b"list", *(b"%d" % number for number in range(_LENGTH))),
        (b"SADD", b"set", *names),
        (b"HSET", b"hash", *(word for name in names for word in (name, b"v"))),
        (b"ZADD", b"sorted", *(word for name in names for word in (name[1:], name))),
    ]
    return b"".join(map(pack, commands))


def _assert_cheap(fuzzed: FuzzedServer, words: Words) -> None:
    talk = fuzzed.connect()
    talk.send(_filling())
    filled = parse_replies(talk.end())
    assert not any(isinstance(reply, Exception) for reply in filled)
    fuzzed.server.loop.longest_turn = 0.0
    before_kib = getrusage(RUSAGE_SELF).ru_maxrss
    talk = fuzzed.connect()
    talk.send(pack(words))
    assert parse_replies(talk.end())
    assert fuzzed.is_serving()
    assert fuzzed.server.loop.longest_turn < LONGEST_SECONDS
    assert getrusage(RUSAGE_SELF).ru_maxrss - before_kib < MOST_KIB


@pytest.mark.parametrize("line", REQUESTS, ids=lambda line: line[:40])
def test_a_small_request_costs_little(fuzzed: FuzzedServer, line: str) -> None:
    _assert_cheap(fuzzed, tuple(line.encode().split()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[:40])
def test_a_small_script_costs_little(fuzzed: FuzzedServer, script: str) -> None:
    _assert_cheap(fuzzed, (b"EVAL", script.encode(), b"0"))


def test_many_prefixes_are_not_compared_each_with_each(fuzzed: FuzzedServer) -> None:
    prefixes = (word for n in range(20_000) for word in (b"PREFIX", b"%06d:" % n))
    words = (b"CLIENT", b"TRACKING", b"ON", b"BCAST", *prefixes, b"PREFIX", b"000007")
    fuzzed.server.loop.longest_turn = 0.0
    talk = fuzzed.connect()
    talk.send(pack((b"HELLO", b"3")), pack(words))
    assert b"overlaps with another provided prefix" in talk.end()
    assert fuzzed.server.loop.longest_turn < LONGEST_SECONDS


def test_a_pipeline_of_slow_commands_lets_others_in_between(
    connect: Callable[[], BareClient],
) -> None:
    greedy, other = connect(), connect()
    greedy.send(b"SETRANGE k 30000000 x\r\n")
    greedy.expect(b":30000001\r\n")
    # Each of them copies the string: some seconds in all.
    greedy.send(b"APPEND k x\r\n" * 250)
    greedy.expect(b":30000002\r\n")
    other.send(b"STRLEN k\r\n")
    assert int(other.read_line()[1:]) < 30_000_251
