"""The token lock: one holder, by SET NX PX, with fencing. `token.lua` is its model.

An uncontended acquisition is two commands of the store, a release three, each in one
round trip. Waiters sleep on a wake list; a release wakes one of them, in no promised
order, and somebody who asks at that moment may come before it.

Source: https://redis.io/docs/latest/commands/set/ ("Patterns"), with the fencing number
of https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.locking import Grant, Holder, LockInfo, Refusal, Renewal
from sharedstate.scripts import load_scripts
from sharedstate.waiting import WAITERS_KEPT_MS, wait_for_token

if TYPE_CHECKING:
    from sharedstate.locking import LockTarget, Owner

_SCRIPTS = str(Path(__file__).with_name("token.lua"))


class TokenStrategy:
    """A `LockStrategy` for locks that are not reentrant, on one store."""

    def __init__(self, target: LockTarget) -> None:
        self._target = target
        self._backend = target.backend
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        owner, fencing = target.key("owner"), target.key("fencing")
        waiting, self._wake_list = target.key("waiting"), target.key("wake")
        self._acquire_keys = (owner, fencing, waiting)
        self._release_keys = (owner, waiting, self._wake_list)
        scripts = load_scripts(_SCRIPTS)
        self._acquire = scripts["acquire"]
        self._release = scripts["release"]
        self._scripts = scripts

    def try_acquire(self, owner: Owner, *, waiting: bool) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat."""
        value = owner.nonce + owner.description
        announce = "1" if waiting else "0"
        reply: int = self._run(
            self._acquire,
            self._acquire_keys,
            (value, self._ttl_ms, announce, WAITERS_KEPT_MS),
        )
        return Grant(owner, reply) if reply > 0 else Refusal(-reply)

    def wait(self, owner: Owner, timeout: float) -> None:
        """Block until a token came or time passed; the announcement is then used up."""
        if not wait_for_token(self._backend, self._wake_list, timeout):
            self.stop_waiting(owner)

    def stop_waiting(self, owner: Owner) -> None:
        """Take back one announcement. One round trip."""
        self._run_on_owner("stop_waiting")

    def release(self, grant: Grant) -> int | None:
        """Release, and wake a waiter. One round trip."""
        owner = grant.owner
        left: int | None = self._run(
            self._release,
            self._release_keys,
            (owner.nonce + owner.description, WAITERS_KEPT_MS),
        )
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        value = grant.owner.nonce + grant.owner.description
        keys = self._acquire_keys[:1]
        return Renewal(self._scripts["renew"], keys, (value, self._ttl_ms))

    def inspect(self) -> LockInfo:
        """Who holds the lock, and until when. One round trip."""
        value, left_ms, fencing, waiting = self._run(
            self._scripts["inspect"], self._acquire_keys
        )
        return LockInfo(
            name=self._target.name,
            holders=() if value is None else (_read_holder(value),),
            remaining=None if value is None else max(0, left_ms) / 1000,
            waiters=int(waiting or 0),
            fencing=int(fencing or 0),
        )

    def force_release(self) -> bool:
        """Release whoever holds the lock, and wake a waiter. One round trip."""
        released: int = self._run_on_owner("force_release")
        return released == 1

    def _run_on_owner(self, script: str) -> Any:
        return self._run(self._scripts[script], self._release_keys, (WAITERS_KEPT_MS,))


def _read_holder(value: bytes) -> Holder:
    """The holder of an owner's value: a nonce in hex, and a description in JSON."""
    import json

    described = json.loads(value[value.index(b"{") :])
    return Holder(
        host=described["host"],
        pid=described["pid"],
        thread=described["thread"],
        since=described["since"],
    )
