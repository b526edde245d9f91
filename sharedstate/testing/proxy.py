"""A proxy between clients and a server that can misbehave like a network.

    with Proxy(("127.0.0.1", server.port)) as proxy:
        state = connect(f"redis://127.0.0.1:{proxy.port}", timeout=0.3)
        proxy.stall()                  # answers do not come any more
        proxy.cut()                    # connections break, as by a dead router
        proxy.hang_up()                # connections end, as by a server that stops
        proxy.cut_replies_after(5)     # … in the middle of a reply
        proxy.refuse()                 # new connections are refused by silence: closed
        proxy.commands("INCRBY")       # what clients sent, to count it
        proxy.accepted                 # how often they connected

One thread does it all. Bytes are passed on in the order they came, as one stream a
direction, and what was seen of the clients' stream is kept.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import hiredis

if TYPE_CHECKING:
    from types import TracebackType

_READ_SIZE = 65536
_TURN_SECONDS = 0.02
"""How long the thread sleeps at most: the precision of `delay`."""


class Proxy:
    """Passes bytes between clients and `target`: a path, or a pair of host and port.

    It listens on a free port of 127.0.0.1 until it is closed. All methods may be called
    while bytes flow, and hold for what arrives after them.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self.delay_seconds = 0.0
        """How long the server's replies are held back. They keep their order."""
        self.command_delay_seconds = 0.0
        """How long the clients' commands are held back. They keep their order, and reach
        the server even if the client has gone by then, as they do in a real network."""
        self.accepted = 0
        """How many connections have come, refused ones too."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._lock = threading.RLock()
        self._pairs: list[_Pair] = []
        self._seen: list[tuple[bytes, ...]] = []
        self._stalled = False
        self._refusing = False
        self._reply_bytes_left: int | None = None
        self._running = True
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def stall(self) -> None:
        """Hold every reply of the server back, from now on. Commands still pass."""
        with self._lock:
            self._stalled = True

    def resume(self) -> None:
        """Let held replies go, and accept connections again."""
        with self._lock:
            self._stalled = False
            self._refusing = False
        self._wake()

    def refuse(self) -> None:
        """Close new connections as soon as they come."""
        with self._lock:
            self._refusing = True

    def cut(self) -> None:
        """Break all connections at once, with a reset, as a dead router would."""
        with self._lock:
            for pair in list(self._pairs):
                self._drop(pair)

    def hang_up(self) -> None:
        """End all connections in order, as a server does that stops or tidies up."""
        with self._lock:
            for pair in list(self._pairs):
                self._drop(pair, reset=False)

    def cut_replies_after(self, count: int) -> None:
        """Break a connection after `count` more bytes of replies, counted over all."""
        with self._lock:
            self._reply_bytes_left = count

    def commands(self, name: str = "") -> list[tuple[bytes, ...]]:
        """The complete commands that clients have sent; only those of a name if given."""
        with self._lock:
            wanted = name.upper().encode()
            return [one for one in self._seen if not wanted or one[0].upper() == wanted]

    def close(self) -> None:
        """End all connections and the thread. Twice is fine."""
        with self._lock:
            running, self._running = self._running, False
        if not running:
            return
        self._wake()
        self._thread.join()
        for pair in list(self._pairs):
            self._drop(pair)
        self._selector.close()
        for sock in (self._listener, self._wake_reader, self._wake_writer):
            sock.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while self._running:
            ready = self._selector.select(_TURN_SECONDS)
            with self._lock:
                for key, _ in ready:
                    self._on_readable(key.fileobj, key.data)
                for pair in list(self._pairs):
                    self._pass_commands(pair)
                    self._pass_replies(pair)

    def _on_readable(self, sock: object, pair: _Pair | None) -> None:
        if sock is self._listener:
            self._accept()
        elif sock is self._wake_reader:
            self._wake_reader.recv(_READ_SIZE)
        elif pair is not None and pair in self._pairs:
            if sock is pair.client:
                self._take_command(pair)
            else:
                self._take_reply(pair)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = None if self._refusing else _connect(self._target)
        except OSError:
            server = None
        if server is None:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, server)
        self._pairs.append(pair)
        self._selector.register(client, selectors.EVENT_READ, pair)
        self._selector.register(server, selectors.EVENT_READ, pair)

    def _take_command(self, pair: _Pair) -> None:
        data = _read(pair.client)
        if not data:
            if not pair.client_is_gone:
                pair.client_is_gone = True
                self._selector.unregister(pair.client)
            self._pass_commands(pair)
            return
        pair.reader.feed(data)
        while (command := pair.reader.gets()) is not False:
            self._seen.append(tuple(command))
        pair.under_way.append((time.monotonic() + self.command_delay_seconds, data))
        self._pass_commands(pair)

    def _pass_commands(self, pair: _Pair) -> None:
        """Send what is due to the server. A client's end is passed on behind it."""
        now = time.monotonic()
        while pair.under_way and pair.under_way[0][0] <= now and pair in self._pairs:
            self._write(pair, pair.server, pair.under_way.pop(0)[1])
        if pair.client_is_gone and not pair.under_way:
            self._drop(pair, reset=False)

    def _take_reply(self, pair: _Pair) -> None:
        data = _read(pair.server)
        if not data:
            self._drop(pair)
            return
        pair.held.append((time.monotonic() + self.delay_seconds, data))

    def _pass_replies(self, pair: _Pair) -> None:
        """Send what is due to the client; cut the connection where that was asked for."""
        if pair.client_is_gone:
            pair.held.clear()
        now = time.monotonic()
        while pair.held and not self._stalled and pair.held[0][0] <= now:
            _, data = pair.held.pop(0)
            left = self._reply_bytes_left
            if left is not None and len(data) >= left:
                self._reply_bytes_left = None
                self._write(pair, pair.client, data[:left])
                self._drop(pair)
                return
            if left is not None:
                self._reply_bytes_left = left - len(data)
            self._write(pair, pair.client, data)

    def _write(self, pair: _Pair, sock: socket.socket, data: bytes) -> None:
        try:
            sock.sendall(data)
        except OSError:
            self._drop(pair)

    def _drop(self, pair: _Pair, *, reset: bool = True) -> None:
        if pair not in self._pairs:
            return
        self._pairs.remove(pair)
        for sock in (pair.client, pair.server):
            if sock is pair.server or not pair.client_is_gone:
                self._selector.unregister(sock)
            # Closing with a linger of zero sends a reset and not an orderly end, which a
            # server would take for the end of the process on the other side.
            if reset:
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()

    def _wake(self) -> None:
        self._wake_writer.send(b"!")


class _Pair:
    """A client's connection, the one to the server that it is passed to, and between."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.reader = hiredis.Reader()
        self.held: list[tuple[float, bytes]] = []
        """Replies, and when each is due."""
        self.under_way: list[tuple[float, bytes]] = []
        """Commands, and when each is due."""
        self.client_is_gone = False
        """It has hung up, perhaps while commands were under way."""


def _connect(target: str | tuple[str, int]) -> socket.socket:
    if isinstance(target, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(target)
        return sock
    sock = socket.create_connection(target)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(_READ_SIZE)
    except OSError:
        return b""
