"""The lean client: the backend that speaks to the built-in server.

A blocking socket, `hiredis` for packing and parsing, one connection a thread, and no
layer in between: `execute` is the whole way from a structure to the wire. Whatever is
not the common case (no connection yet, a reply in pieces, a refusal, a broken wire)
leaves that way through one door, `_recover`.

When may a command be sent again? `_recover` decides by how far it came:

    nothing was sent              always, once: it did not happen
    sent, no answer, repeatable   once more
    sent, no answer, otherwise    never: IndeterminateError

The first case is not rare: writing to a Unix socket whose server has gone fails before
a byte is taken.
"""

from __future__ import annotations

import os
import threading
import weakref

from sharedstate.backend import Backend, Capability, Subscription, Watch
from sharedstate.commands import is_repeatable
from sharedstate.errors import (
    BackendError,
    BackendTimeout,
    CommandError,
    IndeterminateError,
    SharedStateError,
)
from sharedstate_server.wire import READ_BYTES, Refusal, Wire, is_closed, pack, pack_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharedstate.backend import Argument, Command, Key, Reply, Script
    from sharedstate.config import Settings
    from sharedstate_server.wire_session import WireSession

# How much longer than the server's own time-out a blocking command's reply may take.
GRACE_SECONDS = 5.0

LEAST_WAIT_SECONDS = 0.001
"""About the least that blocking commands and the kernel's time-outs can express."""

# How many connections are kept open for the next one who waits or watches.
IDLE_KEPT = 8

_clients: weakref.WeakSet[ServerBackend] = weakref.WeakSet()


