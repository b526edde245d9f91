"""A server that is fuzzed: in a thread, with a log that is read, and small limits."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import hiredis

from sharedstate_server.directives import server_settings
from sharedstate_server.server import Server
from sharedstate_server.server_log import ServerLog
from tests.fuzz.vocabulary import FILLING
from tests.unit.memory.recount import assert_counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WORD_BYTES = 1024 * 1024
"""The longest word and the longest string: what fills the memory of a fuzzed server."""

HANG_SECONDS = 20.0
"""No answer for so long is no answer at all, on a machine that is busy with others."""


_NO_MORE = object()


class FuzzedServer:
    """A server with a key of each type, and how to talk to it."""

    def __init__(self, server: Server, path: str, log: list[str]) -> None:
        self.server = server
        self.log = log
        self._path = path

    def connect(self) -> Talk:
        """A connection of its own."""
        return Talk(self._path)

    def is_serving(self) -> bool:
        """Whether another client is answered."""
        other = self.connect()
        other.send(b"PING\r\n")
        answer = other.end()
        return answer == b"+PONG\r\n"

    def most_held(self) -> int:
        """The most bytes that any client holds, of commands and of replies."""
        clients = self.server.clients()
        return max((each.held_bytes + each.output_bytes for each in clients), default=0)


class Talk:
    """A connection that reads while it writes, so that neither side waits for the other."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(path)
        self._sock.setblocking(False)
        self.received = b""
        self.is_closed = False

    def send(self, *portions: bytes) -> None:
        """Send one portion after the other, as far as the server takes them."""
        for portion in portions:
            rest = memoryview(portion)
            deadline = time.monotonic() + HANG_SECONDS
            while rest and not self.is_closed:
                assert time.monotonic() < deadline, "the server takes nothing more"
                self._turn(wants_room=True)
                rest = rest[self._write(rest) :]

    def read_until(self, token: bytes) -> bool:
        """Read until something was answered, or the server has closed; whether it was."""
        deadline = time.monotonic() + HANG_SECONDS
        while token not in self.received and not self.is_closed:
            assert time.monotonic() < deadline, "there is no answer, and no end"
            self._turn()
        return token in self.received

    def end(self) -> bytes:
        """Close our side, and return all that was answered until the server closed."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.is_closed = True
        deadline = time.monotonic() + HANG_SECONDS
        while not self.is_closed:
            assert time.monotonic() < deadline, "the connection is not closed"
            self._turn()
        self._sock.close()
        return self.received

    def _turn(self, *, wants_room: bool = False) -> None:
        writing = [self._sock] if wants_room else []
        readable, _, _ = select.select([self._sock], writing, [], 0.1)
        if readable:
            try:
                data = self._sock.recv(1 << 20)
            except ConnectionError:
                data = b""
            self.received += data
            self.is_closed = not data

    def _write(self, data: memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.is_closed = True
            return 0


@contextmanager
def fuzzed_server(
    folder: Path, filling: Sequence[tuple[bytes, ...]] = FILLING
) -> Iterator[FuzzedServer]:
    """A new server. At the end it must stop in time, have logged no mistake of its own,
    and have counted its memory right.
    """
    settings = server_settings()
    settings.load("proto-max-bulk-len", [str(WORD_BYTES)])
    log: list[str] = []
    server = Server(settings=settings, log=ServerLog(lambda line, level: log.append(line)))
    session = server.engine.open_session(lambda reply: None)
    for words in filling:
        session.execute(list(words))
    server.engine.close_session(session)
    path = str(folder / "s")
    server.listen_unix(path)
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    try:
        yield FuzzedServer(server, path, log)
    finally:
        server.request_stop()
        thread.join(HANG_SECONDS)
    assert not thread.is_alive()
    text = "".join(log)
    assert "Traceback" not in text, text
    assert "mistake" not in text, text
    assert_counted(server.engine)


def parse_replies(data: bytes) -> list[object]:
    """The replies in what was answered. Raises what hiredis has against them."""
    reader = hiredis.Reader(notEnoughData=_NO_MORE)
    reader.feed(data)
    replies: list[object] = []
    while (reply := reader.gets()) is not _NO_MORE:
        replies.append(reply)
    assert not reader.has_data(), "the last reply is not whole"
    return replies
