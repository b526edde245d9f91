"""Scripts: the bytes of their replies, in both versions of the protocol.

Errors are compared whole, with the line that they name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from tests.differential.conversions import CONVERSIONS, ERRORS, LIBRARIES, SUBCOMMANDS
from tests.differential.snippets import SNIPPETS
from tests.differential.wire import RawRedis, check_shapes

MAKERS = [
    (b"HSET", b"h", b"f", b"v"),
    (b"SADD", b"s", b"m"),
    (b"ZADD", b"z", b"1.5", b"m"),
    (b"SET", b"x", b"y"),
]

RESULTS = st.recursive(
    st.sampled_from(
        ("1", "-7", "2.9", "1e300", "true", "false", "'x'", "''", "cjson.null", "{}",
         "{double = 1.5}", "{double = 3}", "{double = 'x'}", "{ok = 'fine'}",
         "{err = 'E x'}", "{big_number = '12345678901234567890'}", "{big_number = 1}",
         "{verbatim_string = {string = 'text', format = 'mkd'}}", "{verbatim_string = 'x'}",
         "redis.call('get', 'x')", "redis.call('get', 'no')", "redis.call('hgetall', 'h')",
         "redis.call('smembers', 's')", "redis.call('zscore', 'z', 'm')",
         "redis.pcall('lpush', 'x', 1)")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "{" + ", ".join(items) + "}"),
        inner.map(lambda item: "{map = {a = " + item + "}}"),
        inner.map(lambda item: "{set = {[" + item + "] = true}}"),
    ),
    max_leaves=5,
)  # fmt: skip
"""Results of scripts, as they are written in one. Maps and sets have one item: the order of
more is nobody's.
"""


@pytest.fixture(scope="module", params=[b"2", b"3"])
def raw(request: pytest.FixtureRequest, emptied_redis: RedisServer) -> Iterator[RawRedis]:
    """A connection to the real Redis, in each version of the protocol."""
    connection = RawRedis(emptied_redis.unix_path, request.param)
    yield connection
    connection.close()


def _check(raw: RawRedis, scripts: str) -> None:
    for script in scripts.strip().splitlines():
        check_shapes(raw, [*MAKERS, (b"EVAL", script.encode(), b"0")])


def test_snippets(raw: RawRedis) -> None:
    for snippet in SNIPPETS.strip().splitlines():
        check_shapes(raw, [(b"EVAL", snippet.encode(), b"0")])


def test_values_are_converted_alike(raw: RawRedis) -> None:
    _check(raw, CONVERSIONS)


def test_errors_name_the_same_lines(raw: RawRedis) -> None:
    _check(raw, ERRORS)


def test_subcommands_are_allowed_alike(raw: RawRedis) -> None:
    _check(raw, SUBCOMMANDS)


def test_libraries_answer_alike(raw: RawRedis) -> None:
    _check(raw, LIBRARIES)


@settings(settings.get_profile("differential"))
@given(result=RESULTS, version=st.sampled_from((2, 3)))
def test_results_arrive_alike(raw: RawRedis, result: str, version: int) -> None:
    _check(raw, f"redis.setresp({version}) local r = {result} return r")
