"""Bindings: scripts that run because a client is there, and because it has gone.

A client that binds makes its connection a *session* that stands for it. Each binding has
a name, keys and arguments, and two loaded scripts:

    keep   runs every so many milliseconds while the connection is open
    end    runs when the client has left: it has closed the connection, or died

Not every end of a connection is a client that has left. If it was cut, killed, dropped or
ended by us, the client may well be alive and at work, so its bindings are forgotten, and
what it holds ends by its own deadlines. The owner of the engine knows which it was: it sets
`Bound.is_left` before it closes the session.

    bind ──► bound ──┬── left ──► Engine.on_leave ──► release ──► run_ends ──► gone
                     └── closed otherwise, RESET, unbound, bound again ──────► gone

Who comes back on a new connection says who it is (`identify`). What its former connection
had bound is forgotten, even if it is about to run: it was not the client that left. Each
user has identities of its own, so that nobody can come back in the place of another user.

**A run is a unit** like a client's EVALSHA, and counted as one: in the database and with
the rights of the session when it bound; heard by the log, watches, blocked clients and
subscribers. Its reply is thrown away. The server's log is told of failures, of some of
them if there are many.

What may stand in the way:

- *A pause* (CLIENT PAUSE), loading, and a script that does not end hold runs up until they
  are over. Ends are not lost by it; a lease may be.
- *Memory is short*: room is made as for a command. If there is none, the script's first
  write fails if it is one that needs memory, and the script with it; one that begins with
  a write that frees (DEL, HDEL) runs to its end.
- *The disk takes no writes*: they fail, as those of clients do.
- *SCRIPT FLUSH*: what is bound still runs. It holds the runtime that was flushed, which is
  counted as memory of scripts, and of which at most `MOST_RUNTIMES` may be held. Where that
  would be more, what was loaded again since runs in the present runtime from then on.
- *The user* has lost rights, or is there no more: the run has none either, and fails.

The engine of `memory://` has the command, and runs keeps. Nobody leaves it: its sessions
are those of threads of the process that has the data, and end with both.

Runs are done in slices, so that ten thousand of them hold nobody up. An engine has bindings
from the first SESSION on, and a session that binds nothing knows nothing of it.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter

from sharedstate_memory.binding_runs import SLICE_S, Keeps, Runner
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.acl_user import User
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_bridge import LuaBridge
    from sharedstate_memory.scripting import Program
    from sharedstate_memory.session import Session

MOST_BINDINGS = 16_384
"""So many names may be bound to a connection."""

MOST_BYTES = 16 << 20
"""So many bytes may its bindings take together."""

MOST_RUNTIMES = 4
"""In so many Lua runtimes, flushed ones included, may bound scripts stand."""

# What a binding takes beside its words, and a word beside its bytes.
_BINDING_BYTES = 600
_WORD_BYTES = 50

_TOO_MANY = b"ERR this connection has bound %d names, and may bind no more: UNBIND some"
_TOO_BIG = (
    b"ERR what this connection binds would take %d bytes, and may take %d: UNBIND some"
)
_TOO_MANY_RUNTIMES = (
    b"ERR scripts of %d generations, with a SCRIPT FLUSH between them, are bound already:"
    b" bind these again when the older ones are unbound"
)


class Binding:
    """One name's scripts, with what they run with. `keep_ms` is 0 when none is kept."""

    __slots__ = (
        "bound",
        "database",
        "end",
        "has_failed",
        "keep",
        "keep_ms",
        "key_count",
        "name",
        "size_bytes",
        "user",
        "words",
    )

    bound: Bound
    database: int
    user: User

    def __init__(
        self,
        name: bytes,
        end: Program,
        keep: Program | None,
        keep_ms: int,
        *,
        key_count: int,
        words: list[bytes],
    ) -> None:
        self.name = name
        self.end = end
        self.keep = keep
        self.keep_ms = keep_ms
        self.key_count = key_count
        self.words = words
        size_bytes = len(name) + sum(map(len, words)) + _WORD_BYTES * len(words)
        self.size_bytes = _BINDING_BYTES + size_bytes
        self.has_failed = False

    def runtimes(self) -> set[LuaBridge]:
        """The Lua runtimes in which its scripts stand."""
        if self.keep is None:
            return {self.end.bridge}
        return {self.end.bridge, self.keep.bridge}


