"""What read-write locks must do on every backend."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.backend import Capability
from sharedstate.errors import (
    ConfigError,
    LockError,
    LockLost,
    LockNotOwned,
    UpgradeError,
)
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_for_waiters,
    wait_until,
)
from sharedstate.testing.lock_lease_suite import BRIEF, KEPT, wait_until_renewed
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from sharedstate.state import State
    from sharedstate.structures.lock import Lock

SHORT = 0.05


class Party:
    """A thread that holds one side from its grant until it is told to leave."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._leave = threading.Event()
        self.is_in = threading.Event()
        self._future: Future[int] = in_background(self._run)

    def _run(self) -> int:
        with self._lock:
            token = self._lock.token
            self.is_in.set()
            assert self._leave.wait(SECONDS)
        return token

    def may_leave(self) -> None:
        """Let it go once it was in, without waiting for it."""
        self._leave.set()

    def leave(self) -> int:
        """Let it go once it was in; its token."""
        self.may_leave()
        return self._future.result(SECONDS)

    def came_in(self) -> bool:
        """Whether it gets in within the time that a test has."""
        return self.is_in.wait(SECONDS)


def reader(state: State) -> Party:
    """Somebody who reads, or waits to."""
    return Party(state.rwlock("a").read())


def writer(state: State) -> Party:
    """Somebody who writes, or waits to."""
    return Party(state.rwlock("a").write())


def in_line(state: State, make: Callable[[State], Party]) -> Party:
    """Somebody who has to wait: returns when it stands in the line."""
    before = state.rwlock("a").info().waiters
    party = make(state)
    wait_until(lambda: state.rwlock("a").info().waiters == before + 1)
    return party


def read_until_told(pipe: Any, state: State, ttl: float) -> None:
    """Hold the side of readers."""
    state.rwlock("a", ttl=ttl).read().acquire()
    pipe.send("in")
    pipe.recv()


def wait_to_write(pipe: Any, state: State) -> None:
    """Wait to write."""
    pipe.send("ready")
    state.rwlock("a").write().acquire()


