"""Clients of both stores that wait, and one whose commands wake them.

A store has served whom it can when every client that waits is either answered or counted
among the blocked: that is waited for, and no time.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from typing import Any

import hiredis

from sharedstate_memory.replies import BLOCKED, ErrorReply, as_resp2
from tests.differential.pair import Pair, RealRedis, Words


class Crowd:
    """Both stores, empty at first, and some clients of each that send one command."""

    def __init__(self, real: RealRedis, path: str) -> None:
        self._pair = Pair(real)
        self._real = real
        self._path = path
        self._theirs: list[_Waiter] = []
        self._ours: list[list[Any]] = []

    def join(self, command: Words) -> None:
        """Let a further client send a command that may block, to both."""
        waiter = _Waiter(self._path)
        self._theirs.append(waiter)
        waiter.send(command)
        delivered: list[Any] = []
        self._ours.append(delivered)
        session = self._pair.ours.engine.open_session(delivered.append)
        reply = session.execute(list(command))
        if reply is not BLOCKED:
            delivered.append(reply)
        self.compare(command)

    def tell(self, commands: Sequence[Words]) -> None:
        """Let the client that does not wait send some commands to both."""
        self._pair.check(commands)
        self.compare(*commands)

    def compare(self, *commands: Words) -> None:
        """Check that the same clients have the same answers by now."""
        self._settle()
        expected = [waiter.answers for waiter in self._theirs]
        got = [[as_resp2(reply) for reply in replies] for replies in self._ours]
        assert got == expected, commands

    def close(self) -> None:
        """End all clients, those that still wait, too."""
        for waiter in self._theirs:
            waiter.close()
        while self._count_blocked():
            pass

    def _settle(self) -> None:
        while True:
            blocked = self._count_blocked()
            answered = sum(waiter.receive() for waiter in self._theirs)
            if blocked + answered == len(self._theirs):
                return

    def _count_blocked(self) -> int:
        (facts,) = self._real.ask([(b"INFO", b"clients")])
        line = next(line for line in facts.splitlines() if b"blocked_clients" in line)
        return int(line.partition(b":")[2])


class _Waiter:
    """A client of the real Redis that sends one command and may have to wait."""

    def __init__(self, path: str) -> None:
        self.answers: list[Any] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader(replyError=_error)  # type: ignore[arg-type]

    def send(self, command: Words) -> None:
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]

    def receive(self) -> int:
        """Take what has come. Returns the number of answers, one or none."""
        while select.select([self._socket], [], [], 0)[0]:
            self._reader.feed(self._socket.recv(1 << 16))
            if (reply := self._reader.gets()) is not False:
                self.answers.append(reply)
        return len(self.answers)

    def close(self) -> None:
        self._socket.close()


def _error(text: str) -> ErrorReply:
    return ErrorReply(text.encode())
