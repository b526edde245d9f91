"""What read-write locks must keep on the store: holds of threads, leases, places in line.

Each test is about one way in which a thread, or a key, comes to be mistaken for another.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import LockLost, UpgradeError
from sharedstate.testing.background import (
    SECONDS,
    in_background,
    main_thread_is_in,
    wait_for_waiters,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF, KEPT
from sharedstate.testing.rwlock_suite import SHORT, in_line, reader, writer
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.rwlock import RWLock

LONG = 60.0
"""A lease time that no test sees the end of."""

MONTH = 30 * 86400.0

MODES = ("read", "write")


def side_of(lock: RWLock, mode: str) -> Lock:
    """One side of a lock."""
    return lock.read() if mode == "read" else lock.write()


def evict(lock: RWLock, part: str) -> None:
    """Let a key be gone, as a store may that is full."""
    context = lock._context
    assert context.backend.execute(("DEL", context.key(part))) == 1


def lives_for(lock: RWLock, part: str) -> float:
    """For how many seconds a key is kept."""
    context = lock._context
    left_ms: int = context.backend.execute(("PTTL", context.key(part)))
    return left_ms / 1000


def others_may(lock: RWLock, mode: str) -> bool:
    """Whether another thread is let in at once."""

    def ask() -> bool:
        side = side_of(lock, mode)
        is_granted = side.acquire(blocking=False)
        if is_granted:
            side.release()
        return is_granted

    return in_background(ask).result(SECONDS)


def wait_for_a_side(pipe: Any, state: State, mode: str) -> None:
    """Wait for one side, with a short lease."""
    side = side_of(state.rwlock("a", ttl=1.0), mode)
    pipe.send("ready")
    side.acquire()
    pipe.send("in")


def read_for_long(pipe: Any, state: State) -> None:
    """Read, with a short lease that is kept."""
    state.rwlock("a", ttl=1.0).read().acquire()
    pipe.send("in")
    pipe.recv()


def hold_unkept(pipe: Any, state: State, mode: str) -> None:
    """Hold one side on a lease that is not renewed, after one that was."""
    with side_of(state.rwlock("a", ttl=1.0), mode):
        pass
    side_of(state.rwlock("a", ttl=1.0, renew=False), mode).acquire()
    pipe.send("in")
    pipe.recv()


class RWLockThreads:
    """A thread is one and the same, whatever handles it uses."""

    def test_a_thread_is_known_on_every_handle(self, shared_state: State) -> None:
        renewed = shared_state.rwlock("a")
        brief = shared_state.rwlock("a", ttl=LONG, renew=False)
        with renewed.read():
            with pytest.raises(UpgradeError):
                brief.write().acquire(timeout=SHORT)
            waiting = in_line(shared_state, writer)
            # The error above has made a new edition of what the session keeps.
            with brief.read(), renewed.read():
                assert len(renewed.info().holders) == 1
            with pytest.raises(UpgradeError):
                renewed.write().acquire(timeout=SHORT)
        assert waiting.came_in()
        waiting.leave()

    def test_nested_holds_have_the_number_of_the_first(self, shared_state: State) -> None:
        lock, data = shared_state.rwlock("a"), shared_state.map("data")
        with lock.write() as outer:
            first = outer.token
            with shared_state.rwlock("a").write() as inner, lock.read() as reading:
                assert (inner.token, reading.token) == (first, first)
                with inner.fencing(data):
                    data["a"] = 1
            with outer.fencing(data):
                data["a"] = 2
        with lock.write() as later:
            assert later.token > first

    def test_readers_that_go_in_together_have_different_numbers(
        self, shared_state: State
    ) -> None:
        with shared_state.rwlock("a").write() as write:
            readers = [in_line(shared_state, reader) for _ in range(3)]
            token = write.token
        tokens = [reading.leave() for reading in readers if reading.came_in()]
        assert tokens == sorted(set(tokens))
        assert tokens[0] > token

    @pytest.mark.parametrize("mode", MODES)
    def test_a_signal_handler_takes_no_place_away(
        self, shared_state: State, mode: str
    ) -> None:
        lock, answers = shared_state.rwlock("a", ttl=LONG), list[bool]()
        writing = writer(shared_state)
        assert writing.came_in()

        def handle(number: int, frame: object) -> None:
            side = side_of(shared_state.rwlock("a", ttl=LONG), mode)
            answers.append(side.acquire(timeout=SHORT))

        def interrupt_and_leave() -> int:
            wait_for_waiters(lock, 1)
            # Asleep: memory:// refuses handlers that come in the middle of a call.
            wait_until(lambda: main_thread_is_in("get"))
            os.kill(os.getpid(), signal.SIGUSR2)
            wait_until(lambda: len(answers) == 1)
            waiting = lock.info().waiters
            writing.leave()
            return waiting

        former = signal.signal(signal.SIGUSR2, handle)
        try:
            leaving = in_background(interrupt_and_leave)
            assert side_of(lock, mode).acquire(timeout=SECONDS)
            assert leaving.result(SECONDS) == 1
        finally:
            signal.signal(signal.SIGUSR2, former)
        assert answers == [False]


class RWLockNested:
    """Leases of a thread that holds more than once: the longest counts."""

    def test_a_brief_hold_shortens_no_writers_lease(self, shared_state: State) -> None:
        outer = shared_state.rwlock("a", ttl=LONG)
        brief = shared_state.rwlock("a", ttl=KEPT, renew=False)
        with outer.write():
            with brief.write() as inner:
                assert (outer.info().remaining or 0) > KEPT
                inner.renew()
                assert (outer.info().remaining or 0) > KEPT
            assert (outer.info().remaining or 0) > KEPT

    def test_a_brief_hold_shortens_no_readers_lease(self, shared_state: State) -> None:
        outer = shared_state.rwlock("a", ttl=MONTH, renew=False)
        with outer.read():
            for brief in (shared_state.rwlock("a", ttl=BRIEF, renew=False),) * 2:
                with brief.read() as inner:
                    inner.renew()
                assert others_may(brief, "read")
            for part in ("readers", "held"):
                assert lives_for(outer, part) > MONTH


class RWLockEvictions:
    """A store that is full may evict any key: then nobody holds what another may hold."""

    @pytest.mark.parametrize(
        ("part", "mode"),
        [("readers", "read"), ("held", "read"), ("held", "write"), ("writer", "write")],
    )
    def test_who_was_evicted_is_told(
        self, shared_state: State, part: str, mode: str
    ) -> None:
        lock = shared_state.rwlock("a", ttl=LONG)
        side = side_of(lock, mode)
        side.acquire()
        evict(lock, part)
        with pytest.raises(LockLost, match="the store says"):
            side.renew()
        assert not side.owned()

    def test_a_reader_that_was_evicted_does_not_read_beside_a_writer(
        self, shared_state: State
    ) -> None:
        lock = shared_state.rwlock("a", ttl=LONG)
        read = lock.read()
        read.acquire()
        evict(lock, "readers")
        writing = writer(shared_state)
        assert writing.came_in()
        assert not lock.read().acquire(blocking=False)
        with pytest.raises(LockLost):
            read.release()
        writing.leave()

    @pytest.mark.parametrize("mode", MODES)
    def test_nobody_writes_before_an_evicted_holders_lease_has_ended(
        self, shared_state: State, mode: str
    ) -> None:
        lock = shared_state.rwlock("a", ttl=LONG)
        side = side_of(lock, mode)
        side.acquire()
        evict(lock, "held")
        assert not others_may(lock, "write")
        assert others_may(lock, "read") is (mode == "read")
        assert side.owned()

    @pytest.mark.parametrize("mode", MODES)
    def test_an_evicted_holders_lease_ends(self, shared_state: State, mode: str) -> None:
        lock = shared_state.rwlock("a", ttl=1.0)
        side = side_of(lock, mode)
        side.acquire()
        evict(lock, "held")
        wait_until(lambda: others_may(lock, "write"))
        assert not side.owned()

    def test_a_writer_that_was_evicted_may_write_again(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a", ttl=LONG)
        write = lock.write()
        write.acquire()
        token = write.token
        evict(lock, "held")
        with shared_state.rwlock("a").write() as again:
            assert again.token > token
            assert not others_may(lock, "read")
        with pytest.raises(LockLost):
            write.release()


class RWLockSessions:
    """What is kept of processes that stand still."""

    @pytest.fixture
    def processes(self, shared_state: State) -> None:
        """What only processes can show."""
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")

    @pytest.mark.usefixtures("processes")
    @pytest.mark.parametrize("mode", MODES)
    def test_who_was_let_in_has_to_confirm_it(self, shared_state: State, mode: str) -> None:
        lock = shared_state.rwlock("a", ttl=LONG)
        write = lock.write()
        write.acquire()
        with Victim(wait_for_a_side, shared_state, mode) as victim:
            assert victim.receive() == "ready"
            wait_for_waiters(lock, 1)
            victim.stop()
            write.release()
            assert lock.info().holders[0].mode == mode
            assert write.acquire(timeout=SECONDS)
            # It stands in no line any more, and gets in all the same.
            wait_until(lambda: lock.info().waiters == 0)
            victim.resume()
            wait_for_waiters(lock, 1)
            write.release()
            assert victim.receive() == "in"

    @pytest.mark.usefixtures("processes")
    @pytest.mark.parametrize("mode", MODES)
    def test_a_lease_that_is_not_kept_ends(self, shared_state: State, mode: str) -> None:
        with Victim(hold_unkept, shared_state, mode) as victim:
            assert victim.receive() == "in"
            victim.stop()
            lock = shared_state.rwlock("a", ttl=LONG)
            wait_until(lambda: others_may(lock, "write"))

    @pytest.mark.usefixtures("processes")
    def test_the_next_is_let_in_when_nobody_confirms(self, shared_state: State) -> None:
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("without sessions, who waits asks again in time")
        lock = shared_state.rwlock("a", ttl=3600.0)
        write = lock.write()
        write.acquire()
        with Victim(wait_for_a_side, shared_state, "write") as victim:
            assert victim.receive() == "ready"
            wait_for_waiters(lock, 1)
            # It would ask by itself in an hour.
            waiting = in_background(lambda: lock.write().acquire(timeout=SECONDS))
            wait_for_waiters(lock, 2)
            victim.stop()
            write.release()
            assert waiting.result(2 * SECONDS)

    @pytest.mark.usefixtures("processes")
    def test_what_a_session_keeps_is_not_forgotten(self, shared_state: State) -> None:
        if Capability.SESSIONS not in shared_state.capabilities:
            pytest.skip("a process that stands still loses its leases here")
        lock = shared_state.rwlock("a")
        with Victim(read_for_long, shared_state) as victim:
            assert victim.receive() == "in"
            victim.stop()
            context = lock._context
            for part in ("readers", "held"):
                left = ("PEXPIRE", context.key(part), 60_000)
                assert context.backend.execute(left) == 1
            wait_until(lambda: lives_for(lock, "readers") > LONG)
            wait_until(lambda: lives_for(lock, "held") > LONG)
            assert not others_may(lock, "write")


class RWLockKeySuite(RWLockThreads, RWLockNested, RWLockEvictions, RWLockSessions):
    """Tests of the keys of `RWLock`. A backend's own test class inherits them."""