class ServerBackend(Backend):
    """A server of ours, reached by `connect`: a function that opens a logged-in wire."""

    def __init__(
        self,
        settings: Settings,
        open_wire: Callable[[], Wire],
        capabilities: frozenset[Capability],
    ) -> None:
        self._settings = settings
        self._opener = open_wire
        self._capabilities = capabilities
        self._closed = False
        self._sessions: weakref.WeakSet[WireSession] = weakref.WeakSet()
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        """Begin without connections: when made, and in a forked child."""
        self._local = threading.local()
        self._idle: list[Wire] = []
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities

    # The hot path. It is flat on purpose: a function call here costs 5 % of the
    # client's time for an operation. While a call is under way, its wire is not in the
    # thread's list: a signal handler or a finalizer that comes in between takes another
    # one, and no reply goes to the wrong caller.

    def execute(self, command: Command) -> Reply:
        packed = pack(command)
        try:
            wires = self._local.wires
            wire = wires.pop()
        except (AttributeError, IndexError):
            wires, wire = self._open_for_thread()
        sent = 0
        try:
            sent = wire.send(packed)
            wire.feed(wire.recv(READ_BYTES))
            reply = wire.gets()
            if reply is False or sent != len(packed):
                reply = self._finish(wire, packed, sent, reply)
        except BaseException as error:
            self.drop(wire)
            if command[0] == "WAIT" and isinstance(error, OSError):
                # It speaks of what its connection wrote; another one wrote nothing.
                raise self.explain(error, 0) from error
            return self._recover(packed, sent, error, is_repeatable(command[0]))
        wires.append(wire)
        if type(reply) is Refusal:
            raise reply.to_error()
        return reply

    def _finish(self, wire: Wire, packed: bytes, sent: int, reply: Reply) -> Reply:
        """Send the rest of a long command; read the rest of a long reply."""
        if sent != len(packed):
            wire.sock.sendall(memoryview(packed)[sent:])
        return wire.read_reply() if reply is False else reply

    def _recover(
        self, packed: bytes, sent: int, error: BaseException, repeatable: bool
    ) -> Reply:
        """A command did not get its reply: send it again, or say what became of it."""
        if not isinstance(error, OSError):
            raise error
        if sent and not repeatable:
            raise self.explain(error, sent) from error
        if isinstance(error, BlockingIOError):
            raise self.explain(error, 0) from error
        wires, wire = self._open_for_thread()
        sent = 0
        try:
            sent = wire.send(packed)
            reply = self._finish(wire, packed, sent, False)
        except OSError as again:
            self.drop(wire)
            raise self.explain(again, 0 if repeatable else sent) from again
        except BaseException:
            self.drop(wire)
            raise
        wires.append(wire)
        if type(reply) is Refusal:
            raise reply.to_error()
        return reply

    def explain(self, error: OSError, sent: int | bool) -> SharedStateError:
        """The exception for a command whose wire broke, or that was not answered."""
        where = f"the server at {self._settings}"
        if isinstance(error, SharedStateError):
            return error
        if self._closed:
            return self._was_closed()
        late = isinstance(error, BlockingIOError)
        what = (
            f"{where} did not answer within {self._settings.timeout:g} s"
            if late
            else f"the connection to {where} broke ({error})"
        )
        if sent:
            return IndeterminateError(
                f"{what} after a change was sent: it may or may not have happened, and "
                f"was not sent again. Read the state to find out"
            )
        if late:
            return BackendTimeout(
                f"{what}; it changed nothing. Raise timeout= or try again"
            )
        return BackendError(f"{what}. The operation did not happen; is the server running?")

    def _open_for_thread(self) -> tuple[list[Wire], Wire]:
        """The list of this thread's wires, and a new one that is not in it yet."""
        try:
            wires: list[Wire] = self._local.wires
        except AttributeError:
            wires = self._local.wires = []
        return wires, self.open_wire()

    def _take_of_thread(self) -> tuple[list[Wire], Wire]:
        """The list of this thread's wires, and one of it, or a new one."""
        try:
            wires: list[Wire] = self._local.wires
            return wires, wires.pop()
        except (AttributeError, IndexError):
            return self._open_for_thread()

    def drop(self, wire: Wire) -> None:
        """Replies may be out of step, or never come: this connection is done with."""
        self._wires.discard(wire)
        wire.close()

    def open_wire(self) -> Wire:
        """A new connection of this process, within its bound."""
        if self._closed:
            raise self._was_closed()
        if len(self._wires) >= self._settings.max_connections:
            raise BackendError(
                f"all {self._settings.max_connections} connections to {self._settings} "
                f"that max_connections= allows this process are in use"
            )
        wire = self._open()
        self._wires.add(wire)
        if self._closed:
            # `close` came while we were connecting, and did not see this one.
            self.drop(wire)
            raise self._was_closed()
        return wire

    def _open(self) -> Wire:
        """A new connection, whatever the bound."""
        return self._opener()

    def _was_closed(self) -> BackendError:
        return BackendError(f"this connection to {self._settings} was closed")

    # Several commands.

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        if not commands:
            return []
        repeatable = all(is_repeatable(command[0]) for command in commands)
        replies = self._exchange(pack_all(tuple(commands)), len(commands), repeatable)
        for reply in replies:
            if type(reply) is Refusal:
                raise reply.to_error()
        return replies

    def ask(self, packed: bytes, count: int) -> list[Reply]:
        """The replies to a batch of questions, which change nothing; refusals in their
        places. One round trip.
        """
        return self._exchange(packed, count, repeatable=True)

    def _exchange(self, packed: bytes, count: int, repeatable: bool) -> list[Reply]:
        """Send a batch on this thread's wire; refusals stand in their places."""
        for last in (False, True):
            wires, wire = self._take_of_thread()
            try:
                replies = wire.exchange(packed, count)
            except OSError as error:
                self.drop(wire)
                in_doubt = wire.has_sent and not repeatable
                if last or in_doubt or isinstance(error, BlockingIOError):
                    raise self.explain(error, in_doubt) from error
            except BaseException:
                self.drop(wire)
                raise
            else:
                wires.append(wire)
                return replies
        raise AssertionError("unreachable: the second round returns or raises")

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        packed = pack_all((("MULTI",), *commands, ("EXEC",)))
        count = len(commands) + 2
        if watching is None:
            replies = self._exchange(packed, count, False)
        else:
            replies = self._exchange_watching(watching, packed, count)
        for reply in replies[:-1]:
            if type(reply) is Refusal:
                raise reply.to_error()
        results: Reply = replies[-1]
        if type(results) is Refusal:
            raise results.to_error()
        for result in results or ():
            if type(result) is Refusal:
                raise result.to_error()
        return None if results is None else list(results)

    def _exchange_watching(self, watching: Watch, packed: bytes, count: int) -> list[Reply]:
        from sharedstate_server.dedicated import WireWatch

        if not isinstance(watching, WireWatch):
            raise TypeError(f"expected a watch of this backend, got {watching!r}")
        return watching.exchange(packed, count)

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        # As flat as `execute`, for the same reason.
        packed = pack(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        try:
            wires = self._local.wires
            wire = wires.pop()
        except (AttributeError, IndexError):
            wires, wire = self._open_for_thread()
        sent = 0
        try:
            sent = wire.send(packed)
            wire.feed(wire.recv(READ_BYTES))
            reply = wire.gets()
            if reply is False or sent != len(packed):
                reply = self._finish(wire, packed, sent, reply)
        except BaseException as error:
            self.drop(wire)
            try:
                return self._recover(packed, sent, error, script.repeatable)
            except CommandError as refusal:
                return self._load_and_run(script, packed, refusal)
        wires.append(wire)
        if type(reply) is Refusal:
            return self._load_and_run(script, packed, reply.to_error())
        return reply

    def _load_and_run(self, script: Script, packed: bytes, refusal: CommandError) -> Reply:
        """The script's first use on this server; any other refusal is raised."""
        if refusal.code != "NOSCRIPT":
            try:
                raise refusal
            finally:
                # It refers to this frame, which would refer to it, and so to the wire.
                del refusal
        # Both at once: the server could be another one by the next exchange.
        batch = pack(("SCRIPT", "LOAD", script.body)) + packed
        loaded, reply = self._exchange(batch, 2, script.repeatable)
        if type(loaded) is Refusal:
            raise loaded.to_error()
        if type(reply) is Refusal:
            raise reply.to_error()
        return reply

    # Connections of their own: for watching, waiting, listening.

    def take_wire(self) -> Wire:
        """A connection for one user for a while: an idle one, or a new one."""
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return self.open_wire()
            if not is_closed(wire.sock):
                return wire
            self.drop(wire)

    def adopt(self, wire: Wire) -> None:
        """Make a connection this thread's own: WAIT must speak of what it wrote."""
        try:
            wires: list[Wire] = self._local.wires
        except AttributeError:
            wires = self._local.wires = []
        if wires:
            self.give_back(wires.pop())
        wires.append(wire)

    def give_back(self, wire: Wire) -> None:
        """The connection is in step, and free for the next user."""
        if self._closed or len(self._idle) >= IDLE_KEPT:
            self.drop(wire)
        else:
            wire.set_timeout(self._settings.timeout)
            self._idle.append(wire)

    def watch(self, keys: Sequence[Key]) -> Watch:
        from sharedstate_server.dedicated import WireWatch

        return WireWatch(self, keys)

    def wait_for(self, command: Command, timeout: float) -> Reply:
        seconds = max(timeout, LEAST_WAIT_SECONDS)
        packed = pack((*command, f"{seconds:.3f}"))
        for last in (False, True):
            wire = self.take_wire()
            sent = 0
            try:
                wire.set_timeout(seconds + GRACE_SECONDS)
                sent = wire.send(packed)
                reply = self._finish(wire, packed, sent, False)
            except OSError as error:
                # Once it was sent, something may have been popped for us.
                self.drop(wire)
                if last or sent:
                    raise self.explain(error, sent) from error
                continue
            except BaseException:
                # Closing is what gives the wait up on the server.
                self.drop(wire)
                raise
            self.give_back(wire)
            if type(reply) is Refusal:
                raise reply.to_error()
            return reply
        raise AssertionError("unreachable: the second round returns or raises")

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        from sharedstate_server.dedicated import WireSubscription

        return WireSubscription(self, channels)

    def open_session(self, identity: str = "") -> WireSession:
        """A session: a connection of its own, beyond the bound of `max_connections`."""
        from sharedstate_server.wire_session import WireSession, require_sessions

        require_sessions(self)
        if self._closed:
            raise self._was_closed()
        session = WireSession(self, self._open(), identity)
        self._sessions.add(session)
        if self._closed:
            # `close` came while we were connecting, and did not see this one.
            session.close()
            raise self._was_closed()
        return session

    def close(self) -> None:
        self._closed = True
        for session in list(self._sessions):
            session.close()
        for wire in list(self._wires):
            wire.abort()
        self._reset()


def _forget_parents_connections() -> None:
    """In a forked child: drop the parent's sockets without a word, and open own ones."""
    for client in list(_clients):
        for session in list(client._sessions):
            session.forget()
        client._sessions = weakref.WeakSet()
        client._reset()


os.register_at_fork(after_in_child=_forget_parents_connections)
