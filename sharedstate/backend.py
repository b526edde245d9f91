"""The contract between structures and stores.

Redis commands are to shared state what SQL is to tables: a structure is written once,
as commands and Lua scripts, and a backend is whatever executes them. That is all a
backend does. It knows nothing of maps or locks, and a structure never asks which
backend it has; it may ask for a `Capability`.

What holds for every backend:

- **Replies have the shapes of RESP2**, whatever is spoken on the wire: an `int`,
  `bytes` (status lines too), `None`, or a `list` of these. An error reply is raised as
  `CommandError`.
- **One thread, one connection.** The calls of one thread reach the store in their
  order, over one connection, so that WAIT after a write speaks of that write. Blocking
  commands and subscriptions have connections of their own.
- **Never sent twice in silence.** A command is repeated only when
  `commands.is_repeatable` says so, or the script does. Any other whose answer was lost
  raises `IndeterminateError`. One that never left raises `BackendError`.
- **Forks are safe.** Connections belong to the process that opened them. A forked child
  forgets its parent's without a word on the wire, and opens its own.
- **Safe for threads**, and for signal handlers and finalizers that come in the middle of
  a call: each caller gets its own reply, or a `BackendError`, and never another's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from sharedstate.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sharedstate.config import Settings
    from sharedstate.sessions import Will

Argument: TypeAlias = bytes | str | int | float
"""What a command is made of. `str` travels as UTF-8, numbers as their decimal text."""

Command: TypeAlias = tuple[Argument, ...]
"""A command and its arguments: `("HSET", "key", "field", b"value")`."""

Key: TypeAlias = bytes | str

# A reply is foreign data: int, bytes, None, or a list of replies. Who asked knows which,
# and says so on the line that receives it.
Reply: TypeAlias = Any


class Capability(StrEnum):
    """What a backend can do beyond the contract. `connect(require=…)` asks for these."""

    PROCESSES = "processes"
    """Other processes of this machine can reach the same data."""
    MACHINES = "machines"
    """Other machines can."""
    PERSISTENCE = "persistence"
    """The data outlives the store's process."""
    REPLICATION = "replication"
    """The store may have replicas, and WAIT tells how many have a write."""
    SLOTS = "slots"
    """The store is spread over nodes, and one step has keys of one slot: `slots.py`."""
    SESSIONS = "sessions"
    """A process can bind scripts to a connection, which the store runs when the process is
    gone, and again and again as long as it is there (`SupportsSessions`)."""


class Script:
    """A Lua script, named for messages. Scripts that change nothing are repeatable.

    A script reads its keys from KEYS and everything else from ARGV, touches no key that
    is not in KEYS, and takes its time from the store. Only one that changes no data, or
    that a holder must be able to run after it lost its lock, is not `fenced`: it runs
    unchecked in a block of `lock.fencing`.
    """

    __slots__ = ("body", "fenced", "name", "repeatable", "sha")

    def __init__(
        self, name: str, body: str, *, repeatable: bool = False, fenced: bool = True
    ) -> None:
        import hashlib  # 2.5 ms, and not every program runs a script

        self.name = name
        self.body = body
        self.repeatable = repeatable
        self.fenced = fenced
        self.sha = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<Script {self.name}>"


class Watch(ABC):
    """Keys under watch, and a connection on which to read them. A context manager.

    Read with `execute`, then hand the watch to `Backend.transact`, which does nothing
    and returns None if any of the keys was changed since. A watch serves once.
    """

    @abstractmethod
    def execute(self, command: Command) -> Reply:
        """Execute one command on the watching connection. One round trip."""

    @abstractmethod
    def close(self) -> None:
        """Stop watching. Twice is fine."""

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Message:
    """A message of a channel."""

    __slots__ = ("channel", "data")

    def __init__(self, channel: bytes, data: bytes) -> None:
        self.channel = channel
        self.data = data

    def __repr__(self) -> str:
        return f"Message(channel={self.channel!r}, data={self.data!r})"


