"""The server: listening sockets, clients, the cron, and the end of it all."""

from __future__ import annotations

import signal
import socket
import time
from collections import deque

from sharedstate_memory.commands.registry import load_families
from sharedstate_memory.engine import Engine
from sharedstate_server import process_facts
from sharedstate_server.admission import refuse_open_address
from sharedstate_server.client_limits import ClientLimits
from sharedstate_server.connection import Connection
from sharedstate_server.data_keeper import DataKeeper
from sharedstate_server.directives import server_settings
from sharedstate_server.gate import Gate
from sharedstate_server.listening import (
    bind_tcp,
    bind_unix,
    identify,
    own_name,
    peer_name,
    unlink_socket,
)
from sharedstate_server.loop import NO_FILE, READABLE, EventLoop
from sharedstate_server.output import flush_all
from sharedstate_server.requests import RequestLimits
from sharedstate_server.server_log import ServerLog, to_stderr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.settings import Settings
    from sharedstate_server.output import Output

CRON_SECONDS = 0.1
_CLIENTS_PER_CRON = 200
# After so many clients, the server looks whether the turn's slice of time is over.
_CLIENTS_PER_LOOK = 8
_MOST_HZ = 500
_HZ_WHEN_BEHIND = 100
_SLOW_SCRIPT = (
    "script %s is slow: it has run for %d ms. Until it ends, clients are answered BUSY;"
    " SCRIPT KILL or FUNCTION KILL ends it, if it has written nothing"
)

