"""Any bytes at all lead to replies, or to the end of the connection that sent them.

Hypothesis sends what it likes over a real socket to a server of its own: noise, protocol
that is nearly right, and every command there is with arguments at the edges, in either
protocol, in transactions and in scripts. Whatever it is:

- what comes back is replies, and a connection that is closed was told why,
- the log has no mistake of the server's, and its count of memory is right,
- another client is served, and when the bytes are over the connection comes to its end,
- no client holds more than what it sent.

To search for longer: FUZZ_EXAMPLES=20000. A fuzzer that is guided by coverage looks deeper
into the engine, without sockets: `make fuzz`.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from tests.fuzz.strategies import conversations, cut, pack_all, streams
from tests.fuzz.vocabulary import Words
from tests.unit.server.fuzzed import fuzzed_server, parse_replies

fuzzing = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "120")),
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What a client may hold beside what it has sent: replies that are on their way.
_HELD_BESIDE = 256 * 1024

_TOKEN = b"the end of it"
_LAST = pack_all([(b"RESET",), (b"PING", _TOKEN)])


# What may end a connection without a mistake of its client.
_ENDINGS = frozenset((b"QUIT", b"KILL"))


def _may_end(said: list[Words]) -> bool:
    return any(word.upper() in _ENDINGS for words in said for word in words)


# The byte that is quoted must not end the line of the error.
@example(portions=[b"*1\r\n\r\n"])
@fuzzing
@given(portions=cut(streams))
def test_any_bytes_lead_to_replies_and_to_an_end(
    tmp_path: Path, portions: list[bytes]
) -> None:
    with fuzzed_server(tmp_path) as fuzzed:
        talk = fuzzed.connect()
        talk.send(*portions)
        assert fuzzed.is_serving()
        assert fuzzed.most_held() <= sum(map(len, portions)) + _HELD_BESIDE
        parse_replies(talk.end())
        assert fuzzed.is_serving()


@fuzzing
@given(said=conversations())
def test_what_follows_any_commands_is_answered(tmp_path: Path, said: list[Words]) -> None:
    with fuzzed_server(tmp_path) as fuzzed:
        talk = fuzzed.connect()
        talk.send(pack_all(said), _LAST)
        assert talk.read_until(_TOKEN) or _may_end(said)
        assert fuzzed.is_serving()
        parse_replies(talk.end())