class Bound:
    """What one session has bound. `is_left` says that its client has gone by itself."""

    __slots__ = ("address", "by_name", "ends", "id", "identity", "is_left", "size_bytes")

    def __init__(self, session: Session) -> None:
        self.id = session.id
        self.address = session.address
        self.identity = (b"", b"")
        """Of which user it is, and who it says that it is; empty if it does not say."""
        self.by_name: dict[bytes, Binding] = {}
        self.size_bytes = 0
        self.is_left = False
        self.ends: deque[Binding] = deque()
        """What is still to be run of a session that has left."""


class Bindings:
    """The bindings of one engine."""

    __slots__ = (
        "_bounds",
        "_by_identity",
        "_engine",
        "_keeps",
        "_ready",
        "_runner",
        "_runtimes",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runner = Runner(engine)
        self._keeps = Keeps(engine, self._runner)
        self._by_identity: dict[tuple[bytes, bytes], Bound] = {}
        self._ready: deque[Bound] = deque()
        # All that have something bound.
        self._bounds: set[Bound] = set()
        # How many bindings have scripts in each.
        self._runtimes: dict[LuaBridge, int] = {}

    # -- what sessions do

    def bind(self, session: Session, binding: Binding) -> None:
        """Bind scripts to a session, in the place of what has that name in it. Raises
        CommandFailure if it has bound as much as it may.
        """
        bound = _bound_of(session)
        former = bound.by_name.get(binding.name)
        self._require_room(bound, former, binding)
        if former is not None:
            self._drop(former)
        binding.bound = bound
        binding.database = session.db.index
        binding.user = session.user
        bound.by_name[binding.name] = binding
        bound.size_bytes += binding.size_bytes
        self._bounds.add(bound)
        self._count_runtimes(binding)
        if binding.keep_ms:
            self._keeps.add(binding)
        if session.transport is not None:
            session.transport.watch_peer()

    def unbind(self, session: Session, name: bytes) -> bool:
        """Forget a binding. False if there is none of that name."""
        bound = session.bound
        binding = None if bound is None else bound.by_name.get(name)
        if binding is None:
            return False
        self._drop(binding)
        return True

    def identify(self, session: Session, name: bytes) -> None:
        """Let a session be that of the client of this name, and what a former session of
        that client has bound be forgotten.
        """
        bound = _bound_of(session)
        identity = session.user.name, name
        former = self._by_identity.get(identity)
        if former is bound:
            return
        if former is not None:
            self._clear(former)
        self._forget_identity(bound)
        bound.identity = identity
        self._by_identity[identity] = bound

    def forget(self, session: Session) -> None:
        """Forget everything that a session has bound, and who it is."""
        bound, session.bound = session.bound, None
        if bound is not None:
            self._clear(bound)

    def close(self, session: Session) -> None:
        """A session has ended: its ends are to be run if its client has left."""
        bound = session.bound
        if bound is None or not bound.is_left or not bound.by_name:
            self.forget(session)
            return
        session.bound = None
        bound.ends.extend(bound.by_name.values())
        for binding in bound.ends:
            if binding.keep_ms:
                self._keeps.remove(binding)
        if self._engine.on_leave is None:
            self.release(bound)
        else:
            self._engine.on_leave(bound)

    def _require_room(self, bound: Bound, former: Binding | None, binding: Binding) -> None:
        if former is None and len(bound.by_name) >= MOST_BINDINGS:
            raise CommandFailure(_TOO_MANY % MOST_BINDINGS)
        size_bytes = bound.size_bytes + binding.size_bytes
        size_bytes -= 0 if former is None else former.size_bytes
        if size_bytes > MOST_BYTES:
            raise CommandFailure(_TOO_BIG % (size_bytes, MOST_BYTES))
        if self._has_too_many_runtimes(binding):
            self._move_to_present()
            if self._has_too_many_runtimes(binding):
                raise CommandFailure(_TOO_MANY_RUNTIMES % MOST_RUNTIMES)

    # -- runtimes

    def _has_too_many_runtimes(self, binding: Binding) -> bool:
        return len(self._runtimes.keys() | binding.runtimes()) > MOST_RUNTIMES

    def _count_runtimes(self, binding: Binding) -> None:
        for bridge in binding.runtimes():
            self._runtimes[bridge] = self._runtimes.get(bridge, 0) + 1

    def _discount_runtimes(self, binding: Binding) -> None:
        for bridge in binding.runtimes():
            self._runtimes[bridge] -= 1
            if not self._runtimes[bridge]:
                del self._runtimes[bridge]

    def _move_to_present(self) -> None:
        """Let scripts that were flushed, and loaded again since, run in the present
        runtime. Their labels are hashes of their texts, so they are the same.
        """
        scripts = self._engine.scripts
        if scripts is None:
            return
        loaded = scripts.by_sha
        for bound in self._bounds:
            for binding in bound.by_name.values():
                self._discount_runtimes(binding)
                binding.end = loaded.get(binding.end.label, binding.end)
                if binding.keep is not None:
                    binding.keep = loaded.get(binding.keep.label, binding.keep)
                self._count_runtimes(binding)

    # -- forgetting

    def _drop(self, binding: Binding) -> None:
        """Take a binding out of everything."""
        if binding.keep_ms:
            self._keeps.remove(binding)
        bound = binding.bound
        if bound.by_name.pop(binding.name, None) is None:
            return
        bound.size_bytes -= binding.size_bytes
        if not bound.by_name:
            self._bounds.discard(bound)
        self._discount_runtimes(binding)

    def _clear(self, bound: Bound) -> None:
        bound.ends.clear()
        for binding in [*bound.by_name.values()]:
            self._drop(binding)
        self._forget_identity(bound)

    def _forget_identity(self, bound: Bound) -> None:
        if self._by_identity.get(bound.identity) is bound:
            del self._by_identity[bound.identity]

    # -- running

    def cron(self) -> None:
        """Run some ends that were released, and some keeps that are due."""
        self.run_ends()
        self._keeps.run()

    @property
    def is_behind(self) -> bool:
        """Whether something could run now that had to be left for the next time."""
        return (self._keeps.is_late or bool(self._ready)) and self._runner.may_run()

    def release(self, bound: Bound) -> None:
        """Let the ends of a session that has left be run from now on."""
        self._ready.append(bound)

    def run_ends(self) -> bool:
        """Run ends that were released, for a slice. Whether others could go on."""
        ready = self._ready
        if not ready or not self._runner.may_run():
            return False
        stop_at = perf_counter() + SLICE_S
        while ready:
            ends = ready[0].ends
            if not ends:
                self._clear(ready.popleft())
                continue
            binding = ends.popleft()
            self._drop(binding)
            self._runner.run(binding, binding.end, "end")
            if perf_counter() > stop_at:
                return True
        return False

    def runtime_bytes(self) -> int:
        """What is held by Lua runtimes that were flushed, for scripts that are bound."""
        scripts = self._engine.scripts
        return sum(
            bridge.memory.used_bytes()
            for bridge in self._runtimes
            if scripts is None or not scripts.runs_in(bridge)
        )


def _bound_of(session: Session) -> Bound:
    if session.bound is None:
        session.bound = Bound(session)
    return session.bound


def bindings_of(session: Session) -> Bindings:
    """The bindings of a session's engine."""
    engine = session.engine
    if engine.bindings is None:
        engine.bindings = Bindings(engine)
    return engine.bindings