DRAIN_SECONDS = 3.0
"""How long clients have at the end to take the replies that are on their way."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _now_us() -> int:
    return time.time_ns() // 1_000


class Server:
    """An engine behind sockets. Create it, let it listen, and `run` it."""

    def __init__(
        self,
        *,
        password: str | None = None,
        settings: Settings | None = None,
        log: ServerLog | None = None,
    ) -> None:
        if password == "":
            raise ValueError("expected a password or None, got an empty one")
        self.loop = EventLoop()
        self.engine = Engine(
            clock_ms=_now_ms,
            clock_us=_now_us,
            settings=server_settings() if settings is None else settings,
            password=password.encode() if password is not None else None,
        )
        self.log = ServerLog(to_stderr) if log is None else log
        process_facts.follow(self.engine, self.loop)
        self.engine.on_shutdown = self.shut_down
        self.failure = ""
        """Why the server ended though nobody asked for it; empty if it did not."""
        self.data = DataKeeper(self)
        self.engine.on_busy = self._serve_others
        # What was read in this turn, and the output that is to leave at its end.
        self.arrivals: deque[tuple[Connection, bytes]] = deque()
        self.unflushed: list[Output] = []
        self.burdened: set[Connection] = set()
        self.request_limits = RequestLimits()
        self.limits = ClientLimits(self)
        self.engine.on_log = self.log
        self.engine.on_warning = self.log
        self.gate = Gate(self)
        self._clients: dict[int, Connection] = {}
        self._is_ending = False
        self._idle_since = time.monotonic()
        self._before_end: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._wakeup = socket.socketpair()
        for end in self._wakeup:
            end.setblocking(False)
        self.loop.watch(self._wakeup[0].fileno(), READABLE, self._on_wakeup)
        self._cron_timer = self.loop.every(CRON_SECONDS, self._cron)
        self.loop.on_alarm = self.expire_waits
        self.loop.on_failure = self._on_failure
        self.loop.on_files_done = self._process_arrivals
        self.loop.on_turn_end = self._flush
        self.loop.on_long_turn = self._note_long_turn

    # Listening.

    def listen_tcp(self, host: str, port: int) -> int:
        """Listen on an address, and return the port (a free one for port 0).

        Without a password, only the loopback addresses may be listened on: raises
        `ValueError` for any other.
        """
        refuse_open_address(self.engine, host)
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
        self.gate.open(listener)

    def adopt(self, client: socket.socket, address: object) -> None:
        """Serve a client that has come in. `address` is what `accept` told."""
        name = peer_name(client, address)
        if self.log.lets_through("verbose"):
            self.log(f"Accepted {name.decode('utf-8', 'surrogateescape')}", "verbose")
        connection = Connection(self, client, name, own_name(client))
        self._clients[client.fileno()] = connection

    def has_waiting_clients(self, listener: socket.socket) -> bool:
        """Whether somebody is connected, or has been since the loop last looked."""
        self.gate.accept(listener)
        return bool(self._clients)

    @property
    def client_count(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def clients(self) -> list[Connection]:
        """Everybody who is connected."""
        return list(self._clients.values())

    def forget(self, client: Connection, fd: int) -> None:
        """A client has gone."""
        self._clients.pop(fd, None)
        self.burdened.discard(client)
        if not self._clients:
            self._idle_since = time.monotonic()
            if self._is_ending:
                self.stop()

    def _on_failure(self, fd: int) -> None:
        """A handler met a mistake of ours: it costs the client, and nobody else."""
        if fd == NO_FILE:
            self.log_failure("something that was due, or put off, failed")
            return
        self.log_failure(f"serving file {fd} failed")
        client = self._clients.get(fd)
        if client is not None:
            client.close()

    # What ends a turn, and what must not wait for its end.

    def _process_arrivals(self) -> None:
        """Process what was read in this turn.

        When a slice of time is over, the rest waits for the next turn, in which nothing
        more is read. A turn within this one (`_serve_others`) goes on with the rest.
        """
        arrivals = self.arrivals
        count = 0
        while arrivals:
            client, data = arrivals.popleft()
            try:
                client.process(data)
            except Exception:
                self.log_failure(f"serving client {client.session.id} failed")
                client.close()
            count += 1
            if not count % _CLIENTS_PER_LOOK and self.loop.is_over_time():
                break
        self.loop.reads = not arrivals

    def _flush(self) -> None:
        """Let the output of this turn leave."""
        flush_all(self.unflushed, self.engine.statistics)

    def _serve_others(self) -> None:
        """Give everybody else a turn while a script runs that does not end."""
        busy = self.engine.busy
        if busy is None:
            return
        # None if its client has gone meanwhile.
        transport = busy.session.transport
        runner = transport if isinstance(transport, Connection) else None
        if not busy.is_told:
            busy.is_told = True
            name = busy.label.decode("latin-1")
            self.log(_SLOW_SCRIPT % (name, busy.duration_ms()), "warning")
        if runner is not None:
            runner.hold()
        try:
            self.loop.turn()
        finally:
            if runner is not None:
                runner.release()

    def expect_departures(self) -> None:
        """Clients have bound scripts, which are to run when they have gone."""
        if self.engine.on_leave is None:
            # Most servers never come here.
            from sharedstate_server.departures import Departures

            self.engine.on_leave = Departures(self).add

    def _note_long_turn(self, seconds: float) -> None:
        self.engine.latency.record("loop-turn", int(seconds * 1000))

    # Time.

    def _cron(self) -> None:
        # With the first turn of the cron: by now, whoever waited for the start is served.
        load_families()
        hz = self._adapted_hz()
        self.engine.cron(self._cron_timer.interval)
        # Small slices often are better for everybody than big ones seldom.
        if self.engine.is_behind:
            hz = max(hz, _HZ_WHEN_BEHIND)
        self._cron_timer.interval = 1 / hz
        self.limits.cron(hz)
        self.data.cron()
        self._let_output_leave()

    def _adapted_hz(self) -> int:
        """How often the cron should come: `hz`, or more often with many clients, so that
        it never has to look at more than some of them at once.
        """
        settings = self.engine.settings
        hz: int = settings["hz"]
        if settings["dynamic-hz"]:
            while len(self._clients) > hz * _CLIENTS_PER_CRON and hz < _MOST_HZ:
                hz *= 2
        return min(hz, _MOST_HZ)

    def expire_waits(self) -> float | None:
        """Answer the blocked clients whose time is over.

        Returns when, in monotonic seconds, the next one must be answered.
        """
        self.engine.expire_waits()
        self._let_output_leave()
        deadline_ms = self.engine.next_wait_deadline_ms()
        if deadline_ms is None:
            return None
        return time.monotonic() + (deadline_ms - _now_ms()) / 1000

    def note_wait(self) -> None:
        """A client has blocked: it may be the one to be answered first."""
        deadline_ms = self.engine.next_wait_deadline_ms()
        if deadline_ms is not None:
            self.loop.wake_by(time.monotonic() + (deadline_ms - _now_ms()) / 1000)

    def _let_output_leave(self) -> None:
        """What timers have to say leaves with the turn that begins: it must not sleep."""
        if self.unflushed:
            self.loop.soon(_do_nothing)

    @property
    def idle_seconds(self) -> float:
        """How long there has been no client."""
        return 0.0 if self._clients else time.monotonic() - self._idle_since

    # The end.

    def fail(self, reason: str) -> None:
        """End, because it cannot go on: with a word on the log, and `failure`."""
        self.failure = reason
        self.log(reason, "warning")
        self.stop()

    def before_end(self, action: Callable[[], None]) -> None:
        """Do something before the listening sockets are closed."""
        self._before_end.append(action)

    def at_end(self, action: Callable[[], None]) -> None:
        """Do something after the last client was let go."""
        self._at_end.append(action)

    def shut_down(self, words: frozenset[bytes] = frozenset()) -> bool:
        """End, once clients have taken the replies that are on their way, or have had
        `DRAIN_SECONDS` for it. Nobody is let in any more, and no command is taken.

        `words` are those of SHUTDOWN. False if the data was to be saved and could not
        be: then the server goes on.
        """
        if self._is_ending:
            return True
        self.log("User requested shutdown...", "warning")
        if not self.data.may_end(words):
            self.log("Errors trying to shut down the server.", "warning")
            return False
        self._is_ending = True
        self._end_script()
        # Soon, because it may be a client's command that asks for it.
        self.loop.soon(self._drain)
        return True

    def _drain(self) -> None:
        self._leave_names()
        self.gate.close()
        for client in self.clients():
            client.finish()
        if not self._clients:
            self.stop()
        self.loop.every(DRAIN_SECONDS, self.stop)

    def stop(self) -> None:
        """End after the current turn of the loop. For the loop's own thread."""
        self._end_script()
        self.loop.stop()

    def _end_script(self) -> None:
        """A script that runs for long must not be what keeps us from ending. What it has
        done by halves goes with everything else.
        """
        if self.engine.busy is not None:
            self.engine.busy.killed = True

    def request_stop(self) -> None:
        """End soon, unless that has been done. For any other thread."""
        try:
            self._wakeup[1].send(b"\0")
        except OSError:
            return  # It has ended already, or has heard so often that it will.

    def run(self, *, catch_signals: bool = True) -> None:
        """Serve until told to stop, SIGTERM or SIGINT; then close everything.

        Signals arrive in the main thread only: any other passes `catch_signals=False`.
        """
        if catch_signals:
            self.catch_signals()
        self.data.begin()
        try:
            if not self.failure:
                self.loop.run()
        finally:
            if catch_signals:
                signal.set_wakeup_fd(-1)
            self._close()

    def catch_signals(self) -> None:
        """Make signals wake the loop: the number of each arrives as a byte. `run` does
        so; who calls this before gets the signals that come before.
        """
        signal.set_wakeup_fd(self._wakeup[1].fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)

    def _on_wakeup(self, mask: int) -> None:
        try:
            number = self._wakeup[0].recv(1)[0]
        except BlockingIOError:
            return  # A turn within this turn has taken it.
        if not number:
            self.stop()
            return
        name = signal.Signals(number).name
        if self._is_ending:
            self.log(f"Received {name} again: ending at once", "warning")
            self.stop()
        else:
            self.log(f"Received {name} scheduling shutdown...", "warning")
            words: str = self.engine.settings[f"shutdown-on-{name.lower()}"]
            self.shut_down(frozenset(words.upper().encode().split()))

    def _leave_names(self) -> None:
        """Give up what others find us by. It must go before the sockets: while it is
        there, somebody may take it for ours.
        """
        while self._before_end:
            self._before_end.pop(0)()

    def _close(self) -> None:
        self._leave_names()
        for client in self.clients():
            client.close()
        self.gate.close()
        self.data.close()
        self.loop.forget(self._wakeup[0].fileno())
        for end in self._wakeup:
            end.close()
        for action in self._at_end:
            action()

    def log_failure(self, message: str) -> None:
        """The exception that is being handled, with its traceback."""
        from traceback import format_exc

        self.log(f"{message}\n{format_exc()}", "warning")


def _do_nothing() -> None:
    """What is due soon keeps the loop from sleeping."""


def _ignore(number: int, frame: object) -> None:
    """Signals are handled on the loop; without a handler they would end the process."""
