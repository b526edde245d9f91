"""Leases of locks and the session of their process: what is bound, and for how long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import sharedstate
from sharedstate import sessions
from sharedstate.sessions import ProcessSession, session_of
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    wait_until,
)
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from sharedstate.state import State


@pytest.fixture
def state() -> Iterator[State]:
    with sharedstate.connect("local://") as opened:
        yield opened


@pytest.fixture
def session(state: State) -> ProcessSession:
    found = session_of(state.backend)
    assert found is not None
    return found


def bound_names(session: ProcessSession) -> list[str]:
    """What the store has bound to a session."""
    assert session._session is not None
    listed = session._session._exchange(("SESSION", "LIST"))  # type: ignore[attr-defined]
    fields = [dict(zip(facts[::2], facts[1::2], strict=True)) for facts in listed]
    return sorted(field[b"name"].decode() for field in fields)


# How much is bound.


def test_names_that_were_locked_once_make_room_for_others(
    state: State, session: ProcessSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_BOUND", 4)
    monkeypatch.setattr(sessions, "FRESH_SECONDS", 0.0)
    session._review_at = 4
    held = state.lock("held")
    held.acquire()
    for at in range(600):
        with state.lock(f"row:{at}"):
            pass
    names = bound_names(session)
    assert len(names) < 300
    assert any("{lock:held}" in name for name in names)
    held.release()


def test_a_lock_that_the_store_does_not_bind_is_had_all_the_same(
    state: State, session: ProcessSession, caplog: pytest.LogCaptureFixture
) -> None:
    state.backend.execute(("ACL", "SETUSER", "default", "-session|bind"))
    for name in "abc":
        with state.lock(name, ttl=0.3) as lock:
            assert lock.owned()
            assert not state.lock(name).acquire(timeout=0.0)
    lock = state.lock("reentrant", strategy="reentrant")
    with lock:
        state.backend.execute(("ACL", "SETUSER", "default", "+@all"))
        # Bound now, and still the same owner.
        assert lock.acquire(timeout=0.0)
        lock.release()
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "does not bind 'a'" in warnings[0].getMessage()


def test_a_condition_that_the_store_does_not_bind_is_waited_for_all_the_same(
    state: State,
) -> None:
    state.backend.execute(("ACL", "SETUSER", "default", "-session|bind"))
    condition = state.condition("a")
    with condition:
        assert not condition.wait(timeout=0.01)


def test_locks_are_had_though_scripts_are_flushed_all_the_time(state: State) -> None:
    for at in range(8):
        with state.lock(f"n{at}"):
            state.backend.execute(("SCRIPT", "FLUSH"))


# What an interrupted wait leaves to the others.


def test_an_interrupted_wait_takes_no_will_from_who_holds(
    state: State, session: ProcessSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(sessions, "UNBIND_AGAIN_SECONDS", 0.01)
    similar = state.lock("about ss:{lock:a}")
    similar.acquire()
    lock = state.lock("a")
    in_background(lock.acquire).result(SECONDS)
    before = bound_names(session)
    with pytest.raises(Interrupted), interrupted_in("_sleep"):
        state.lock("a").acquire()
    with state.lock("b"):
        assert bound_names(session)[:2] == before
    # What is acquired later is bound anew; what was before goes with its last holder.
    lock.release()
    with state.lock("a"):
        wait_until(lambda: [name[-2:] for name in of(session, "ss:{lock:a}:")] == ["#1"])
    similar.release()


def of(session: ProcessSession, part: str) -> list[str]:
    return [name for name in bound_names(session) if f":{part}" in name]


def test_what_others_hold_is_free_at_once_after_an_interrupted_wait(state: State) -> None:
    with Victim(hold_while_a_wait_is_interrupted, state) as victim:
        assert victim.receive() == "interrupted"
        lock = state.lock("a", ttl=600.0)
        assert not lock.acquire(timeout=0.0)
        victim.kill()
        assert lock.acquire(timeout=SECONDS)
        lock.release()


def hold_while_a_wait_is_interrupted(pipe: Pipe, state: State) -> None:
    sessions.FRESH_SECONDS = 0.0
    lock = state.lock("a", ttl=600.0)
    holding = threading.Thread(target=lock.acquire)
    holding.start()
    holding.join()
    try:
        with interrupted_in("_sleep"):
            state.lock("a", ttl=600.0).acquire()
    except Interrupted:
        # Let what was renounced be looked at before the test goes on.
        session: Any = session_of(state.backend)
        session._let_go()
        pipe.send("interrupted")
    signal.pause()
