"""The gate: listening sockets, and how a client that connects becomes a connection.

    accept ──> admission ──> (TLS handshake) ──> Server.adopt
                   └──> turned away with one line

Accepting takes a turn's share at a time, so that a storm of clients does not hold up
those who are being served.
"""

from __future__ import annotations

import errno
import socket

from sharedstate_server.admission import Admission
from sharedstate_server.listening import keep_alive
from sharedstate_server.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_server.loop import Timer
    from sharedstate_server.server import Server
    from sharedstate_server.tls import Tls, TlsHandshake

ACCEPTS_PER_TURN = 64

# After running out of file descriptors, accept nothing for this long: the waiting
# client would make the listening socket ready again and again.
ACCEPT_PAUSE_SECONDS = 0.2

_OUT_OF_MEANS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Gate:
    """The listening sockets of a server, and who is on the way in."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = server.loop
        self._admission = Admission(server.engine)
        # Each with whether TLS is spoken there.
        self._listeners: dict[socket.socket, bool] = {}
        self._tls: Tls | None = None
        self._handshakes: set[TlsHandshake] = set()

    def open(self, listener: socket.socket, *, is_tls: bool = False) -> None:
        """Accept clients from a socket that listens already. Raises `SettingError` if
        TLS is asked for and cannot be.
        """
        if is_tls:
            self._prepare_tls()
        listener.setblocking(False)
        self._listeners[listener] = is_tls
        self._watch(listener)

    def _prepare_tls(self) -> None:
        if self._tls is None:
            from sharedstate_server.tls import Tls  # here, because it loads OpenSSL

            self._tls = Tls(self._server.engine.settings)
        else:
            self._tls.follow()

    def close_one(self, listener: socket.socket) -> None:
        """Accept no more from a socket, and close it."""
        del self._listeners[listener]
        self._loop.forget(listener.fileno())
        listener.close()

    def close(self) -> None:
        """Close all sockets, and let those go who are on the way in."""
        for listener in list(self._listeners):
            self.close_one(listener)
        for handshake in list(self._handshakes):
            handshake.close()

    def accept(self, listener: socket.socket) -> None:
        """Take in the clients who wait at a socket, a turn's share of them."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_MEANS:
                    self._pause(listener, error)
                return
            try:
                self._welcome(client, address, is_tls=self._listeners[listener])
            except OSError as error:
                # It has gone again: a socket without its other end refuses a good deal.
                self._server.log(f"a client was lost on its way in: {error}", "verbose")
                client.close()

    def _watch(self, listener: socket.socket) -> None:
        self._loop.watch(listener.fileno(), READABLE, lambda mask: self.accept(listener))

    def _welcome(self, client: socket.socket, address: object, *, is_tls: bool) -> None:
        client.setblocking(False)
        present = self._server.client_count + len(self._handshakes)
        refusal = self._admission.refusal(client.family, address, present)
        if refusal is not None:
            # Before the handshake, there is no way to say it in TLS.
            self._turn_away(client, b"" if is_tls else refusal)
            return
        self._server.engine.statistics.connections += 1
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive_s: int = self._server.engine.settings["tcp-keepalive"]
            if keep_alive_s:
                keep_alive(client, keep_alive_s)
        if is_tls:
            self._shake_hands(client, address)
        else:
            self._server.adopt(client, address)

    def _turn_away(self, client: socket.socket, reason: bytes) -> None:
        self._server.engine.statistics.connections_rejected += 1
        try:
            client.send(reason)
        except OSError:
            told = "a client was turned away, and did not stay to hear it"
            self._server.log(told, "verbose")
        client.close()

    def _shake_hands(self, client: socket.socket, address: object) -> None:
        from sharedstate_server.tls import TlsHandshake  # as above

        assert self._tls is not None
        handshake = TlsHandshake(self._tls.wrap(client), address, self._loop)
        self._handshakes.add(handshake)
        handshake.start(self._end_handshake)

    def _end_handshake(self, handshake: TlsHandshake, failure: str | None) -> None:
        self._handshakes.discard(handshake)
        if failure is None:
            self._server.adopt(handshake.socket, handshake.address)
        else:
            self._server.log(f"Error accepting a client connection: {failure}", "verbose")

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        self._server.log(
            f"cannot accept clients: {error.strerror}; raise the limit of open files",
            "warning",
        )
        self._loop.forget(listener.fileno())

        def resume() -> None:
            timer.cancelled = True
            if listener in self._listeners:
                self._watch(listener)

        timer: Timer = self._loop.every(ACCEPT_PAUSE_SECONDS, resume)
