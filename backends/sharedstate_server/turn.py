"""A turn: what a client gets done at once. Commands in, encoded replies out.

Functions instead of methods, flat, because nearly all time of the server is spent here.

**What a command took** is measured, for the slow log, the latency monitor and INFO. Reading
the clock costs a twentieth of a quick command, so a pipeline of quick commands only (those
of constant cost, by the table) is measured as a whole, and each of them gets its share. If
the whole took long, it was because of size, and the biggest command is held to account.

A run of one quick command is executed straight by its handler, if nothing stands before it:
its name is looked up, counted and measured once for all of them, a fifth of their cost.

A turn ends early after a big reply, when its time is over (commands that copy a long
string, or pop thousands of elements, would take seconds together), and when the session
is not what it was: it waits, it ends, or it was let in.
"""

from __future__ import annotations

from time import perf_counter
from types import MethodType

from sharedstate.commands import names_flagged
from sharedstate_memory.commands.registry import SPELLINGS
from sharedstate_memory.replies import OK, CommandFailure
from sharedstate_memory.session import plain
from sharedstate_server.resp import encode_resp2, encode_resp3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Callable
    from typing import Any

    from sharedstate_memory.session import Session
    from sharedstate_memory.statistics import Statistics
    from sharedstate_server.resp import Encoder

COMMANDS_PER_TURN = 256
TURN_SECONDS = 0.005
"""No command begins in a turn after this time, though one may end much later."""

BIG_REPLY_BYTES = 64 * 1024

ENCODERS: list[Encoder] = [encode_resp2, encode_resp2, encode_resp2, encode_resp3]
"""By version of the protocol."""

_OK = b"+OK\r\n"
_CRLF = b"\r\n"
# The heads of short strings, and small numbers, as they are sent.
_SMALL = 1024
_HEADS = [b"$%d\r\n" % length for length in range(_SMALL)]
_NUMBERS = [b":%d\r\n" % number for number in range(_SMALL)]

# What takes the longer the longer the string is, or the more there are who listen.
_NOT_QUICK = {"APPEND", "PUBLISH", "SPUBLISH"}

_QUICK_NAMES = ["SET", "MSET", "SETEX", "PSETEX"] + [
    name for name in names_flagged("fast") if name not in _NOT_QUICK
]


def _spellings(names: list[str]) -> frozenset[bytes]:
    return frozenset(s.encode() for name in names for s in (name, name.lower()))


_QUICK = _spellings(_QUICK_NAMES)

# Those that change data at most, and never what the session is: runs of them.
_DATA_NAMES = {*names_flagged("write"), *names_flagged("readonly")}
_OF_DATA = _spellings([name for name in _QUICK_NAMES if name in _DATA_NAMES])

# A reply of more than this may have taken long, such as that of LPOP with a count.
_SHORT_REPLY_BYTES = 512

# Who asks about shorter times than this wants every command measured.
_EXACT_BELOW_S = 0.001


def execute_one(session: Session, statistics: Statistics, argv: list[bytes]) -> bytes:
    """Execute the only command of a turn. Returns the encoded reply."""
    before = perf_counter()
    reply: Any = session.execute(argv)
    elapsed = perf_counter() - before
    statistics.seconds[argv[0]] += elapsed
    if elapsed >= statistics.slow_threshold_s:
        statistics.note_slow(session, argv, elapsed)
    kind = type(reply)
    if reply is OK:
        return _OK
    if kind is bytes:
        if len(reply) < _SMALL:
            short: bytes = _HEADS[len(reply)] + reply + _CRLF
            return short
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if kind is int:
        return b":%d\r\n" % reply
    return ENCODERS[session.protocol](reply)


