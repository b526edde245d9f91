"""The reentrant lock: its owner may acquire it again, as `threading.RLock`.

The owner is a thread of a process, through whichever handles it asks; all others wait until
it has released as often as it has acquired. `reentrant.lua` is the model. Each acquisition
begins the lease time anew; each hold has a lease of its own in its process, and the lock is
lost for all of them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.locking import Grant, Refusal, Renewal
from sharedstate_locks.owned import OwnedStrategy

if TYPE_CHECKING:
    from sharedstate.locking import Owner


class ReentrantStrategy(OwnedStrategy):
    """A `LockStrategy` whose owner is a thread. Only that thread may release."""

    script_file = "reentrant"
    is_thread_bound = True

    parts = (*OwnedStrategy.parts, "holds")

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask once. One round trip; safe to repeat."""
        thread = self._waiting_thread(owner)
        words = (owner.identity, owner.description, self._ttl_ms, channel or "", thread)
        number, holds = self._ask(owner, (*words, owner.nonce))
        return Grant(owner, number, holds) if number > 0 else Refusal(-number)

    def leave(self, owner: Owner) -> None:
        """Give up waiting, and what was granted meanwhile. One round trip."""
        arguments = (owner.identity, owner.nonce)
        self._run(self._scripts["leave"], self._keys, arguments)

    def release(self, grant: Grant) -> int | None:
        """Release one hold; the last lets the next one have the lock. One round trip."""
        arguments = (grant.owner.identity, grant.owner.nonce)
        left: int | None = self._run(self._release, self._keys, arguments)
        return left

    def renewal(self, grant: Grant) -> Renewal:
        """The call that begins the lease time anew. No round trip."""
        arguments = (grant.owner.identity, grant.owner.nonce, self._ttl_ms)
        return Renewal(self._scripts["renew"], self._keys, arguments)
