"""What read-write locks keep on the store, on every backend."""

from __future__ import annotations

from sharedstate.testing.rwlock_key_suite import RWLockKeySuite


class TestRWLockKeys(RWLockKeySuite):
    """Threads, leases, evictions, and processes that stand still."""
