"""Transactions of two clients at once: as on Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import commands
from tests.differential.pair import OurEngine, Pair, RealRedis, Words, comparable

MIXED = """
MULTI
MULTI
EXEC
EXEC
EXEC
DISCARD
WATCH key [key]
WATCH key
UNWATCH
SET key value
SET key value
GET key
INCR key
DEL key
RPUSH key value
LPOP key
BLPOP key 0
SADD key member
EXPIRE key seconds
nosuchcommand key
PING
ECHO value
SELECT 1
SELECT 0
FLUSHALL
EVAL return(redis.call('incr',KEYS[1])) 1 key
EVAL return(redis.pcall('get',KEYS[1])) 1 key
"""

# Each step: which of the two clients, and what it says.
Steps = list[tuple[int, Words]]

# One that blocked would wait for the other, who never comes.
_blocking = frozenset((b"BLPOP", b"blpop"))


@pytest.fixture(scope="module")
def other(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A second connection to the real Redis."""
    connection = RealRedis(emptied_redis.unix_path)
    yield connection
    connection.close()


@settings(settings.get_profile("differential"))
@given(steps=st.lists(st.tuples(st.integers(0, 1), commands(MIXED)), max_size=30))
def test_two_clients(real: RealRedis, other: RealRedis, steps: Steps) -> None:
    for connection in (real, other):
        connection.ask([(b"RESET",)])
    pair = Pair(real)
    ours = (pair.ours, OurEngine(pair.ours.engine))
    in_transaction = [False, False]
    for client, command in steps:
        if command[0] in _blocking and not in_transaction[client]:
            continue
        (expected,) = (real, other)[client].ask([command])
        (got,) = ours[client].ask([command])
        assert comparable(command, got) == comparable(command, expected), (
            f"client {client}, {command!r}: Redis says {expected!r}, the engine {got!r}"
        )
        in_transaction[client] = _is_in_transaction(
            command, expected, in_transaction[client]
        )
    for connection in (real, other):
        connection.ask([(b"RESET",)])
    pair.ours = OurEngine(pair.ours.engine)
    pair.check([])


def _is_in_transaction(command: Words, reply: object, before: bool) -> bool:
    name = command[0].upper()
    if name == b"MULTI" and reply == b"OK":
        return True
    if name in (b"EXEC", b"DISCARD") and len(command) == 1:
        return False
    return before
