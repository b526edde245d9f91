"""The backend: Redis commands over the connections of this process.

A call packs its command once (C), hands it to the thread's connection, and reads the
reply once (C). What is more than that happens only when a connection broke:

    sent      what may be repeated          what may not
    NOTHING   sent again, once              sent again, once: the store knows nothing of it
    PART      sent again, once              sent again if it is atomic, for the store
                                            executes no incomplete command; else in doubt
    ALL       sent again, once              IndeterminateError

A time-out is never repeated: the caller said how long to wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from hiredis import pack_command

from sharedstate.backend import Backend, Capability, Watch
from sharedstate.commands import is_repeatable
from sharedstate.errors import (
    BackendError,
    BackendTimeout,
    CommandError,
    IndeterminateError,
)

from .connection import ALL, INCOMPLETE, NOTHING, PART, Broken, Connection
from .connections import Connections

if TYPE_CHECKING:
    from sharedstate.backend import Argument, Command, Key, Reply, Script, Subscription
    from sharedstate.config import Settings

_Result = TypeVar("_Result")

# Its own annotation speaks of tuples of one item.
pack = cast("Callable[[tuple[Argument, ...]], bytes]", pack_command)

_MULTI = pack(("MULTI",))
_EXEC = pack(("EXEC",))

_REPEAT_AFTER_SECONDS = 0.02
"""Long enough for a server that is restarted in place to be gone or back."""


class RedisBackend(Backend):
    """One Redis, or what speaks its protocol. `open_one` opens a connection to it."""

    def __init__(self, settings: Settings, open_one: Callable[[], Connection]) -> None:
        self._settings = settings
        self._capabilities: frozenset[Capability] | None = None
        self._connections = Connections(open_one, settings.max_connections)
        self._own = self._connections.own
        self._own()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this server can do. One round trip, once."""
        if self._capabilities is None:
            self._capabilities = self._ask_capabilities()
        return self._capabilities

    def execute(self, command: Command) -> Reply:
        data = pack(command)
        try:
            reply = self._own().call(data)
        except Broken as broken:
            doubt = Doubt(command[0], repeatable=is_repeatable(command[0]))
            reply = self._again(broken, doubt, lambda: self._own().call(data))
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        if not commands:
            return []
        replies = self._exchange(commands)
        raise_first_refusal(replies)
        return replies

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        if watching is not None:
            return self._transact_watching(commands, watching)
        if not commands:
            return []
        data, count = _pack_transaction(commands)
        try:
            replies = self._own().exchange(data, count)
        except Broken as broken:
            doubt = Doubt("a transaction", repeatable=_all_repeatable(commands))
            replies = self._again(broken, doubt, lambda: self._own().exchange(data, count))
        return transaction_result(replies)

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        reply = self._call_script(script, data)
        if isinstance(reply, CommandError) and reply.code == "NOSCRIPT":
            # SCRIPT LOAD and not EVAL: Redis forgets what only EVAL has brought.
            self._load(script)
            reply = self._call_script(script, data)
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def watch(self, keys: Sequence[Key]) -> Watch:
        from .watch import RedisWatch

        connection, reply = self.borrow_and(pack(("WATCH", *keys)), Doubt("WATCH"))
        if isinstance(reply, CommandError):
            self._connections.give_back(connection)
            raise reply
        return RedisWatch(self, self._connections, connection)

    def wait_for(self, command: Command, timeout: float) -> Reply:
        if timeout <= 0:
            return self._pop_at_once(command)
        doubt = Doubt(command[0], repeatable=is_repeatable(command[0]))
        connection, reply = self.borrow_and(
            pack((*command, _wire_timeout(timeout))),
            doubt,
            within=timeout + self._settings.timeout,
        )
        self._connections.give_back(connection)
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        from .subscription import RedisSubscription

        return RedisSubscription(self, self._connections, channels)

    def close(self) -> None:
        self._connections.close()

    def borrow_and(
        self, data: bytes, doubt: Doubt, *, within: float | None = None
    ) -> tuple[Connection, Reply]:
        """Borrow a connection and execute one packed command on it.

        `within` is how many seconds its reply may take, if not as long as any reply.
        Who calls gives the connection back. For the sibling modules.
        """

        def once() -> tuple[Connection, Reply]:
            connection = self._connections.borrow()
            if within is None:
                return connection, connection.call(data)
            connection.send(data)
            reply = connection.read_within(within)
            if reply is INCOMPLETE:
                connection.close()
                raise Broken("no answer in time", sent=ALL, timed_out=True)
            return connection, reply

        try:
            return once()
        except Broken as broken:
            return self._again(broken, doubt, once)

    def error(self, broken: Broken, doubt: Doubt) -> BackendError:
        """What a broken connection means for the command. For the sibling modules."""
        if not doubt.is_harmless_after(broken):
            return IndeterminateError(
                f"{doubt.what} was sent to {self._settings}, but not answered ({broken}): "
                f"it may or may not have happened; read the state to find out, or repeat "
                f"it if doing it twice is harmless"
            )
        if broken.timed_out:
            return BackendTimeout(
                f"{doubt.what} was not answered by {self._settings} within "
                f"{self._settings.timeout:g} seconds: the server is overloaded or out of "
                f"reach; try again, or raise timeout"
            )
        return BackendError(
            f"lost the connection to {self._settings} during {doubt.what} ({broken}); "
            f"nothing was changed, try again"
        )

    def _again(
        self, broken: Broken, doubt: Doubt, attempt: Callable[[], _Result]
    ) -> _Result:
        """Try once more, over a fresh connection, if that is harmless; else raise."""
        if broken.timed_out or not doubt.is_harmless_after(broken):
            raise self.error(broken, doubt) from broken
        time.sleep(_REPEAT_AFTER_SECONDS)
        try:
            return attempt()
        except Broken as second:
            raise self.error(second, doubt) from second

    def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies of a batch, refusals among them."""
        data = b"".join([pack(command) for command in commands])
        count = len(commands)
        try:
            return self._own().exchange(data, count)
        except Broken as broken:
            repeatable = _all_repeatable(commands)
            doubt = Doubt(f"a batch of {count}", repeatable=repeatable, atomic=count == 1)
            return self._again(broken, doubt, lambda: self._own().exchange(data, count))

    def _call_script(self, script: Script, data: bytes) -> Reply:
        try:
            return self._own().call(data)
        except Broken as broken:
            doubt = Doubt(f"the script {script.name}", repeatable=script.repeatable)
            return self._again(broken, doubt, lambda: self._own().call(data))

    def _load(self, script: Script) -> None:
        doubt = Doubt("SCRIPT LOAD", repeatable=True)
        data = pack(("SCRIPT", "LOAD", script.body))
        try:
            reply = self._own().call(data)
        except Broken as broken:
            reply = self._again(broken, doubt, lambda: self._own().call(data))
        if isinstance(reply, CommandError):
            raise reply

    def _transact_watching(
        self, commands: Sequence[Command], watching: Watch
    ) -> list[Reply] | None:
        from .watch import RedisWatch

        if not isinstance(watching, RedisWatch):
            raise TypeError(f"expected a watch of this backend, got {watching!r}")
        data, count = _pack_transaction(commands)
        doubt = Doubt("a transaction", repeatable=_all_repeatable(commands))
        return transaction_result(watching.finish(data, count, doubt))

    def _pop_at_once(self, command: Command) -> Reply:
        """A blocking command that does not block: inside MULTI none does."""
        replies = self.transact([(*command, 0)])
        return replies[0] if replies else None

    def _ask_capabilities(self) -> frozenset[Capability]:
        reachable = Capability.PROCESSES, Capability.REPLICATION
        found = set(reachable)
        if self._settings.address.scheme != "redis+unix":
            found.add(Capability.MACHINES)
        replies = self._exchange([("INFO", "persistence"), ("CONFIG", "GET", "save")])
        if _is_persistent(*replies):
            found.add(Capability.PERSISTENCE)
        return frozenset(found)


class Doubt:
    """What decides about a command whose connection broke.

    `atomic`: an incomplete one does nothing. `repeatable`: a second one does no harm.
    """

    __slots__ = ("atomic", "repeatable", "what")

    def __init__(
        self, what: object, *, repeatable: bool = True, atomic: bool = True
    ) -> None:
        self.what = what.decode("latin-1") if isinstance(what, bytes) else str(what)
        self.repeatable = repeatable
        self.atomic = atomic

    def is_harmless_after(self, broken: Broken) -> bool:
        """Whether nothing was changed that a second try would change again."""
        unseen = broken.sent == NOTHING or (broken.sent == PART and self.atomic)
        return self.repeatable or unseen


def raise_first_refusal(replies: list[Reply]) -> None:
    """Raise the first error reply of a list, if there is one."""
    for reply in replies:
        if isinstance(reply, CommandError):
            raise reply


def transaction_result(replies: list[Reply]) -> list[Reply] | None:
    """The result of the replies to MULTI, commands and EXEC.

    A refusal while queueing comes before EXEC's own, and says more.
    """
    raise_first_refusal(replies)
    results: list[Reply] | None = replies[-1]
    if results is not None:
        raise_first_refusal(results)
    return results


def _pack_transaction(commands: Sequence[Command]) -> tuple[bytes, int]:
    packed = [pack(command) for command in commands]
    return b"".join([_MULTI, *packed, _EXEC]), len(packed) + 2


def _all_repeatable(commands: Sequence[Command]) -> bool:
    return all(is_repeatable(command[0]) for command in commands)


def _wire_timeout(seconds: float) -> str:
    """A blocking command's timeout: milliseconds, rounded up, for 0 means for ever."""
    if math.isinf(seconds):
        return "0"
    return f"{math.ceil(seconds * 1000) / 1000:.3f}"


def _is_persistent(info: Reply, save: Reply) -> bool:
    """Whether the server writes its data to disk by itself.

    CONFIG is forbidden on some managed servers; INFO alone knows of the AOF only.
    """
    if isinstance(info, bytes) and b"aof_enabled:1" in info:
        return True
    return isinstance(save, list) and len(save) == 2 and save[1] != b""