class Subscription(ABC):
    """Messages of some channels, in the order of each publisher. A context manager."""

    @abstractmethod
    def get(self, timeout: float | None = None) -> Message | None:
        """Wait for the next message; None when `timeout` seconds passed without one.

        Raises `BackendError` when the connection broke: the subscription is renewed by
        the next call, and `missed` says that messages may have been missed.
        """

    @property
    @abstractmethod
    def missed(self) -> int:
        """How often the connection broke, so that messages may have been missed."""

    @abstractmethod
    def close(self) -> None:
        """End the subscription. Twice is fine."""

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BackendSession(ABC):
    """A connection that stands for its process: while it is open, the process is there.

    Scripts are bound to it by name. When the process is gone (or has closed the session),
    the store runs the *end* of each binding; while it is there, each *keep* now and then.
    A connection that was cut, rather than closed by the process, ends nothing: the store
    drops what was bound to it, and leases decide.

    A session that broke stays broken: whoever wants another opens one. It keeps no backend
    alive, belongs to the process that opened it, and is safe for threads. A signal handler
    that comes in the middle of a call of its own thread gets a `BackendError`.
    """

    was_closed = False
    """Whether this process has closed it itself, so that the store has run the ends."""

    @abstractmethod
    def bind(
        self,
        name: str,
        *,
        end: Script,
        keys: Sequence[Key],
        arguments: Sequence[Argument] = (),
        keep: Script | None = None,
        keep_every: float | None = None,
    ) -> None:
        """Bind two scripts with their keys and arguments, in the place of what had the
        name.

        `keep` runs every `keep_every` seconds; without them, nothing does. Replies are
        thrown away; what fails is in the log of the store. One round trip; more on the
        first use of a script. Raises `BackendError` when the session broke, and
        `BackendTimeout` when the answer did not come in time: then it may be bound or not,
        and the session goes on.
        """

    def bind_many(self, wills: Mapping[str, Will]) -> dict[str, CommandError]:
        """Bind by name, as `bind` does, and return the refusals of those that were refused.

        As few round trips as can be. Raises as `bind` does when the session broke, or no
        answer came in time: then any of them may be bound or not.
        """
        refused = {}
        for name, will in wills.items():
            try:
                self.bind(
                    name,
                    end=will.end,
                    keys=will.keys,
                    arguments=will.arguments,
                    keep=will.keep,
                    keep_every=will.keep_every,
                )
            except CommandError as refusal:
                refused[name] = refusal
        return refused

    @abstractmethod
    def unbind(self, *names: str) -> None:
        """Forget bindings without running anything; those that are not there too. One round
        trip. Raises as `bind` does.
        """

    @abstractmethod
    def is_open(self) -> bool:
        """Whether the connection is open, as far as this side knows. No round trip."""

    @abstractmethod
    def check(self) -> bool:
        """Whether the session has been open all the time, by the store's word. One round
        trip. False if it broke; raises `BackendTimeout` if no answer came in time.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection: the store runs the ends. Twice is fine."""


@runtime_checkable
class SupportsSessions(Protocol):
    """A backend that has sessions, if it has `Capability.SESSIONS`."""

    def open_session(self, identity: str = "") -> BackendSession:
        """Open a session. Two round trips; more where one logs in.

        Only one session at a time has an identity: what the one before it had bound, whose
        connection may still look open to the store, is forgotten without running anything.
        Raises `NotSupported` where there are no sessions, `BackendError` when the store is
        not reached.
        """


class Backend(ABC):
    """Whatever executes commands. See the module for what holds for every backend."""

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The settings by which another process reaches the same data.

        Their URL may differ from the one that was asked for: a server started for
        `local://` is reached by the path of its socket. Raises `NotSupported` where no
        other process can reach the data.
        """

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this backend can do beyond the contract. May cost one round trip."""

    @abstractmethod
    def execute(self, command: Command) -> Reply:
        """Execute one command. One round trip; atomic."""

    @abstractmethod
    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute commands in order, in one round trip. Not atomic.

        If the store refuses one, the others are executed all the same, and the first
        refusal is raised after the last reply was read.
        """

    @abstractmethod
    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        """Execute commands as one atomic step, in one round trip (MULTI/EXEC).

        With a `watch`, returns None, and does nothing, if a watched key was changed.
        A refusal while queueing does nothing and is raised; a refusal of one command
        while running leaves the others done, as Redis has it, and is raised.
        """

    @abstractmethod
    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        """Run a script as one atomic step. One round trip; three on its first use."""

    @abstractmethod
    def watch(self, keys: Sequence[Key]) -> Watch:
        """Watch keys for changes from now on. One round trip."""

    @abstractmethod
    def wait_for(self, command: Command, timeout: float) -> Reply:
        """Execute a blocking command (BLPOP, BLMOVE, BZPOPMIN, …), given without its
        trailing timeout, and wait up to `timeout` seconds for its reply.

        Returns None when the time passed; a timeout of zero does not block. Raises
        `BackendError` when the connection breaks while waiting. An interrupt (Ctrl-C)
        gives the wait up on the store too.
        """

    @abstractmethod
    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        """Receive the messages published to channels from now on. One round trip."""

    @abstractmethod
    def close(self) -> None:
        """Close this process's connections. Twice is fine."""
