"""CONFIG: as on Redis, for every directive that can be tried without harm.

Left out are directives that would cut the test off from the real server (`port`,
`maxmemory-clients`), that reach outside of it (`dir`), and those of which this server
refuses what it does not have (`save`, `appendonly`, `replicaof`).
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.testing.servers import RedisServer
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply
from sharedstate_server.directives import server_settings
from tests.differential.pair import OurEngine, RealRedis, Words

_HARMFUL = """
    port bind tls-port dir dbfilename requirepass maxclients maxmemory-clients timeout
    save appendonly min-replicas-to-write min-slaves-to-write activedefrag tls-cluster
    tls-replication tls-ciphersuites oom-score-adj proc-title-template
    client-output-buffer-limit repl-backlog-size unixsocket
"""

_NAMES = sorted(
    name
    for pattern in server_settings().matching([b"*"])
    if (name := pattern.decode()) not in _HARMFUL.split()
)

_VALUES = """
0 1 -1 2 5 10 64 100 101 512 65536 +1 01 0x10 1.5 99999999999999999999
yes NO maybe 1mb 1MB 1k 3gb 1kk 5% 0% 101% normal notice LRU allkeys-lru volatile-ttl
KEA gK An mnd $lz A? abc local optional everysec swapdb ip default nosave
"""

_PATTERNS = """
maxmemory* MAXMEMORY maxmemory *-max-*-value hash-max-???????? [hz]* lua-time-limit
l*y* nothing *zip* latency-tracking* SLOWLOG-*-LEN
"""

_SENTENCES = ("", "50 99", "1 2 3", "50 x", "10 20 30", "900 1", "nosave now", " 1")

_names = st.one_of(
    st.sampled_from(_NAMES), st.sampled_from(["nothing", "MaxMemory", "DaemonIze"])
)
_values = st.one_of(st.sampled_from(_VALUES.split()), st.sampled_from(_SENTENCES))


@st.composite
def _commands(draw: st.DrawFn) -> Words:
    if draw(st.booleans()):
        patterns = draw(st.lists(st.sampled_from(_PATTERNS.split()) | _names, max_size=3))
        return (b"CONFIG", b"GET", *(pattern.encode() for pattern in patterns))
    pairs = draw(st.lists(st.tuples(_names, _values), max_size=3))
    words = [word.encode() for pair in pairs for word in pair]
    if draw(st.integers(0, 19)) == 0:
        words = words[:-1]
    return (b"CONFIG", b"SET", *words)


@pytest.fixture(scope="module")
def configured(redis_is_installed: None) -> Iterator[RealRedis]:
    """A real server whose settings may be changed at will."""
    with RedisServer() as server:
        connection = RealRedis(server.unix_path)
        yield connection
        connection.close()


def _comparable(command: Words, reply: object) -> object:
    if isinstance(reply, list):
        return sorted(zip(reply[::2], reply[1::2], strict=True))
    return reply


def _new_engine() -> OurEngine:
    engine = Engine(clock_ms=lambda: 0, random=Random(0), settings=server_settings())
    return OurEngine(engine)


def _begin_again(real: RealRedis) -> None:
    """Give the real server the defaults of ours."""
    defaults = server_settings()
    names = [name for name in _NAMES if name in defaults]
    for name in names:
        if not defaults.directive(name).is_immutable:
            value = defaults.show(name).encode()
            reply = real.ask([(b"CONFIG", b"SET", name.encode(), value)])[0]
            assert not isinstance(reply, ErrorReply), (name, reply)


@settings(settings.get_profile("differential"))
@given(st.lists(_commands(), min_size=1, max_size=8))
def test_configuration_is_as_on_redis(configured: RealRedis, program: list[Words]) -> None:
    _begin_again(configured)
    ours = _new_engine()
    for command in program:
        got = _comparable(command, ours.ask([command])[0])
        expected = _comparable(command, configured.ask([command])[0])
        assert got == expected, f"{command!r}: Redis says {expected!r}, ours {got!r}"


def test_every_directive_of_redis_is_known(configured: RealRedis) -> None:
    reply = configured.ask([(b"CONFIG", b"GET", b"*")])[0]
    assert set(reply[::2]) == set(server_settings().matching([b"*"]))


@pytest.mark.parametrize("name", _NAMES)
def test_a_directive_takes_and_refuses_what_it_does_on_redis(
    configured: RealRedis, name: str
) -> None:
    _begin_again(configured)
    ours = _new_engine()
    for value in (*_VALUES.split(), *_SENTENCES):
        change = (b"CONFIG", b"SET", name.encode(), value.encode())
        for command in (change, (b"CONFIG", b"GET", name.encode())):
            got, expected = ours.ask([command])[0], configured.ask([command])[0]
            assert got == expected, f"{command!r}: Redis {expected!r}, ours {got!r}"
