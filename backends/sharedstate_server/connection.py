"""One client's connection: bytes come in, commands are executed, replies go out.

The way of a command, and the only one:

    socket ──> RequestParser ──> session.execute ──> encoder ──> socket
                                  (the engine)

What keeps one client from harming the others:

- It gets `COMMANDS_PER_TURN` commands in one turn of the loop, and then waits for its
  next turn like everyone else.
- While more than `PAUSE_READING_BYTES` of replies wait to be taken, nothing more is
  read from it: a client that does not read is a client that cannot ask.
- One whose replies and messages still pile up beyond `OUTPUT_LIMIT_BYTES` (it
  subscribed, and sleeps) is dropped.
- While it is blocked, what it sends is kept up to `WAITING_LIMIT_BYTES`, then it is
  dropped.

Invariant: replies leave in the order of their commands. A blocked session executes
nothing until its one outstanding reply was delivered.
"""

from __future__ import annotations

from sharedstate_server.listening import peer_name
from sharedstate_server.loop import READABLE, WRITABLE
from sharedstate_server.requests import RequestParser
from sharedstate_server.resp import encode_resp2, encode_resp3

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from sharedstate_server.server import Server

READ_BYTES = 64 * 1024
COMMANDS_PER_TURN = 256
PAUSE_READING_BYTES = 1024 * 1024
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024
WAITING_LIMIT_BYTES = 1024 * 1024 * 1024


class Connection:
    """One client: its socket, its reader, its session with the engine."""

    __slots__ = (
        "_again",
        "_closing",
        "_encode",
        "_fd",
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
        "_waiting_bytes",
        "session",
    )

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._socket = sock
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._send = sock.send
        self._parser = RequestParser()
        self._parse = self._parser.feed
        # Commands that were read and must wait: for their turn, or for a blocked one.
        self._waiting: list[list[bytes]] = []
        self._waiting_bytes = 0
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._encode = encode_resp2
        self._protocol = 2
        self._again = False
        self._closing = False
        self._mask = READABLE
        self.session = server.engine.open_session(self._deliver)
        self.session.address = peer_name(sock).encode()
        server.loop.watch(self._fd, READABLE, self._on_ready)

    # The way of a command.

    def _on_ready(self, mask: int) -> None:
        """The socket is ready: read, execute, answer."""
        if mask & WRITABLE:
            self._flush()
            if not mask & READABLE:
                return
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        commands = self._parse(data)
        if self._waiting or self.session.wait is not None:
            self._keep(commands, len(data))
        elif commands:
            self._execute_safely(commands)
        if self._parser.error is not None:
            self._end_in_error()

    def _execute_safely(self, commands: list[list[bytes]]) -> None:
        """Execute commands. A mistake in one of ours costs its client, not everybody."""
        try:
            self._execute(commands)
        except Exception:
            self._server.log_failure(f"client {self.session.id} met a mistake of ours")
            self._closing = True
            self._send_all([b"-ERR internal error: the log of the server has it\r\n"])

    def _execute(self, commands: list[list[bytes]]) -> None:
        """Execute commands, up to one turn's share, and send the replies. A hot path."""
        session = self.session
        replies: list[bytes] = []
        for position, argv in enumerate(commands, 1):
            reply: Any = session.execute(argv)
            kind = type(reply)
            if kind is int:
                replies.append(b":%d\r\n" % reply)
            elif kind is bytes:
                replies.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
            else:
                replies.append(self._encode_any(reply))
                if session.wait is not None:
                    self._server.note_wait()
                    self._waiting = commands[position:]
                    break
                if session.closing:
                    self._closing = True
                    break
            if position == COMMANDS_PER_TURN:
                self._waiting = commands[position:]
                self._put_off()
                break
        self._send_all(replies)

    def _encode_any(self, reply: object) -> bytes:
        """A reply of any type; nothing for BLOCKED and NO_REPLY."""
        if self.session.protocol != self._protocol:
            self._protocol = self.session.protocol
            self._encode = encode_resp3 if self._protocol == 3 else encode_resp2
        return self._encode(reply)

    def _send_all(self, replies: list[bytes]) -> None:
        data = replies[0] if len(replies) == 1 else b"".join(replies)
        if self._output or not data:
            self._queue(data)
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent != len(data):
            self._queue(data[sent:])
        elif self._closing:
            self.close()

    def _put_off(self) -> None:
        """Let the others have their turn before the rest of this client's commands."""
        if not self._again:
            self._again = True
            self._server.loop.soon(self._continue)

    def _continue(self) -> None:
        """Go on with what was read earlier: after a turn, or after being unblocked."""
        self._again = False
        if self._fd < 0 or self.session.wait is not None or self._closing:
            return
        if self._output_bytes > PAUSE_READING_BYTES:
            return  # Taken up again by _flush.
        commands, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        if commands:
            self._execute_safely(commands)
        if self._parser.error is not None and not self._waiting:
            self._end_in_error()

    # What comes from elsewhere: unblocked commands, messages.

    def _deliver(self, reply: object) -> None:
        """Send a reply that no command of this turn asked for."""
        if self._fd < 0:
            return
        self._send_all([self._encode_any(reply)])
        if self._fd >= 0 and self.session.wait is None and self._waiting:
            self._put_off()

    # Output that the socket would not take at once.

    def _queue(self, data: bytes) -> None:
        if not data:
            if self._closing and not self._output:
                self.close()
            return
        self._output.append(data)
        self._output_bytes += len(data)
        if self._output_bytes > OUTPUT_LIMIT_BYTES:
            self._server.log(
                f"client {self.session.id} was dropped: {self._output_bytes} bytes of "
                f"output were not taken (the limit is {OUTPUT_LIMIT_BYTES})"
            )
            self.close()
            return
        self._set_mask()

    def _flush(self) -> None:
        while self._output:
            data = self._output[0]
            try:
                sent = self._send(data)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._output_bytes -= sent
            if sent < len(data):
                self._output[0] = data[sent:]
                break
            self._output.pop(0)
        if self._closing and not self._output:
            self.close()
            return
        self._set_mask()
        if self._output_bytes <= PAUSE_READING_BYTES:
            self._put_off()

    def _set_mask(self) -> None:
        mask = READABLE if self._output_bytes <= PAUSE_READING_BYTES else 0
        if self._output:
            mask |= WRITABLE
        if mask != self._mask:
            self._mask = mask
            self._server.loop.watch(self._fd, mask, self._on_ready)

    # Input that is not the common case.

    def _keep(self, commands: list[list[bytes]], size: int) -> None:
        """Keep commands until those before them are done; drop a client that floods."""
        self._waiting += commands
        self._waiting_bytes += size
        if self._waiting_bytes > WAITING_LIMIT_BYTES:
            self._server.log(
                f"client {self.session.id} was dropped: it sent {self._waiting_bytes} "
                f"bytes while a command of its own was not done"
            )
            self.close()

    def _end_in_error(self) -> None:
        """The peer broke the protocol: answer what came before, say so, and end."""
        if self._fd >= 0 and not self._waiting and not self._closing:
            self._closing = True
            reason = str(self._parser.error).encode("latin-1", "replace")
            self._send_all([b"-ERR Protocol error: %b\r\n" % reason])

    def close(self) -> None:
        """End the connection. Twice is fine."""
        if self._fd < 0:
            return
        self._server.loop.forget(self._fd)
        self._server.forget(self)
        self._fd = -1
        self._output.clear()
        self._server.engine.close_session(self.session)
        self._socket.close()
