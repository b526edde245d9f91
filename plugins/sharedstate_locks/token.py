"""The token lock: one holder, by SET NX PX, with fencing. `token.lua` is its model.

An uncontended acquisition is three commands of the store, a release three, each in one
round trip. A release wakes the first who waits; somebody who asks at that moment may come
before it, once.

Source: https://redis.io/docs/latest/commands/set/ ("Patterns"), with the fencing number
of https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html.
"""

from __future__ import annotations

from sharedstate_locks.owned import OwnedStrategy


class TokenStrategy(OwnedStrategy):
    """A `LockStrategy` for locks that are not reentrant, on one store."""

    script_file = "token"
