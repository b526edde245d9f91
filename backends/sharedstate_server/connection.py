"""One client's connection: bytes come in, commands are executed, replies go out.

The way of a command, and the only one:

    socket ──> RequestParser ──> session.execute ──> encoder ──> socket
                                  (the engine)

What keeps one client from harming the others:

- In one turn of the loop it gets `COMMANDS_PER_TURN` commands, or one big reply. The rest
  waits for the next turn, and while anything waits (for its turn, or for a blocking
  command before it), nothing more is read.
- While more than `PAUSE_BYTES` of replies wait to be taken, nothing more is executed: a
  client that does not read is a client that cannot ask. A reply may be of any size.
- Messages come without being asked for. A subscriber on which more than
  `MESSAGES_LIMIT_BYTES` wait is dropped.
- Output leaves `FLUSH_BYTES` a turn.

Invariants: replies leave in the order of their commands. A blocked session executes
nothing until its one outstanding reply was delivered. Nothing is executed after QUIT or
a protocol error. What was sent before the client closed its side is executed.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from sharedstate_memory.replies import Push
from sharedstate_server.loop import HANGUP, READABLE, WRITABLE
from sharedstate_server.requests import RequestParser
from sharedstate_server.resp import encode_resp2, encode_resp3

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from sharedstate_server.server import Server

READ_BYTES = 64 * 1024
COMMANDS_PER_TURN = 256
BIG_REPLY_BYTES = 64 * 1024
PAUSE_BYTES = 1024 * 1024
FLUSH_BYTES = 1024 * 1024
MESSAGES_LIMIT_BYTES = 32 * 1024 * 1024

# So many pieces of output go into one system call.
_PIECES_PER_SEND = 256

_INTERNAL_ERROR = b"-ERR internal error: the log of the server has it\r\n"


class Connection:
    """One client: its socket, its parser, its session with the engine."""

    __slots__ = (
        "_again",
        "_closing",
        "_encode",
        "_fd",
        "_is_limited",
        "_mask",
        "_output",
        "_output_bytes",
        "_parse",
        "_parser",
        "_protocol",
        "_recv",
        "_send",
        "_server",
        "_socket",
        "_waiting",
        "session",
    )

    def __init__(self, server: Server, sock: socket.socket, address: bytes) -> None:
        self._server = server
        self._socket = sock
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._send = sock.send
        self.session = server.engine.open_session(self._deliver)
        self.session.address = address
        self._is_limited = not self.session.authenticated
        self._parser = RequestParser(is_limited=self._is_limited)
        self._parse = self._parser.feed
        # Commands that were read and must wait: for their turn, or for a blocked one.
        self._waiting: deque[list[bytes]] = deque()
        self._output: deque[bytes | memoryview] = deque()
        self._output_bytes = 0
        self._encode = encode_resp2
        self._protocol = 2
        self._again = False
        self._closing = False  # We end the connection once the output is taken.
        self._mask = READABLE
        server.loop.watch(self._fd, READABLE, self._on_ready)

    # The way of a command.

    def _on_ready(self, mask: int) -> None:
        """The socket is ready: read, execute, answer."""
        if mask & WRITABLE:
            self._flush()
            if not mask & READABLE:
                return
        if not self._mask & READABLE:
            self._on_hangup()
            return
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self._on_end()
            return
        commands = self._parse(data)
        if commands:
            done = self._execute(commands) if self.session.wait is None else 0
            if done < len(commands):
                self._keep(commands[done:])
        if self._parser.error is not None:
            self._end_in_error()

    def _execute(self, commands: list[list[bytes]]) -> int:
        """Execute commands, up to one turn's share, and send the replies. A hot path.

        Returns how many were executed.
        """
        session = self.session
        replies: list[bytes] = []
        done = 0
        try:
            for argv in commands:
                done += 1
                reply: Any = session.execute(argv)
                kind = type(reply)
                if kind is int:
                    replies.append(b":%d\r\n" % reply)
                elif kind is bytes:
                    replies.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
                    if len(reply) > BIG_REPLY_BYTES:
                        break
                else:
                    data = self._encode_any(reply)
                    replies.append(data)
                    if self._must_stop(data):
                        break
                if done == COMMANDS_PER_TURN:
                    break
        except Exception:
            self._server.log_failure(f"client {session.id} met a mistake of ours")
            replies.append(_INTERNAL_ERROR)
            self._closing = True
        self._write(replies[0] if len(replies) == 1 else b"".join(replies))
        return done

    def _encode_any(self, reply: object) -> bytes:
        """A reply of any type; nothing for BLOCKED and NO_REPLY."""
        if self.session.protocol != self._protocol:
            self._protocol = self.session.protocol
            self._encode = encode_resp3 if self._protocol == 3 else encode_resp2
        return self._encode(reply)

    def _must_stop(self, data: bytes) -> bool:
        """Whether a reply other than a string or a number ends the turn."""
        session = self.session
        if session.wait is not None:
            self._server.note_wait()
            return True
        if session.closing:
            self._closing = True
            return True
        if self._is_limited and session.authenticated:
            self._is_limited = False
            self._parser.lift_limits()
        return len(data) > BIG_REPLY_BYTES

    # What must wait.

    def _keep(self, commands: list[list[bytes]]) -> None:
        """Keep commands for later turns. Meanwhile nothing more is read."""
        if not self._closing:
            self._waiting.extend(commands)
            self._put_off()
        self._set_mask()

    def _put_off(self) -> None:
        """Let the others have their turn before the rest of this client's commands."""
        if not self._again:
            self._again = True
            self._server.loop.soon(self._continue)

    def _continue(self) -> None:
        """Go on with what was read earlier: after a turn, or after being unblocked."""
        self._again = False
        waiting = self._waiting
        if (
            self._fd < 0
            or self.session.wait is not None
            or self._output_bytes > PAUSE_BYTES
        ):
            return  # Taken up again by _deliver or _flush.
        if waiting and not self._closing:
            for _ in range(self._execute([*islice(waiting, COMMANDS_PER_TURN)])):
                waiting.popleft()
        if self._closing:
            waiting.clear()
        if waiting:
            self._put_off()
        elif self._parser.error is not None:
            self._end_in_error()
        self._set_mask()
        self._close_if_done()

    # What comes from elsewhere: unblocked commands, messages.

    def _deliver(self, reply: object) -> None:
        """Send a reply that no command of this turn asked for.

        Called by the engine in the middle of its work: closes nothing, only soon.
        """
        if self._fd < 0:
            return
        self._write(self._encode_any(reply))
        if type(reply) is Push and self._output_bytes > MESSAGES_LIMIT_BYTES:
            self._server.log(
                f"client {self.session.id} was dropped: it left {self._output_bytes} bytes "
                f"of messages lying (the limit is {MESSAGES_LIMIT_BYTES})"
            )
            self._give_up()
        elif self._waiting:
            self._put_off()

    # Output.

    def _write(self, data: bytes) -> None:
        """Send what the socket takes now, and the rest when it takes more."""
        if not data:
            return
        sent = 0
        if not self._output:
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._give_up()
                return
            if sent == len(data):
                if self._closing:
                    self._give_up()
                return
        self._output.append(memoryview(data)[sent:] if sent else data)
        self._output_bytes += len(data) - sent
        self._set_mask()

    def _flush(self) -> None:
        """Send what has piled up, a turn's share of it."""
        budget = FLUSH_BYTES
        while self._output and budget > 0:
            try:
                sent = self._socket.sendmsg([*islice(self._output, _PIECES_PER_SEND)])
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            budget -= sent
            self._forget_output(sent)
        self._set_mask()
        if self._waiting and self._output_bytes <= PAUSE_BYTES:
            self._put_off()
        self._close_if_done()

    def _forget_output(self, sent: int) -> None:
        self._output_bytes -= sent
        while sent:
            piece = self._output[0]
            if sent < len(piece):
                self._output[0] = memoryview(piece)[sent:]
                return
            sent -= len(piece)
            self._output.popleft()

    def _set_mask(self) -> None:
        """Watch the socket for what we are ready for."""
        if self._fd < 0:
            return
        if self._closing:
            mask = 0
        elif not self._waiting and self._output_bytes <= PAUSE_BYTES:
            mask = READABLE
        else:
            # Nothing is read, but a blocked client that goes must be seen to go.
            mask = HANGUP if self.session.wait is not None else 0
        if self._output:
            mask |= WRITABLE
        if mask != self._mask:
            self._mask = mask
            self._server.loop.watch(self._fd, mask, self._on_ready)

    # The end.

    def _on_hangup(self) -> None:
        """The client has gone while nothing was read from it.

        What waits for its turn is executed all the same: it was sent before.
        """
        if self.session.wait is not None:
            self.close()
        elif self._output:
            self._flush()

    def _on_end(self) -> None:
        """The client has closed its side: it gets the answers that are on their way."""
        if self.session.wait is not None or not self._output:
            self.close()
            return
        self._closing = True
        self._set_mask()

    def _end_in_error(self) -> None:
        """The peer broke the protocol: answer what came before, say so, and end."""
        if self._fd >= 0 and not self._waiting and not self._closing:
            self._closing = True
            reason = str(self._parser.error).encode("latin-1", "replace")
            self._write(b"-ERR Protocol error: %b\r\n" % reason)

    def _close_if_done(self) -> None:
        if self._closing and not self._output:
            self.close()

    def _give_up(self) -> None:
        """End the connection when the engine has done what it is at."""
        self._closing = True
        self._output.clear()
        self._output_bytes = 0
        self._server.loop.soon(self.close)

    def close(self) -> None:
        """End the connection. Twice is fine."""
        if self._fd < 0:
            return
        self._server.loop.forget(self._fd)
        self._server.forget(self._fd)
        self._fd = -1
        self._output.clear()
        self._waiting.clear()
        self._server.engine.close_session(self.session)
        self._socket.close()