def execute_many(
    session: Session,
    statistics: Statistics,
    commands: list[list[bytes]],
    replies: list[bytes],
) -> int:
    """Execute commands, up to a turn's share, and append the encoded replies, in pieces.
    Returns how many commands that were.
    """
    if len(commands) > COMMANDS_PER_TURN:
        commands = commands[:COMMANDS_PER_TURN]
    threshold = statistics.slow_threshold_s
    if threshold >= _EXACT_BELOW_S:
        names = [argv[0] for argv in commands]
        is_run = names[0] in _OF_DATA and names.count(names[0]) == len(names)
        if is_run or _QUICK.issuperset(names):
            handle = _handler_of_run(session, commands) if is_run else None
            execute = handle or session.execute
            started = perf_counter()
            done = _execute_quick(session, execute, commands, replies, started)
            elapsed = perf_counter() - started
            if handle is not None:
                statistics.calls[names[0]] += done
            _share(statistics.seconds, names[:done], elapsed)
            if elapsed >= threshold:
                biggest = max(commands[:done], key=_size_of)
                statistics.note_slow(session, biggest, elapsed)
            return done
    seconds = statistics.seconds
    is_known = session.authenticated
    done = 0
    before = perf_counter()
    turn_end = before + TURN_SECONDS
    for argv in commands:
        done += 1
        reply: Any = session.execute(argv)
        now = perf_counter()
        seconds[argv[0]] += now - before
        if now - before >= threshold:
            statistics.note_slow(session, argv, now - before)
            threshold = statistics.slow_threshold_s
        before = now
        replies.append(ENCODERS[session.protocol](reply))
        if (
            session.wait is not None
            or session.closing
            or session.authenticated is not is_known
            or len(replies[-1]) > BIG_REPLY_BYTES
            or now > turn_end
        ):
            break
    return done


def _handler_of_run(
    session: Session, commands: list[list[bytes]]
) -> Callable[[list[bytes]], Any] | None:
    """What executes each of a run of one command, if there is nothing else to see to."""
    bound = SPELLINGS.get(commands[0][0])
    if bound is None or getattr(session.execute, "__func__", None) is not plain:
        return None
    handler, least, most, _ = bound
    counts = [len(argv) for argv in commands]
    is_fitting = least <= min(counts) and max(counts) <= most
    return MethodType(handler, session) if is_fitting else None


def _execute_quick(
    session: Session,
    execute: Callable[[list[bytes]], Any],
    commands: list[list[bytes]],
    replies: list[bytes],
    since: float,
) -> int:
    """As `execute_many`, by the session's state or by a handler, measured by the caller
    `since` it began. The hot path of pipelines.
    """
    engine = session.engine
    done = 0
    for argv in commands:
        done += 1
        try:
            reply = execute(argv)
        except CommandFailure as failure:
            reply = engine.note_failure(argv, failure)
        if engine.pending:
            engine.settle(session.db.index, argv)
        kind = type(reply)
        if reply is OK:
            replies.append(_OK)
        elif kind is bytes and len(reply) < _SMALL:
            replies += (_HEADS[len(reply)], reply, _CRLF)
        elif kind is int:
            is_small = 0 <= reply < _SMALL
            replies.append(_NUMBERS[reply] if is_small else b":%d\r\n" % reply)
        else:
            replies.append(ENCODERS[session.protocol](reply))
            if session.wait is not None or session.closing:
                break
            if len(replies[-1]) > _SHORT_REPLY_BYTES and _is_enough(replies[-1], since):
                break
    return done


def _is_enough(data: bytes, since: float) -> bool:
    """Whether a reply ends the turn: it is big, or the time is over."""
    return len(data) > BIG_REPLY_BYTES or perf_counter() > since + TURN_SECONDS


def _share(seconds: defaultdict[bytes, float], names: list[bytes], elapsed: float) -> None:
    """Give each of some quick commands its share of the time that they took together."""
    if names.count(names[0]) == len(names):
        seconds[names[0]] += elapsed
    else:
        for name in names:
            seconds[name] += elapsed / len(names)


def _size_of(argv: list[bytes]) -> int:
    return sum(map(len, argv))
