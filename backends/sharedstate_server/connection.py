"""One client's connection: bytes come in, commands are executed, replies go out.

The way of a command, and the only one:

    socket ─> arrivals ─> RequestParser ─> session.execute ─> encoder ─> Output ─> socket
                                            (the engine)

All that are ready in a turn of the loop are read first, then processed, then answered, each
of which finds the processor's caches warm.

What keeps one client from harming the others:

- In one turn of the loop it gets `COMMANDS_PER_TURN` commands, or what begins within
  `TURN_SECONDS`, or one big reply. The rest waits for the next turn, and while anything
  waits (for its turn, or for a blocking command before it), nothing more is read.
- While more than `PAUSE_BYTES` of replies wait to be taken, nothing more is executed: a
  client that does not read is a client that cannot ask. A reply may be of any size.
- Messages come without being asked for, and output may be limited by class: who leaves
  more lying than the limits allow is dropped (`client_limits.py`).

Invariants: replies leave in the order of their commands. A blocked session executes
nothing until its one outstanding reply was delivered. Nothing is executed after QUIT or
a protocol error. What was sent before the client closed its side is executed.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from socket import AF_UNIX, SO_ERROR, SOL_SOCKET

from sharedstate_memory.replies import Push, Status
from sharedstate_server.holdings import Holdings
from sharedstate_server.loop import HANGUP, READABLE, WRITABLE
from sharedstate_server.output import Output
from sharedstate_server.requests import RequestParser
from sharedstate_server.turn import (
    COMMANDS_PER_TURN,
    ENCODERS,
    execute_many,
    execute_one,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sharedstate_server.server import Server

READ_BYTES = 64 * 1024
PAUSE_BYTES = 1024 * 1024

_INTERNAL_ERROR = b"-ERR internal error: the log of the server has it\r\n"


class Connection(Holdings):
    """One client: its socket, its parser, its session with the engine."""

    __slots__ = (
        "_again",
        "_arrive",
        "_closing",
        "_is_held",
        "_is_limited",
        "_is_watched",
        "_parse",
        "_recv",
        "_server",
        "_socket",
        "_statistics",
    )

    def __init__(
        self, server: Server, sock: socket.socket, address: bytes, local_address: bytes
    ) -> None:
        self._server = server
        self._loop = server.loop
        self._statistics = server.engine.statistics
        self._socket = sock
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._arrive = server.arrivals.append
        self._local_address = local_address
        self.session = server.engine.open_session(self._deliver)
        self.session.address = address
        self.session.transport = self
        self._is_limited = not self.session.authenticated
        self._parser = RequestParser(server.request_limits, is_limited=self._is_limited)
        self._parse = self._parser.feed
        # Commands that were read and must wait: for their turn, or for a blocked one.
        self._waiting: deque[list[bytes]] = deque()
        self._counted = self._counted_bytes = 0
        self._output = Output(sock, server.unflushed, self._on_output)
        self._over_since = 0.0
        self._again = False
        self._is_held = False  # A script of ours runs, and others are served meanwhile.
        self._is_watched = False  # The kernel asks for signs of life.
        self._closing = False  # We end the connection once the output is taken.
        self._mask = READABLE
        self.active_at = self._loop.now
        self._loop.watch(self._fd, READABLE, self._on_ready)

    # The way of a command.

    def _on_ready(self, mask: int) -> None:
        """The socket is ready: read. What has come is processed when all have been read
        that are ready in this turn; at once if there is nobody else.
        """
        if not (mask & self._mask) & READABLE:
            self._on_unusual(mask)
            return
        if mask & WRITABLE:
            self._flush_soon()
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._on_broken()
            return
        if not data:
            self._note_left()
            self._on_end()
        elif self._loop.is_crowded:
            self._arrive((self, data))
        else:
            self.process(data)

    def process(self, data: bytes) -> None:
        """Execute what has come in, and write the replies."""
        if self._closing:
            return  # Ended, by an earlier client's command even, after this was read.
        self.active_at = self._loop.now
        statistics = self._statistics
        statistics.input_bytes += len(data)
        commands = self._parse(data)
        session = self.session
        if len(commands) == 1 and session.wait is None:
            # As `_execute`, spelled out for nearly all that ever comes.
            session.last_command = commands[0][0]
            try:
                reply = execute_one(session, statistics, commands[0])
            except Exception:
                reply = self._fail()
            if reply:
                self._output.write(reply)
            if session.wait is not None or session.closing or self._is_limited:
                self._look_at_session()
        elif commands:
            done = self._execute(commands) if session.wait is None else 0
            if done < len(commands):
                self._keep(commands[done:])
        if self._parser.is_unusual:
            self._look_at_parser()

    def _on_unusual(self, mask: int) -> None:
        """The socket takes more, or has gone while nothing was read from it."""
        if mask & WRITABLE:
            self._flush_soon()
            self.active_at = self._loop.now
        if not self._mask & READABLE and mask & ~WRITABLE:
            self._on_hangup()

    def _execute(self, commands: list[list[bytes]]) -> int:
        """Execute commands, up to one turn's share, and write the replies. Returns how
        many were executed.
        """
        session = self.session
        session.last_command = commands[-1][0]
        replies: list[bytes] = []
        try:
            done = execute_many(session, self._statistics, commands, replies)
        except Exception:
            done = len(commands)
            replies.append(self._fail())
        data = b"".join(replies)
        if data:
            self._output.write(data)
        if session.wait is not None or session.closing or self._is_limited:
            self._look_at_session()
        return done

    def _fail(self) -> bytes:
        """A mistake of ours: it costs the client its connection, and nobody else."""
        self._server.log_failure(f"client {self.session.id} met a mistake of ours")
        self._end()
        return _INTERNAL_ERROR

    def _look_at_session(self) -> None:
        """The session waits, has ended, or may have been let in."""
        session = self.session
        if session.wait is not None:
            self._server.note_wait()
        if session.closing:
            self._end()
        elif self._is_limited and session.authenticated:
            self._is_limited = False
            self._parser.lift_limits()

    # What must wait.

    def _keep(self, commands: list[list[bytes]]) -> None:
        """Keep commands for later turns. Meanwhile nothing more is read."""
        if not self._closing:
            self._waiting.extend(commands)
            self._counted = -1
            self._put_off()
        self._set_mask()

    @property
    def _has_more(self) -> bool:
        """Whether something was read that is not executed, and is not waited for."""
        return bool(self._waiting) or self._parser.is_paused

    def _put_off(self) -> None:
        """Let the others have their turn before the rest of this client's commands."""
        if not self._again:
            self._again = True
            self._loop.soon(self._continue)

    def _continue(self) -> None:
        """Go on with what was read earlier: after a turn, or after being unblocked."""
        self._again = False
        waiting = self._waiting
        if self._fd < 0 or self._is_held or self.session.wait is not None:
            return  # Taken up again by _deliver or release.
        if self._output.waiting_bytes > PAUSE_BYTES:
            return  # Taken up again by _on_output.
        if not waiting and self._parser.is_paused:
            waiting.extend(self._parse(b""))
            self._counted = -1
        if waiting and not self._closing:
            done = self._execute([*islice(waiting, COMMANDS_PER_TURN)])
            # Who was closed meanwhile, by itself even, has none left.
            for _ in range(min(done, len(waiting))):
                waiting.popleft()
        if self._closing:
            waiting.clear()
        elif self._has_more:
            self._put_off()
        if not waiting and self._parser.is_unusual:
            self._look_at_parser()
        self._set_mask()

    # What comes from elsewhere: unblocked commands, messages.

    def _deliver(self, reply: object) -> None:
        """Send a reply that no command of this turn asked for.

        Called by the engine in the middle of its work: closes nothing, only soon.
        """
        if self._closing or self._fd < 0 or self._output.is_broken:
            return
        data = ENCODERS[self.session.protocol](reply)
        if data:
            self._output.write(data)
        if type(reply) is Push or type(reply) is Status:
            self._server.burdened.add(self)
            self._server.limits.check_messages(self)
        if self.session.closing:
            self._end()
        elif self._has_more:
            self._put_off()

    # Output.

    def _flush_soon(self) -> None:
        """Let what waits leave with that of everybody else: not before the log has what
        this turn's commands have changed.
        """
        self._server.unflushed.append(self._output)

    def _on_output(self) -> None:
        """Some output has left, or could not."""
        if self._output.is_broken:
            self._loop.soon(self._on_broken)
            return
        if self._output.waiting_bytes:
            self._server.burdened.add(self)
            self._server.limits.check(self)
        elif self._closing:
            self.close()
            return
        if self._has_more and self._output.waiting_bytes <= PAUSE_BYTES:
            self._put_off()
        self._set_mask()

    def _set_mask(self) -> None:
        """Watch the socket for what we are ready for."""
        if self._fd < 0:
            return
        output = self._output
        if self._closing or self._is_held:
            mask = 0
        elif not self._has_more and output.waiting_bytes <= PAUSE_BYTES:
            mask = READABLE
        else:
            # Nothing is read, but a blocked client that goes must be seen to go.
            mask = HANGUP if self.session.wait is not None else 0
        if output:
            mask |= WRITABLE
        output.is_awaited = mask != READABLE
        if mask != self._mask:
            self._mask = mask
            self._loop.watch(self._fd, mask, self._on_ready)

    # A script of this client that does not end.

    def hold(self) -> None:
        """Read and execute nothing: a script of this client is running."""
        self._is_held = True
        self._set_mask()

    def release(self) -> None:
        """Go on after `hold`."""
        self._is_held = False
        if self._has_more:
            self._put_off()
        self._set_mask()

    # The end.

    def watch_peer(self) -> None:
        """Notice when the peer has gone, though nothing is sent or asked: its bound scripts
        are to run then.
        """
        if self.session.bound is not None and not self._is_watched:
            from sharedstate_server.timeouts import watch_peer  # most servers need it never

            self._is_watched = True
            watch_peer(self._socket)
            self._server.expect_departures()

    def _note_left(self) -> None:
        """The client has closed the connection, or died: we have not ended it."""
        if self.session.bound is not None and not self._closing:
            self.session.bound.is_left = True

    def _on_broken(self) -> None:
        """The connection broke. On this machine, that is the client's end; from another
        one, it may be that of the network.
        """
        if self._socket.family == AF_UNIX:
            self._note_left()
        self.close()

    def _on_hangup(self) -> None:
        """The client has gone while nothing was read from it.

        What waits for its turn is executed all the same: it was sent before.
        """
        if self.session.wait is not None:
            if not self._socket.getsockopt(SOL_SOCKET, SO_ERROR):
                self._note_left()
            self._on_broken()
        elif self._output:
            self._flush_soon()

    def _on_end(self) -> None:
        """The client has closed its side: it gets the answers that are on their way."""
        if self.session.wait is not None or not self._output:
            self.close()
        else:
            self._end()

    def _look_at_parser(self) -> None:
        """The peer broke the protocol, or holds much: say so, and end, or count it."""
        error = self._parser.error
        if error is None:
            self._server.burdened.add(self)
            self._server.limits.check(self)
            if self._parser.is_paused:
                self._put_off()
                self._set_mask()
        elif self._fd >= 0 and not self._waiting and not self._closing:
            told = f"client {self.session.id} broke the protocol: {error}"
            self._server.log(told, "verbose")
            reason = str(error).encode("latin-1", "replace")
            reason = reason.replace(b"\r", b" ").replace(b"\n", b" ")
            self._output.write(b"-ERR Protocol error: %b\r\n" % reason)
            self._end()

    def _end(self) -> None:
        """End the connection when the output has been taken."""
        self._closing = True
        self._output.is_awaited = True
        self._set_mask()
        if not self._output:
            self._loop.soon(self._close_if_done)

    def _close_if_done(self) -> None:
        if not self._output:
            self.close()

    def close_soon(self) -> None:
        """End the connection after the command that runs, and send it nothing more but
        that command's reply.
        """
        self._waiting.clear()
        self.session.closing = True
        self.session.rest()
        self._end()

    def finish(self) -> None:
        """Take no more commands, and end the connection once the replies that are on
        their way are taken.
        """
        self._waiting.clear()
        self._on_end()

    def give_up(self) -> None:
        """End the connection when the engine has done what it is at. Output is lost."""
        self._closing = True
        self._output.discard()
        self._loop.soon(self.close)

    def close(self) -> None:
        """End the connection. Twice is fine."""
        if self._fd < 0:
            return
        self._loop.forget(self._fd)
        self._server.forget(self, self._fd)
        self._fd = -1
        self._closing = True
        self._output.close()
        self._waiting.clear()
        self._server.engine.close_session(self.session)
        self._socket.close()
