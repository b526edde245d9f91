"""What a `Once` says to the store: `once.lua` is its model.

It has the shape of a lock strategy: to run is to hold a lock, on a lease. Who asks when
there is a result already is answered by that, as a grant that holds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharedstate.locking import Grant, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder, read_line
from sharedstate.scripts import LINE, load_scripts
from sharedstate.sessions import Will

if TYPE_CHECKING:
    from sharedstate.locking import LockTarget, Owner

_SCRIPTS = str(Path(__file__).with_name("once.lua"))
_PARTS = ("owner", "fencing", "line", "waiters", "result")


@dataclass(frozen=True, slots=True)
class Done(Grant):
    """There is nothing to run: `result` is there."""

    result: bytes = b""


class OnceStrategy:
    """A `LockStrategy` for the run of a name."""

    def __init__(self, target: LockTarget) -> None:
        self._target = target
        self._run = target.backend.run_script
        self._ttl_ms = str(target.ttl_ms)
        self._keys = tuple(map(target.key, _PARTS))
        self._scripts = load_scripts(_SCRIPTS, LINE)

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat."""
        words = (owner.nonce, owner.description, self._ttl_ms, channel or "")
        reply: Any = self._run(self._scripts["acquire"], self._keys, words)
        number = reply[0]
        if number < 0:
            return Refusal(-number)
        return Grant(owner, number) if number else Done(owner, 0, 0, reply[1])

    def finish(self, grant: Grant, outcome: bytes, kept_ms: int | None) -> bool:
        """Write the outcome of a run, and call all who wait; False if another run has
        begun.

        Atomic; one round trip; safe to repeat.
        """
        kept = "" if kept_ms is None else kept_ms
        words = (grant.owner.nonce, grant.fencing, outcome, kept)
        return bool(self._run(self._scripts["finish"], self._keys, words))

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        self._run(self._scripts["leave"], self._keys, (owner.nonce,))

    def release(self, grant: Grant) -> int | None:
        """Give the run to the next who waits. One round trip."""
        words = (grant.owner.nonce,)
        left: int | None = self._run(self._scripts["release"], self._keys, words)
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        words = (grant.owner.nonce, self._ttl_ms)
        return Renewal(self._scripts["renew"], self._keys, words)

    def will(self, tag: str) -> Will:
        """What ends, and what keeps, what a session has of this."""
        return Will(
            end=self._scripts["ended"],
            keep=self._scripts["keep"],
            keep_every=self._target.ttl_ms / 3000,
            keys=self._keys,
            arguments=(tag, self._ttl_ms),
        )

    def inspect(self) -> LockInfo:
        """Who runs, until when, and who waits. One round trip."""
        reply: Any = self._run(self._scripts["inspect"], self._keys)
        value, left_ms, fencing, waiting, line = reply
        return LockInfo(
            name=self._target.name,
            holders=() if value is None else (read_holder(value),),
            remaining=None if value is None else max(0, left_ms) / 1000,
            waiters=waiting,
            fencing=int(fencing or 0),
            line=read_line(line),
        )

    def force_release(self) -> bool:
        """Take the run from who runs; its result will not count. One round trip."""
        value: bytes | None = self._run(self._scripts["force_release"], self._keys)
        return value is not None
