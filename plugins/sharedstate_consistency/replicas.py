"""A write is done when enough replicas have confirmed it.

Every write is followed by WAIT on the same connection, in the same round trip where the
protocol allows it. Too few confirmations in time raise `ConsistencyError`: the write was
made on the primary, and may still be lost if the primary is lost now. WAIT makes that
less likely and not impossible: a failover may choose a replica that did not confirm.

What is not confirmed: blocking commands (`wait_for`). They have connections of their
own, and structures take nothing but wake-up calls with them.

Source: https://redis.io/docs/latest/commands/wait/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.backend import Backend
from sharedstate.commands import is_write
from sharedstate.errors import ConsistencyError
from sharedstate.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import (
        Argument,
        BackendSession,
        Capability,
        Command,
        Key,
        Reply,
        Script,
        Subscription,
        Watch,
    )
    from sharedstate.config import Settings

# The command table has no flag for what these run.
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "FCALL"})


class Replicas:
    """The level: how many replicas, and how long to wait for them."""

    name = "replicas"

    def __init__(self, wanted: int, timeout: float) -> None:
        self.wanted = wanted
        self.timeout = timeout

    def apply(self, backend: Backend) -> Backend:
        """A backend whose writes wait for the replicas."""
        return ConfirmedBackend(backend, self)


class ConfirmedBackend(Backend):
    """A backend that calls a write done when enough replicas have it."""

    def __init__(self, inner: Backend, level: Replicas) -> None:
        self._inner = inner
        self._level = level
        # WAIT takes milliseconds, and zero for ever.
        self._wait = ("WAIT", level.wanted, max(1, round(level.timeout * 1000)))

    @property
    def settings(self) -> Settings:
        """The settings of the wrapped backend."""
        return self._inner.settings

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities of the wrapped backend."""
        return self._inner.capabilities

    def execute(self, command: Command) -> Reply:
        """Execute one command; a write is confirmed in the same round trip."""
        if not _writes(command):
            return self._inner.execute(command)
        reply, confirmed = self._inner.execute_many((command, self._wait))
        self._check(confirmed)
        return reply

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute commands; the writes are confirmed together, in the same round trip."""
        if not any(map(_writes, commands)):
            return self._inner.execute_many(commands)
        *replies, confirmed = self._inner.execute_many((*commands, self._wait))
        self._check(confirmed)
        return replies

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        """Execute an atomic batch; writes are confirmed in a second round trip.

        WAIT does not wait inside of MULTI, so it has to follow.
        """
        replies = self._inner.transact(commands, watching=watching)
        if replies is not None and any(map(_writes, commands)):
            self._check(self._inner.execute(self._wait))
        return replies

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        """Run a script; if it may write, it is confirmed in a second round trip."""
        reply = self._inner.run_script(script, keys, arguments)
        if not script.repeatable:
            self._check(self._inner.execute(self._wait))
        return reply

    def watch(self, keys: Sequence[Key]) -> Watch:
        """Watch keys. Reading on the watch needs no confirmation."""
        return self._inner.watch(keys)

    def wait_for(self, command: Command, timeout: float) -> Reply:
        """Execute a blocking command. Not confirmed; see the module."""
        return self._inner.wait_for(command, timeout)

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        """Subscribe to channels."""
        return self._inner.subscribe(channels)

    def open_session(self, identity: str = "") -> BackendSession:
        """Open a session. What the store runs for it is not confirmed by replicas."""
        return open_session(self._inner, identity)

    def close(self) -> None:
        """Close the wrapped backend."""
        self._inner.close()

    def _check(self, confirmed: Reply) -> None:
        wanted, got = self._level.wanted, int(confirmed)
        if got < wanted:
            raise ConsistencyError(
                f"the write was made, but confirmed by {got} of {wanted} replicas within "
                f"{self._level.timeout:g} s; it may be lost if the primary is lost now",
                wanted=wanted,
                got=got,
            )


def _writes(command: Command) -> bool:
    name = command[0]
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return is_write(text) or text.upper() in _SCRIPTS


def open_level(settings: Settings) -> Replicas:
    """The level as the settings have it."""
    wanted, timeout = (
        settings.option("replicas", 1),
        settings.option("replicas_timeout", 1.0),
    )
    return Replicas(int(str(wanted)), float(str(timeout)))
