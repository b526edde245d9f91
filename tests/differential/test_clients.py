"""What one client says of itself, tracks and listens to: the same replies as Redis.

Words that would bring several replies to one command are left out, and what only later
versions know.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharedstate_memory.replies import BLOCKED, as_resp2
from sharedstate_memory.session import Session
from tests.differential.pair import OurEngine, RealRedis, Words

TRACKING = """
CLIENT TRACKING ON
CLIENT TRACKING ON NOLOOP
CLIENT TRACKING ON OPTIN
CLIENT TRACKING ON OPTOUT
CLIENT TRACKING ON OPTIN OPTOUT
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST OPTIN
CLIENT TRACKING on bcast prefix a
CLIENT TRACKING ON BCAST PREFIX b NOLOOP
CLIENT TRACKING ON BCAST PREFIX ab PREFIX c
CLIENT TRACKING ON BCAST PREFIX a PREFIX a
CLIENT TRACKING ON BCAST PREFIX b PREFIX bc
CLIENT TRACKING ON PREFIX a
CLIENT TRACKING ON PREFIX
CLIENT TRACKING ON REDIRECT 999999
CLIENT TRACKING ON REDIRECT x
CLIENT TRACKING ON REDIRECT
CLIENT TRACKING ON FOO
CLIENT TRACKING OFF
CLIENT TRACKING OFF
CLIENT TRACKING OFF FOO
CLIENT TRACKING OFF BCAST PREFIX a
CLIENT TRACKING maybe
CLIENT TRACKING
CLIENT TRACKINGINFO
CLIENT TRACKINGINFO
CLIENT TRACKINGINFO x
CLIENT CACHING YES
CLIENT CACHING no
CLIENT CACHING maybe
CLIENT CACHING
CLIENT GETREDIR
CLIENT GETREDIR x
GET k
MULTI
EXEC
RESET
"""

NAMES = """
CLIENT SETNAME me
CLIENT SETNAME you
CLIENT SETNAME
CLIENT GETNAME
CLIENT GETNAME x
CLIENT NO-EVICT on
CLIENT NO-EVICT maybe
CLIENT REPLY ON
CLIENT REPLY maybe
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE foo
CLIENT LIST TYPE
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 999999
CLIENT LIST FOO
CLIENT KILL nobody:1
CLIENT KILL ID 999999
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL ID
CLIENT KILL ID 999999 FOO
CLIENT KILL TYPE pubsub
CLIENT KILL TYPE foo
CLIENT KILL ADDR nobody:1
CLIENT KILL LADDR nobody:1 SKIPME no
CLIENT KILL USER nobody
CLIENT KILL SKIPME perhaps
CLIENT KILL FOO bar
CLIENT KILL
CLIENT UNBLOCK 999999
CLIENT UNBLOCK 999999 ERROR
CLIENT UNBLOCK 999999 FOO
CLIENT UNBLOCK 999999 ERROR x
CLIENT UNBLOCK x
CLIENT UNBLOCK
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 1 FOO
CLIENT PAUSE 1 ALL x
CLIENT PAUSE
CLIENT UNPAUSE x
CLIENT UNPAUSE
CLIENT FOO
CLIENT
RESET
"""

CHANNELS = """
SUBSCRIBE a
SUBSCRIBE b
SUBSCRIBE
UNSUBSCRIBE a
UNSUBSCRIBE b
PSUBSCRIBE a*
PSUBSCRIBE ?
PSUBSCRIBE
PUNSUBSCRIBE a*
PUNSUBSCRIBE ?
SSUBSCRIBE a
SSUBSCRIBE
SUNSUBSCRIBE a
SUNSUBSCRIBE b
PING
PING x
PING x y
GET k
PUBLISH a hello
PUBLISH a
SPUBLISH a hello
PUBSUB CHANNELS
PUBSUB CHANNELS a
PUBSUB CHANNELS a b
PUBSUB NUMSUB a b c
PUBSUB NUMSUB
PUBSUB NUMPAT
PUBSUB NUMPAT x
PUBSUB SHARDCHANNELS *
PUBSUB SHARDCHANNELS a b
PUBSUB SHARDNUMSUB a b
PUBSUB FOO
PUBSUB
MULTI
EXEC
DISCARD
RESET
"""

QUEUED = """
MULTI
MULTI
EXEC
EXEC
DISCARD
EXEC x
MULTI x
WATCH k
WATCH
UNWATCH
UNWATCH x
SET k v
GET k
INCR k
GET
NOSUCH k
CLIENT GETNAME
CLIENT NOSUCH
CLIENT SETNAME
CLIENT
CLIENT LIST FOO
CONFIG NOSUCH
SELECT 99
SELECT 1
BLPOP l 0.01
HELLO 9
RESET
SUBSCRIBE a
UNSUBSCRIBE a
SWAPDB 0 1
FLUSHALL
"""

profile = settings.get_profile("differential")


def programs(lines: str) -> st.SearchStrategy[list[Words]]:
    """Some of the lines, in any order."""
    commands = [tuple(line.encode().split()) for line in lines.strip().splitlines()]
    return st.lists(st.sampled_from(commands), max_size=25)


def answer(session: Session, delivered: list[Any], command: Words) -> Any:
    """Our reply to a command. One that blocks waits no longer than this."""
    reply = session.execute([*command])
    if reply is BLOCKED:
        session.engine.cancel_wait(session)
        reply = delivered.pop()
    return as_resp2(reply)


def check(real: RealRedis, program: list[Words]) -> None:
    """Tell both the same, and compare the replies."""
    delivered: list[Any] = []
    session = OurEngine().engine.open_session(delivered.append)
    real.ask([(b"RESET",), (b"FLUSHALL",)])
    try:
        for command in program:
            (expected,) = real.ask([command])
            assert _plain(answer(session, delivered, command)) == _plain(expected), command
    finally:
        real.ask([(b"RESET",)])


def _plain(reply: Any) -> Any:
    """A reply in which the order of names that have none is no matter."""
    if isinstance(reply, list) and all(isinstance(part, bytes) for part in reply):
        return sorted(reply)
    return reply


_CHOSEN_BEFORE = ["TRACKING ON OPTIN", "CACHING YES", "TRACKING ON OPTIN", "TRACKINGINFO"]


@settings(profile)
@given(program=programs(TRACKING))
@example(program=[(b"CLIENT", *said.encode().split()) for said in _CHOSEN_BEFORE])
def test_tracking(real: RealRedis, program: list[Words]) -> None:
    check(real, program)


@settings(profile)
@given(program=programs(NAMES))
def test_names_and_refusals(real: RealRedis, program: list[Words]) -> None:
    check(real, program)


@settings(profile)
@given(program=programs(CHANNELS))
def test_channels(real: RealRedis, program: list[Words]) -> None:
    check(real, program)


@settings(profile)
@given(program=programs(QUEUED))
def test_transactions(real: RealRedis, program: list[Words]) -> None:
    check(real, program)
