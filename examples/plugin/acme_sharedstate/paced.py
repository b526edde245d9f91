"""The lock strategy `paced`: one holder at a time, and a pause after each.

For what many processes do, but not more often than every so often: calls of an API that
counts them, mails to one host. The pause begins with the release, by the store's clock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError
from sharedstate.locking import Grant, Holder, LockInfo, Refusal, Renewal
from sharedstate.scripts import LINE, load_scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.backend import Argument
    from sharedstate.locking import LockTarget, Owner

_SCRIPTS = str(Path(__file__).with_name("paced.lua"))


class PacedStrategy:
    """A `sharedstate.locking.LockStrategy`. `pause` is in seconds."""

    def __init__(self, target: LockTarget, options: Mapping[str, object]) -> None:
        unknown = set(options) - {"pause"}
        pause = options.get("pause", 1.0)
        if unknown or not isinstance(pause, (int, float)) or pause <= 0:
            raise ConfigError(
                f"the lock strategy 'paced' has one option, pause, a number of seconds "
                f"above 0; got {dict(options)}"
            )
        self._target = target
        self._pause_ms = max(1, round(pause * 1000))
        self._keys = [target.key(part) for part in ("owner", "fencing", "line", "waiters")]
        self._scripts = load_scripts(_SCRIPTS, LINE)

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat."""
        words = (owner.nonce, owner.description, self._target.ttl_ms, channel or "")
        reply = self._run("acquire", *words)
        return Grant(owner, reply) if reply > 0 else Refusal(-reply)

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run("leave", owner.nonce, owner.description)

    def release(self, grant: Grant) -> int | None:
        """Begin the pause, and wake a waiter. One round trip."""
        left: int | None = self._run("release", _value(grant.owner), self._pause_ms)
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        arguments = (_value(grant.owner), self._target.ttl_ms)
        return Renewal(self._scripts["renew"], self._keys, arguments)

    def inspect(self) -> LockInfo:
        """Who holds the lock; nobody does during the pause. One round trip."""
        value, left_ms, fencing, waiting = self._run("inspect")
        return LockInfo(
            name=self._target.name,
            holders=(_holder(value),) if value else (),
            remaining=max(0, left_ms) / 1000 if value else None,
            waiters=waiting,
            fencing=int(fencing or 0),
        )

    def force_release(self) -> bool:
        """Release whoever holds the lock, without a pause. One round trip."""
        return bool(self._run("force_release"))

    def _run(self, script: str, *arguments: Argument) -> Any:
        backend = self._target.backend
        return backend.run_script(self._scripts[script], self._keys, arguments)


def _value(owner: Owner) -> str:
    """What stands for an acquisition in the store: unique, and readable."""
    return f"{owner.nonce} {owner.description}"


def _holder(value: bytes) -> Holder:
    described = json.loads(value.partition(b" ")[2])
    return Holder(
        described["host"], described["pid"], described["thread"], described["since"]
    )