class RWLockExclusion:
    """Many readers, or one writer."""

    def test_readers_share(self, shared_state: State) -> None:
        first, second = reader(shared_state), reader(shared_state)
        assert first.came_in()
        assert second.came_in()
        modes = [holder.mode for holder in shared_state.rwlock("a").info().holders]
        assert modes == ["read", "read"]
        assert first.leave() != second.leave()

    def test_a_writer_is_alone(self, shared_state: State) -> None:
        writing = writer(shared_state)
        assert writing.came_in()
        lock = shared_state.rwlock("a")
        assert not lock.read().acquire(blocking=False)
        assert not lock.write().acquire(timeout=SHORT)
        writing.leave()
        with lock.write():
            pass

    def test_readers_keep_writers_out(self, shared_state: State) -> None:
        reading = reader(shared_state)
        assert reading.came_in()
        assert not shared_state.rwlock("a").write().acquire(timeout=SHORT)
        reading.leave()
        assert shared_state.rwlock("a").write().acquire(timeout=0)

    def test_tokens_rise_with_every_grant(self, shared_state: State) -> None:
        lock, tokens = shared_state.rwlock("a"), []
        for side in (lock.read(), lock.write(), lock.read(), lock.write()):
            with side:
                tokens.append(side.token)
        assert tokens == sorted(set(tokens))
        assert lock.info().fencing == tokens[-1]

    def test_nothing_of_it_stays_but_its_number(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        with lock.read():
            waiting = in_line(shared_state, writer)
        waiting.leave()
        with lock.write(), lock.read():
            pass
        kept = list(shared_state._scan(f"{lock._context.prefix}*"))
        assert kept == [lock._context.key("fencing").encode()]


class RWLockTurns:
    """Nobody starves."""

    def test_a_waiting_writer_stops_new_readers(self, shared_state: State) -> None:
        first = reader(shared_state)
        assert first.came_in()
        waiting = in_line(shared_state, writer)
        late = in_line(shared_state, reader)
        assert not late.is_in.is_set()
        first.leave()
        assert waiting.came_in()
        assert not late.is_in.is_set()
        waiting.leave()
        assert late.came_in()
        late.leave()

    def test_readers_that_waited_go_in_together_after_one_writer(
        self, shared_state: State
    ) -> None:
        first = writer(shared_state)
        assert first.came_in()
        second = in_line(shared_state, writer)
        readers = [in_line(shared_state, reader) for _ in range(3)]
        third = in_line(shared_state, writer)
        first.leave()
        # The bound: one writer, whoever else waits to write.
        assert all(reading.came_in() for reading in readers)
        assert not second.is_in.is_set()
        assert len({reading.leave() for reading in readers}) == 3
        assert second.came_in()
        assert not third.is_in.is_set()
        second.leave()
        assert third.came_in()
        third.leave()

    def test_writers_come_in_their_order(self, shared_state: State) -> None:
        order = list[int]()
        lock = shared_state.rwlock("a")

        def write(number: int) -> None:
            with shared_state.rwlock("a").write():
                order.append(number)

        with lock.write():
            writing = []
            for number in range(4):
                writing.append(in_background(partial(write, number)))
                wait_for_waiters(lock, number + 1)
        for future in writing:
            future.result(SECONDS)
        assert order == [0, 1, 2, 3]

    def test_a_writer_that_gives_up_lets_readers_in(self, shared_state: State) -> None:
        first = reader(shared_state)
        assert first.came_in()
        write = shared_state.rwlock("a").write()
        impatient = in_background(lambda: write.acquire(timeout=0.3))
        wait_until(lambda: shared_state.rwlock("a").info().waiters == 1)
        late = in_line(shared_state, reader)
        assert not impatient.result(SECONDS)
        assert late.came_in()
        late.leave()
        first.leave()

    def test_the_line_says_who_wants_what(self, shared_state: State) -> None:
        with shared_state.rwlock("a").write():
            waiting = [in_line(shared_state, make) for make in (reader, writer, reader)]
            modes = [party.mode for party in shared_state.rwlock("a").info().line]
        for party in waiting:
            party.may_leave()
        for party in waiting:
            party.leave()
        assert modes == ["read", "write", "read"]


class RWLockReentrancy:
    """What a thread may do that holds one side."""

    def test_a_reader_may_read_again_though_a_writer_waits(
        self, shared_state: State
    ) -> None:
        lock = shared_state.rwlock("a")
        with lock.read():
            waiting = in_line(shared_state, writer)
            with lock.read(), shared_state.rwlock("a").read():
                assert not waiting.is_in.is_set()
            assert len(lock.info().holders) == 1
        assert waiting.came_in()
        waiting.leave()

    def test_a_reader_cannot_become_the_writer(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        with lock.read():
            with pytest.raises(UpgradeError, match="release the read lock first"):
                lock.write().acquire()
            assert lock.read().owned()
            assert lock.info().waiters == 0
        with lock.write():
            pass

    def test_a_writer_may_write_again_and_read(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        with lock.write(), lock.write(), lock.read():
            assert {holder.mode for holder in lock.info().holders} == {"read", "write"}
        assert lock.info().holders == ()

    def test_a_writer_becomes_a_reader_with_nobody_between(
        self, shared_state: State
    ) -> None:
        lock = shared_state.rwlock("a")
        lock.write().acquire()
        waiting = [in_line(shared_state, make) for make in (writer, reader)]
        reading = lock.downgrade()
        assert reading.owned()
        assert not lock.write().owned()
        assert waiting[1].came_in()
        assert not waiting[0].is_in.is_set()
        reading.release()
        waiting[1].leave()
        assert waiting[0].came_in()
        waiting[0].leave()

    def test_who_writes_twice_cannot_downgrade(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        with (
            lock.write(),
            lock.write(),
            pytest.raises(LockError, match="more than once"),
        ):
            lock.downgrade()
        assert lock.info().holders == ()

    def test_only_a_writer_can_downgrade(self, shared_state: State) -> None:
        with pytest.raises(LockNotOwned, match="does not hold the write lock"):
            shared_state.rwlock("a").downgrade()

    def test_holds_belong_to_threads(self, shared_state: State) -> None:
        read = shared_state.rwlock("a").read()
        with read:
            with pytest.raises(LockNotOwned):
                in_background(read.release).result(SECONDS)
            assert read.owned()


class RWLockLeases:
    """Each holder has a lease of its own."""

    def test_both_sides_are_renewed(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a", ttl=KEPT)
        for side in (lock.read(), lock.write()):
            with side:
                wait_until_renewed(side)

    def test_a_reader_that_is_lost_frees_its_own_place_only(
        self, shared_state: State
    ) -> None:
        staying = reader(shared_state)
        assert staying.came_in()
        losing = shared_state.rwlock("a", ttl=BRIEF, renew=False).read()
        losing.acquire()
        waiting = in_line(shared_state, writer)
        assert losing.lost.wait(SECONDS)
        with pytest.raises(LockLost):
            losing.release()
        # It is told of the loss a moment before the store lets others in.
        wait_until(lambda: len(shared_state.rwlock("a").info().holders) == 1)
        assert not waiting.is_in.is_set()
        staying.leave()
        assert waiting.came_in()
        waiting.leave()

    def test_a_writers_lease_that_ended_lets_the_others_in(
        self, shared_state: State
    ) -> None:
        shared_state.rwlock("a", ttl=BRIEF, renew=False).write().acquire()
        parties = [reader(shared_state), reader(shared_state)]
        assert all(party.came_in() for party in parties)
        for party in parties:
            party.leave()

    def test_taking_it_away_lets_the_next_in(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        held = [reader(shared_state), reader(shared_state)]
        assert all(party.came_in() for party in held)
        waiting = in_line(shared_state, writer)
        assert lock.force_release()
        assert waiting.came_in()
        waiting.leave()
        assert not lock.force_release()
        for party in held:
            with pytest.raises(LockLost):
                party.leave()

    def test_an_interrupted_waiter_leaves_nothing_behind(self, shared_state: State) -> None:
        lock = shared_state.rwlock("a")
        for side in (lock.read(), lock.write()):
            writing = writer(shared_state)
            assert writing.came_in()
            with pytest.raises(Interrupted), interrupted_in("get"):
                side.acquire()
            assert lock.info().waiters == 0
            writing.leave()


class RWLockProcesses:
    """What becomes of those that are killed, and of handles that travel."""

    @pytest.fixture
    def processes(self, shared_state: State) -> None:
        """What only processes can show."""
        if Capability.PROCESSES not in shared_state.capabilities:
            pytest.skip("the backend lives in this process only")

    @pytest.mark.usefixtures("processes")
    def test_a_killed_reader_frees_its_own_place_only(self, shared_state: State) -> None:
        staying = reader(shared_state)
        assert staying.came_in()
        has_sessions = Capability.SESSIONS in shared_state.capabilities
        with Victim(
            read_until_told, shared_state, 3600.0 if has_sessions else 1.0
        ) as victim:
            assert victim.receive() == "in"
            victim.kill()
        lock = shared_state.rwlock("a")
        wait_until(lambda: len(lock.info().holders) == 1)
        assert not lock.write().acquire(timeout=SHORT)
        staying.leave()
        assert lock.write().acquire(timeout=SECONDS)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_waiting_writer_keeps_no_reader_out(self, shared_state: State) -> None:
        first = reader(shared_state)
        assert first.came_in()
        with Victim(wait_to_write, shared_state) as victim:
            victim.receive()
            wait_until(lambda: shared_state.rwlock("a").info().waiters == 1)
            victim.kill()

        def may_read() -> bool:
            read = shared_state.rwlock("a").read()
            granted = read.acquire(blocking=False)
            if granted:
                read.release()
            return granted

        # The store may notice some moments later that the connection has ended.
        wait_until(may_read)
        first.leave()

    @pytest.mark.usefixtures("processes")
    def test_a_copy_of_a_side_holds_nothing(self, shared_state: State) -> None:
        with shared_state.rwlock("a", ttl=20).write() as write:
            copy: Lock = pickle.loads(pickle.dumps(write))
            assert not copy.owned()
        with copy:
            assert 10 < copy.remaining < 20

    def test_wrong_options_are_errors(self, shared_state: State) -> None:
        with pytest.raises(ConfigError, match="expected ttl, renew and on_lost"):
            shared_state.structure("rwlock", "a", mode="read")
        with pytest.raises(ConfigError, match="mode='read' or mode='write'"):
            shared_state.lock("a", strategy="readwrite", mode="rw")


class RWLockSuite(
    RWLockExclusion, RWLockTurns, RWLockReentrancy, RWLockLeases, RWLockProcesses
):
    """Tests of `RWLock`. A backend's own test class inherits them."""
