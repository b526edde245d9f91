"""The server: listening sockets, clients, the cron, and the end of it all."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from random import Random

from sharedstate_memory.engine import Engine
from sharedstate_server.connection import Connection
from sharedstate_server.listening import (
    bind_tcp,
    bind_unix,
    identify,
    is_loopback,
    keep_alive,
    peer_name,
    unlink_socket,
)
from sharedstate_server.loop import READABLE, EventLoop, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CRON_SECONDS = 0.1
ACCEPTS_PER_TURN = 64
MAX_CLIENTS = 10_000
KEEPALIVE_SECONDS = 300

# After running out of file descriptors, accept nothing for this long: the waiting
# client would make the listening socket ready again and again.
ACCEPT_PAUSE_SECONDS = 0.2


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Server:
    """An engine behind sockets. Create it, let it listen, and `run` it."""

    def __init__(
        self, *, password: str | None = None, max_clients: int = MAX_CLIENTS
    ) -> None:
        if password == "":
            raise ValueError("expected a password or None, got an empty one")
        self.loop = EventLoop()
        self.engine = Engine(
            clock_ms=_now_ms,
            random=Random(),
            password=password.encode() if password is not None else None,
        )
        self.engine.on_shutdown = self.stop
        self._max_clients = max_clients
        self._listeners: list[socket.socket] = []
        self._clients: dict[int, Connection] = {}
        self._idle_since = time.monotonic()
        self._before_end: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._wakeup = socket.socketpair()
        for end in self._wakeup:
            end.setblocking(False)
        self.loop.watch(self._wakeup[0].fileno(), READABLE, self._on_wakeup)
        self.loop.every(CRON_SECONDS, self._cron)
        self.loop.on_alarm = self.expire_waits
        self.loop.on_failure = self._on_failure

    # Listening.

    def listen_tcp(self, host: str, port: int) -> int:
        """Listen on an address, and return the port (a free one for port 0).

        Without a password, only the loopback addresses may be listened on: raises
        `ValueError` for any other.
        """
        if self.engine.password is None and not is_loopback(host):
            raise ValueError(
                f"refusing to listen on {host} without a password: anyone who reaches "
                f"that address could read and change everything. Set a password, or "
                f"bind to 127.0.0.1"
            )
        listener = bind_tcp(host, port)
        self.serve(listener)
        bound: int = listener.getsockname()[1]
        return bound

    def listen_unix(self, path: str) -> None:
        """Listen on a Unix socket that only this user may open (mode 0600).

        It is removed at the end, if it is still this one.
        """
        self.serve(bind_unix(path))
        identity = identify(path)
        self.before_end(lambda: unlink_socket(path, identity))

    def serve(self, listener: socket.socket) -> None:
        """Accept clients from a socket that listens already."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._watch_listener(listener)

    def _watch_listener(self, listener: socket.socket) -> None:
        self.loop.watch(listener.fileno(), READABLE, lambda mask: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._pause_accepting(listener, error)
                return
            self._welcome(client, address)

    def _welcome(self, client: socket.socket, address: object) -> None:
        client.setblocking(False)
        if len(self._clients) >= self._max_clients:
            try:
                client.send(b"-ERR max number of clients reached\r\n")
            except OSError:
                self.log("a client was turned away, and did not stay to hear it")
            client.close()
            return
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(client, KEEPALIVE_SECONDS)
        name = peer_name(client, address)
        self._clients[client.fileno()] = Connection(self, client, name)

    def _pause_accepting(self, listener: socket.socket, error: OSError) -> None:
        self.log(f"cannot accept clients: {error.strerror}; raise the limit of open files")
        self.loop.forget(listener.fileno())

        def resume() -> None:
            timer.cancelled = True
            self.loop.watch(
                listener.fileno(), READABLE, lambda mask: self._accept(listener)
            )

        timer: Timer = self.loop.every(ACCEPT_PAUSE_SECONDS, resume)

    def has_waiting_clients(self, listener: socket.socket) -> bool:
        """Whether somebody is connected, or has been since the loop last looked."""
        self._accept(listener)
        return bool(self._clients)

    def forget(self, fd: int) -> None:
        """A client has gone."""
        self._clients.pop(fd, None)
        if not self._clients:
            self._idle_since = time.monotonic()

    def _on_failure(self, fd: int) -> None:
        """A handler met a mistake of ours: it costs the client, and nobody else."""
        self.log_failure(f"serving file {fd} failed")
        client = self._clients.get(fd)
        if client is not None:
            client.close()

    # Time.

    def _cron(self) -> None:
        self.engine.cron()
        self.engine.info["connected_clients"] = len(self._clients)

    def expire_waits(self) -> float | None:
        """Answer the blocked clients whose time is over.

        Returns when, in monotonic seconds, the next one must be answered.
        """
        self.engine.expire_waits()
        deadline_ms = self.engine.next_wait_deadline_ms()
        if deadline_ms is None:
            return None
        return time.monotonic() + (deadline_ms - _now_ms()) / 1000

    def note_wait(self) -> None:
        """A client has blocked: it may be the one to be answered first."""
        deadline_ms = self.engine.next_wait_deadline_ms()
        if deadline_ms is not None:
            self.loop.wake_by(time.monotonic() + (deadline_ms - _now_ms()) / 1000)

    def end_when_idle(self, seconds: float, may_end: Callable[[], bool]) -> None:
        """End when there was no client for so many seconds, and `may_end` agrees."""

        def check() -> None:
            idle = not self._clients and time.monotonic() - self._idle_since >= seconds
            if idle and may_end():
                self.log(f"no client for {seconds:g} seconds")
                self.stop()

        self.loop.every(min(1.0, max(0.05, seconds / 4)), check)

    def end_with_process(self, pid: int) -> None:
        """End when the process `pid`, our parent, has ended, however it did."""
        if hasattr(os, "pidfd_open"):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self.loop.soon(self.stop)
                return
            self.loop.watch(descriptor, READABLE, lambda mask: self.stop())

        def check() -> None:
            # An orphan gets another parent.
            if os.getppid() != pid:
                self.stop()

        # Where there is no pidfd, this is how the end is noticed; elsewhere, the first
        # look settles the race before pidfd_open.
        self.loop.soon(check)
        if not hasattr(os, "pidfd_open"):
            self.loop.every(CRON_SECONDS, check)

    # The end.

    def before_end(self, action: Callable[[], None]) -> None:
        """Do something before the listening sockets are closed."""
        self._before_end.append(action)

    def at_end(self, action: Callable[[], None]) -> None:
        """Do something after the last client was let go."""
        self._at_end.append(action)

    def stop(self) -> None:
        """End after the current turn of the loop. For the loop's own thread."""
        self.loop.stop()

    def request_stop(self) -> None:
        """End soon. For any other thread."""
        self._wakeup[1].send(b"\0")

    def run(self, *, catch_signals: bool = True) -> None:
        """Serve until told to stop, SIGTERM or SIGINT; then close everything.

        Signals arrive in the main thread only: any other passes `catch_signals=False`.
        """
        if catch_signals:
            self._catch_signals()
        try:
            self.loop.run()
        finally:
            if catch_signals:
                signal.set_wakeup_fd(-1)
            self._close()

    def _catch_signals(self) -> None:
        """Make signals wake the loop: the number of each arrives as a byte."""
        signal.set_wakeup_fd(self._wakeup[1].fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)

    def _on_wakeup(self, mask: int) -> None:
        number = self._wakeup[0].recv(1)[0]
        if number:
            self.log(f"received {signal.Signals(number).name}")
        self.stop()

    def _close(self) -> None:
        # Names go first: while they are there, somebody may take them for ours.
        for action in self._before_end:
            action()
        for client in list(self._clients.values()):
            client.close()
        for listener in self._listeners:
            self.loop.forget(listener.fileno())
            listener.close()
        self.loop.forget(self._wakeup[0].fileno())
        for end in self._wakeup:
            end.close()
        for action in self._at_end:
            action()

    def log_failure(self, message: str) -> None:
        """The exception that is being handled, with its traceback."""
        from traceback import format_exc

        self.log(f"{message}\n{format_exc()}")

    def log(self, message: str) -> None:
        """One line on standard error: pid, time, message."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            sys.stderr.write(f"{os.getpid()} {stamp} {message}\n")
            sys.stderr.flush()
        except OSError:
            # A full disk, a reader that has gone: there is nobody to tell, and the
            # clients are worth more than the log.
            return


def _ignore(number: int, frame: object) -> None:
    """Signals are handled on the loop; without a handler they would end the process."""
