"""Bytes become a session with the engine: whatever they are, nothing may break.

A fuzzer changes bytes and watches where they lead, so nearly every byte stands for
something: which command, how many words, each word, and what happens between commands
(time passes, clients come and go). So the fuzzer finds its way to the depths of a command
without having to guess a word that it consists of. `play` states what always holds:

- a command has a reply, or waits for one; it never raises, and does not take long,
- its reply can be encoded, and what a client reads is that one reply,
- memory is counted right, and who has gone leaves nothing behind.
"""

from __future__ import annotations

from random import Random
from time import thread_time

import hiredis

from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import Reply
from sharedstate_memory.session import Session
from sharedstate_server.directives import server_settings
from sharedstate_server.requests import RequestParser
from sharedstate_server.resp import encode_resp2, encode_resp3
from tests.fuzz.vocabulary import (
    FILLING,
    FLOATS,
    KEYS,
    NUMBERS,
    OPTIONS,
    PATTERNS,
    SCRIPTS,
    TEXTS,
    Words,
    all_specs,
)
from tests.unit.memory.recount import assert_counted

LONGEST_SECONDS = 1.0
"""What a command may take. The longest take a tenth of it on a quiet machine."""

_SPECS = list(all_specs().items())
_POOLS = (KEYS, KEYS, NUMBERS, FLOATS, OPTIONS, PATTERNS + TEXTS, SCRIPTS)
_STEPS_MS = (1, 100, 5_000, 100_000, 10**8)
_MOST_CLIENTS = 4

# The first names begin transactions and scripts, so that they are met more often.
_OFTEN: tuple[Words, ...] = (
    (b"MULTI",),
    (b"EXEC",),
    (b"EVAL",),
    (b"FCALL",),
    (b"WATCH",),
    (b"CONFIG", b"SET"),
    (b"CLIENT", b"TRACKING"),
    (b"HELLO", b"3"),
)

_NO_MORE = object()


class _Tape:
    """The bytes, from the first to the last, and then zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def string(self) -> bytes:
        length = self.byte() % 32
        self._at += length
        return self._data[self._at - length : self._at]

    def word(self) -> bytes:
        which = self.byte() % (len(_POOLS) + 1)
        if which == len(_POOLS):
            return self.string()
        pool = _POOLS[which]
        return pool[self.byte() % len(pool)]

    def command(self) -> list[bytes]:
        first = self.byte()
        if first < len(_OFTEN):
            name, count = _OFTEN[first], 2 * (first > 1)
        else:
            name, spec = _SPECS[(first << 8 | self.byte()) % len(_SPECS)]
            count = abs(spec.arity) - len(name)
        words = [*name, *(self.word() for _ in range(count + self.byte() % 6))]
        if name[0] in (b"EVAL", b"EVAL_RO", b"FCALL", b"FCALL_RO") and self.byte() % 4:
            words[2:] = [b"0", *self.command()] if len(words) < 8 else [b"0", *words[2:]]
        return words


class _Client:
    """A session, and the parser of a connection in front of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.parser = RequestParser()
        self.session: Session = engine.open_session(self._check)

    def execute(self, argv: list[bytes]) -> None:
        """Execute a command if the session may take one, and look at its reply."""
        if self.session.wait is not None or self.session.closing or not _may_run(argv):
            return
        before = thread_time()
        reply = self.session.execute(argv)
        self._check(reply)
        seconds = thread_time() - before
        assert seconds < LONGEST_SECONDS, f"{seconds} s for {argv}"
        assert self.engine.busy is not None or not self.engine.pending

    def _check(self, reply: Reply) -> None:
        encode = encode_resp3 if self.session.protocol == 3 else encode_resp2
        data = encode(reply)
        reader = hiredis.Reader(notEnoughData=_NO_MORE)
        reader.feed(data)
        count = 0
        while reader.gets() is not _NO_MORE:
            count += 1
        assert not reader.has_data() or self.session.muting is not None, data
        # Each channel that is entered or left has a reply, in a transaction too; and one
        # in which replies are turned off has a reply that is not whole. So it is in Redis.
        is_odd = b"subscribe" in data or self.session.muting is not None
        assert count == (1 if data else 0) or is_odd, data

    def close(self) -> None:
        self.engine.close_session(self.session)


def _may_run(argv: list[bytes]) -> bool:
    # It sleeps, or prints what it is told to.
    return not (argv[0].upper() == b"DEBUG" and argv[1:] and argv[1].upper() == b"SLEEP")


def play(data: bytes) -> None:
    """Do what the bytes say. Raises AssertionError, or whatever goes wrong."""
    now_ms = 1_700_000_000_000
    settings = server_settings()
    settings.load("enable-debug-command", ["yes"])
    settings.load("proto-max-bulk-len", ["1mb"])
    engine = Engine(clock_ms=lambda: now_ms, random=Random(1), settings=settings)
    clients = [_Client(engine)]
    tape = _Tape(data)
    # The functions come only when they are wanted: they take longer than all the rest.
    for words in FILLING[: None if tape.byte() % 8 == 0 else -1]:
        clients[0].execute(list(words))
    client = clients[0]
    while not tape.is_over:
        what = tape.byte() % 16
        if what == 0:
            now_ms += _STEPS_MS[tape.byte() % len(_STEPS_MS)]
            engine.expire_waits()
            engine.cron()
        elif what == 1:
            if len(clients) < _MOST_CLIENTS:
                clients.append(_Client(engine))
            client = clients[tape.byte() % len(clients)]
        elif what == 2:
            clients.remove(client)
            client.close()
            client = _Client(engine)
            clients.append(client)
        elif what == 3:
            for argv in client.parser.feed(tape.string()):
                client.execute(argv)
        else:
            client.execute(tape.command())
    _end(engine, clients)


def _end(engine: Engine, clients: list[_Client]) -> None:
    """Let everybody go. Nothing may be left but the data, and that is counted right."""
    for client in clients:
        client.close()
    engine.cron()
    assert_counted(engine)
    assert not engine.sessions
    assert not any(database.watchers for database in engine.databases)
    assert not len(engine.waits)
    assert not engine.channels.has_listeners
    assert engine.monitors is None
    assert engine.tracking is None or not engine.tracking.is_wanted
