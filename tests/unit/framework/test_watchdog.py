"""The watchdog: when it wakes, whom it tells, and that it holds nobody up."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from time import monotonic
from typing import Any

import pytest

import sharedstate
from sharedstate.leases import Lease, LeaseTerms
from sharedstate.locking import Grant, LockTarget, Owner
from sharedstate.testing.background import SECONDS, wait_until
from sharedstate.testing.lock_lease_suite import wait_until_renewed
from sharedstate.watchdog import Watchdog

OWNER = Owner("here", "1", "{}")


class CountingWatchdog(Watchdog):
    """Counts how often it was woken by somebody who added a lease."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _wake(self, due: float) -> None:
        self.calls += 1
        super()._wake(due)


def a_lease(ttl: float, *, renews: bool = False, on_lost: Any = None) -> Lease:
    """A lease that begins now, of a lock that nothing is asked about."""
    nobody: Any = None
    target = LockTarget(nobody, "a", "ss:{lock:a}", round(ttl * 1000))
    terms = LeaseTerms(target, nobody, renews=renews, on_lost=on_lost)
    return Lease(terms, Grant(OWNER, 1), monotonic(), threading.get_ident())


def test_locks_that_come_and_go_wake_the_watchdog_once() -> None:
    watchdog = CountingWatchdog()
    for _ in range(1000):
        lease = a_lease(30, renews=True)
        watchdog.watch(lease)
        assert watchdog.claim(lease)
    assert watchdog.calls <= 2


def test_a_shorter_lease_wakes_the_watchdog_from_a_longer_one() -> None:
    watchdog = CountingWatchdog()
    long, short = a_lease(600), a_lease(0.1)
    watchdog.watch(long)
    watchdog.watch(short)
    assert watchdog.event(short).wait(SECONDS)
    assert watchdog.is_held(long)
    assert not watchdog.is_held(short)


def test_a_lease_is_over_by_the_clock_even_before_the_watchdog_looks() -> None:
    watchdog, lease = Watchdog(), a_lease(600)
    watchdog.watch(lease)
    lease.deadline = monotonic()
    assert not watchdog.is_held(lease)


def test_of_two_who_decide_about_a_lease_one_does() -> None:
    watchdog, lease = Watchdog(), a_lease(600)
    watchdog.watch(lease)
    assert watchdog.claim(lease)
    assert not watchdog.claim(lease)
    watchdog.lose(lease, "too late")
    assert watchdog.reason(lease) is None


def test_a_loss_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    watchdog, lease = Watchdog(), a_lease(600, on_lost=told.set)
    watchdog.watch(lease)
    with caplog.at_level(logging.WARNING, "sharedstate.locks"):
        watchdog.lose(lease, "it was time")
        assert told.wait(SECONDS)
    assert caplog.messages == ["the lock 'a' was lost: it was time"]


def test_an_error_of_who_is_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("theirs")

    watchdog, lease = Watchdog(), a_lease(600, on_lost=fail)
    watchdog.watch(lease)
    watchdog.lose(lease, "it was time")
    wait_until(lambda: len(caplog.records) == 2)
    assert "on_lost of the lock 'a' failed" in caplog.messages[1]


def test_a_strategy_that_fails_costs_the_lease_its_renewal_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # There is no strategy at all: asking for a renewal is an AttributeError.
    watchdog, lease = Watchdog(), a_lease(0.3, renews=True)
    lease.terms.backend = Backendless()  # type: ignore[assignment]
    watchdog.watch(lease)
    assert watchdog.event(lease).wait(SECONDS)
    assert "could not be renewed in time" in str(watchdog.reason(lease))
    wait_until(lambda: bool(caplog.records))


class Backendless:
    """Stands where a backend is, for leases to be sorted by."""


def test_a_program_that_holds_a_lock_can_end() -> None:
    program = (
        "import sharedstate\n"
        "state = sharedstate.connect('local://')\n"
        "lock = state.lock('a', ttl=0.3)\n"
        "lock.acquire()\n"
        "assert not lock.lost.wait(0.5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        timeout=45,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_thread_that_could_not_be_started_is_started_by_the_next_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watchdog, lease = Watchdog(), a_lease(0.3)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            watchdog.watch(lease)
    watchdog.claim(lease)
    later = a_lease(0.1)
    watchdog.watch(later)
    assert watchdog.event(later).wait(SECONDS)


def test_renewals_go_on_after_a_thread_could_not_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sharedstate.connect("memory://") as state:
        lock = state.lock("a", ttl=1.5)
        start = threading.Thread.start
        failed = threading.Event()

        def fail_once(thread: threading.Thread) -> None:
            if thread.name == "sharedstate-renewals" and not failed.is_set():
                failed.set()
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", fail_once)
        with lock:
            assert failed.wait(SECONDS)
            wait_until_renewed(lock)
            assert lock.owned()
