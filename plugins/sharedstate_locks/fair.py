"""The fair lock: first come, first served, on all machines. `fair.lua` is its model.

A release hands the lock to the one who has waited longest and still listens, in the script
that releases, so that nobody comes in between. That makes each hand-over wait for a process
to wake: who wants the most grants a second, and not the same number for everybody, takes
the token lock.
"""

from __future__ import annotations

from sharedstate_locks.owned import OwnedStrategy


class FairStrategy(OwnedStrategy):
    """A `LockStrategy` that grants in the order of asking."""

    script_file = "fair"
