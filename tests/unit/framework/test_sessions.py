"""The session of a process: what is bound, when it is bound again, and whose it is."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import sharedstate
from sharedstate import sessions
from sharedstate.backend import Script, SupportsSessions
from sharedstate.errors import BackendError, BackendTimeout, CommandError, NotSupported
from sharedstate.sessions import ProcessSession, Will, open_session, session_of
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.victims import Victim

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from sharedstate.backend import Backend
    from sharedstate.state import State

END = Script("end", "redis.call('RPUSH', 'ended', ARGV[1])")
KEEP = Script("keep", "redis.call('INCR', 'kept')")


def will_of(name: str, *, keep_every: float | None = None) -> Will:
    keep = None if keep_every is None else KEEP
    return Will(end=END, keys=["lock"], arguments=[name], keep=keep, keep_every=keep_every)


def ended(state: State) -> list[bytes]:
    names: list[bytes] = state.backend.execute(("LRANGE", "ended", 0, -1))
    return sorted(names)


def calls(state: State, name: str) -> int:
    """How often the server has executed a command."""
    facts: bytes = state.backend.execute(("INFO", "commandstats"))
    _, found, rest = facts.decode().partition(f"cmdstat_{name}:calls=")
    return int(rest.partition(",")[0]) if found else 0


def drop_sessions(state: State) -> None:
    """Cut every connection but that of the one who asks."""
    state.backend.execute(("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal"))


def other_state(state: State) -> State:
    return sharedstate.connect(state.backend.settings.url)


@pytest.fixture
def state() -> Iterator[State]:
    with sharedstate.connect("local://") as opened:
        yield opened


@pytest.fixture
def observer(state: State) -> Iterator[State]:
    """Another program of the same server."""
    with other_state(state) as opened:
        yield opened


@pytest.fixture
def session(state: State) -> ProcessSession:
    found = session_of(state.backend)
    assert found is not None
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few names may be bound, and are old at once."""
    monkeypatch.setattr(sessions, "MOST_BOUND", 4)
    monkeypatch.setattr(sessions, "FRESH_SECONDS", 0.0)


# Whose it is.


def test_there_is_one_session_a_backend(state: State, observer: State) -> None:
    session = session_of(state.backend)
    assert session is not None
    assert session_of(state.backend) is session
    other = session_of(observer.backend)
    assert other is not None
    assert other is not session


def test_threads_that_come_at_once_get_the_same_session(state: State) -> None:
    start = threading.Barrier(8)

    def ask() -> ProcessSession | None:
        start.wait(SECONDS)
        return session_of(state.backend)

    futures = [in_background(ask) for _ in range(8)]
    assert len({id(future.result(SECONDS)) for future in futures}) == 1


def test_no_tag_is_the_beginning_of_another(state: State) -> None:
    tags = [ProcessSession(state.backend).tag for _ in range(300)]
    assert len(set(tags)) == 300
    assert not any(b.startswith(a) for a in tags for b in tags if a != b)


def test_a_session_goes_with_its_backend() -> None:
    state = sharedstate.connect("local://")
    session = session_of(state.backend)
    assert session is not None
    session.ensure("a", will_of("a"))
    backend, reference = weakref.ref(state.backend), weakref.ref(session)
    state.close()
    del state, session
    wait_until(lambda: gc.collect() >= 0 and backend() is None)
    assert reference() is None


def test_a_store_without_sessions_has_none() -> None:
    with sharedstate.connect("memory://") as state:
        assert session_of(state.backend) is None
        with pytest.raises(NotSupported, match="MemoryBackend has no sessions"):
            open_session(state.backend)


def test_levels_of_consistency_pass_sessions_through(state: State) -> None:
    from sharedstate_consistency.replicas import Replicas

    backend: Backend = Replicas(0, 1.0).apply(state.backend)
    assert isinstance(backend, SupportsSessions)
    session = session_of(backend)
    assert session is not None
    session.ensure("a", will_of("a"))
    session.close()
    wait_until(lambda: ended(state) == [b"a"])


def test_a_level_over_a_store_without_sessions_has_none() -> None:
    from sharedstate_consistency.replicas import Replicas

    with sharedstate.connect("memory://") as state:
        backend = Replicas(0, 1.0).apply(state.backend)
        assert session_of(backend) is None
        with pytest.raises(NotSupported):
            open_session(backend)


# What is bound.


def test_a_name_is_bound_once(state: State, session: ProcessSession) -> None:
    for _ in range(100):
        session.ensure("a", will_of("a"))
        session.ensure("b", will_of("b"))
    # The first was refused once, for its script had to be loaded.
    assert calls(state, "session|bind") == 3
    assert calls(state, "session|identify") == 1


def test_what_is_bound_ends_with_the_process(state: State) -> None:
    with Victim(bind_and_wait, state, "a") as victim:
        assert victim.receive() == "bound"
        assert ended(state) == []
        victim.kill()
        wait_until(lambda: ended(state) == [b"a"])


def bind_and_wait(pipe: Pipe, state: State, name: str) -> None:
    session = session_of(state.backend)
    assert session is not None
    session.ensure(name, will_of(name))
    pipe.send("bound")
    signal.pause()


def test_threads_bind_at_once(state: State, session: ProcessSession) -> None:
    def bind(number: int) -> None:
        for at in range(20):
            session.ensure(f"n{at}", will_of(f"n{at}"))

    futures = [in_background(lambda at=at: bind(at)) for at in range(8)]  # type: ignore[misc]
    for future in futures:
        future.result(SECONDS)
    assert calls(state, "session|bind") <= 20 + 8
    session.close()
    wait_until(lambda: len(ended(state)) == 20)


def test_what_cannot_be_bound_is_said_and_tried_again(
    state: State, session: ProcessSession
) -> None:
    bad = Will(end=Script("bad", "this is no Lua"), keys=[])
    for _ in range(2):
        with pytest.raises(CommandError, match="compiling"):
            session.ensure("a", bad)
    session.ensure("a", will_of("a"))
    session.close()
    wait_until(lambda: ended(state) == [b"a"])


# The connection breaks.


def test_everything_is_bound_again(
    state: State, session: ProcessSession, observer: State
) -> None:
    for name in "ab":
        session.ensure(name, will_of(name))
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    # Within some time, it is looked at by itself.
    wait_until(lambda: asked_for(session, "a").is_open())
    assert ended(observer) == []
    session.close()
    wait_until(lambda: ended(observer) == [b"a", b"b"])


def asked_for(session: ProcessSession, name: str) -> ProcessSession:
    session.ensure(name, will_of(name))
    return session


def test_it_is_told_that_the_session_was_not_open_all_the_time(
    state: State, session: ProcessSession, observer: State
) -> None:
    session.ensure("a", will_of("a"))
    assert session.verify()
    generation = session.generation
    assert session.is_open_since(generation)
    drop_sessions(observer)
    wait_until(lambda: not session.is_open_since(generation))
    assert not session.verify()
    assert session.verify()
    assert session.is_open()
    assert not session.is_open_since(generation)
    assert session.is_open_since(session.generation)
    session.close()
    wait_until(lambda: ended(observer) == [b"a"])


def test_a_store_that_does_not_answer_is_no_broken_session(
    state: State, observer: State
) -> None:
    with sharedstate.connect(state.backend.settings.url, timeout=0.2) as impatient:
        session = session_of(impatient.backend)
        assert session is not None
        session.ensure("a", will_of("a"))
        process = psutil.Process(server_of(observer))
        process.suspend()
        try:
            with pytest.raises(BackendTimeout):
                session.verify()
            with pytest.raises(BackendTimeout):
                session.ensure("b", will_of("b"))
        finally:
            process.resume()
        assert session.verify()
        session.ensure("b", will_of("b"))
        assert ended(observer) == []
    wait_until(lambda: ended(observer) == [b"a", b"b"])


def server_of(state: State) -> int:
    facts: bytes = state.backend.execute(("INFO", "server"))
    return int(facts.partition(b"process_id:")[2].split()[0])


def test_what_failed_half_way_is_bound_by_the_next_call(
    state: State, session: ProcessSession, observer: State
) -> None:
    """The new connection stays: to close it would end what is bound to it already."""
    for name in "abc":
        session.ensure(name, will_of(name))
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    observer.backend.execute(("SCRIPT", "FLUSH"))
    # Loading is refused, so that the first that is bound again fails.
    observer.backend.execute(("ACL", "SETUSER", "default", "-script|load"))
    with pytest.raises(CommandError, match="NOPERM"):
        session.verify()
    with pytest.raises(CommandError, match="NOPERM"):
        session.ensure("a", will_of("a"))
    observer.backend.execute(("ACL", "SETUSER", "default", "+@all"))
    session.ensure("a", will_of("a"))
    assert calls(observer, "session|identify") == 2
    session.close()
    wait_until(lambda: ended(observer) == [b"a", b"b", b"c"])


def test_a_server_that_was_killed_has_everything_again(tmp_path: Path) -> None:
    with sharedstate.connect(f"local://{tmp_path}/folder", linger=0.0) as state:
        session = session_of(state.backend)
        assert session is not None
        session.ensure("a", will_of("a", keep_every=0.1))
        os.kill(server_of(state), signal.SIGKILL)
        wait_until(lambda: not session.is_open())
        assert not session.verify()
        kept = int(state.backend.execute(("GET", "kept")) or 0)
        wait_until(lambda: int(state.backend.execute(("GET", "kept")) or 0) > kept)
        assert ended(state) == []


def test_thousands_of_names_are_bound_again_by_few_exchanges(
    state: State, session: ProcessSession, observer: State
) -> None:
    names = [f"n{at:04}" for at in range(2000)]
    for name in names:
        session.ensure(name, will_of(name, keep_every=60.0))
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    observer.backend.execute(("SCRIPT", "FLUSH"))
    before = calls(observer, "ping")
    assert not session.verify()
    # Each exchange ends with a PING.
    assert calls(observer, "ping") - before < 50
    assert bound_names(session) == names


def test_a_name_that_is_refused_keeps_no_other_from_being_bound(
    state: State, session: ProcessSession, observer: State
) -> None:
    session.ensure("a", will_of("a"))
    session.ensure("b", Will(end=KEEP, keys=[]))
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    observer.backend.execute(("SCRIPT", "FLUSH"))
    observer.backend.execute(("SCRIPT", "LOAD", KEEP.body))
    observer.backend.execute(("ACL", "SETUSER", "default", "-script|load"))
    # That of `a` would have to be loaded.
    session.ensure("b", Will(end=KEEP, keys=[]))
    session.ensure("c", Will(end=KEEP, keys=[]))
    assert bound_names(session) == ["b", "c"]
    observer.backend.execute(("ACL", "SETUSER", "default", "+@all"))
    session.ensure("a", will_of("a"))
    assert bound_names(session) == ["a", "b", "c"]


# How much is bound.


def test_names_that_nobody_uses_are_unbound(
    few: None, state: State, session: ProcessSession
) -> None:
    used = {"n2", "n9"}
    session.is_idle = lambda name: name not in used
    for at in range(1000):
        session.ensure(f"n{at}", will_of(f"n{at}"))
    session.close()
    wait_until(lambda: used <= {name.decode() for name in ended(state)})
    assert len(ended(state)) < 600


def test_names_that_were_unbound_are_bound_again(
    few: None, state: State, session: ProcessSession
) -> None:
    session.is_idle = lambda name: True
    for at in range(1000):
        session.ensure(f"n{at}", will_of(f"n{at}"))
    session.is_idle = lambda name: False
    session.ensure("n0", will_of("n0"))
    session.close()
    wait_until(lambda: b"n0" in ended(state))


def test_nothing_is_unbound_that_may_be_in_use(
    few: None, state: State, session: ProcessSession
) -> None:
    for at in range(600):
        session.ensure(f"n{at}", will_of(f"n{at}"))
    assert calls(state, "session|unbind") == 0
    session.close()
    wait_until(lambda: len(ended(state)) == 600)


def test_nothing_is_unbound_that_was_asked_for_just_now(
    state: State, session: ProcessSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_BOUND", 4)
    session.is_idle = lambda name: True
    for at in range(600):
        session.ensure(f"n{at}", will_of(f"n{at}"))
    assert calls(state, "session|unbind") == 0


# What is renounced.


def bound_names(session: ProcessSession) -> list[str]:
    """What the store has bound to a session that is about to be closed."""
    assert session._session is not None
    listed = session._session._exchange(("SESSION", "LIST"))  # type: ignore[attr-defined]
    fields = [dict(zip(facts[::2], facts[1::2], strict=True)) for facts in listed]
    return sorted(field[b"name"].decode() for field in fields)


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is renounced goes at once."""
    monkeypatch.setattr(sessions, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(sessions, "UNBIND_AGAIN_SECONDS", 0.01)


def test_what_is_renounced_is_unbound_and_nothing_else(
    swift: None, state: State, session: ProcessSession
) -> None:
    session.ensure("of x", will_of("a"), "x")
    session.ensure("of x too", will_of("b"), "x")
    session.ensure("of not x", will_of("c"), "not x")
    session.renounce("x")
    wait_until(lambda: bound_names(session) == ["of not x"])
    assert session.editions == {"x": 1}


def test_what_is_renounced_stays_while_it_is_needed(
    swift: None, state: State, session: ProcessSession, observer: State
) -> None:
    needed = ["b"]
    for name in "ab":
        session.ensure(name, will_of(name), "x")
    session.renounce("x", lambda will: will.arguments[0] in needed)
    wait_until(lambda: bound_names(session) == ["b"])
    # It is bound again if the connection breaks, and goes then as well.
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    assert not session.verify()
    assert bound_names(session) == ["b"]
    needed.clear()
    wait_until(lambda: bound_names(session) == [])
    wait_until(lambda: session._letting_go is None)


def test_what_is_renounced_goes_when_the_store_answers_again(
    swift: None, state: State, session: ProcessSession, observer: State
) -> None:
    session.ensure("a", will_of("a"), "x")
    observer.backend.execute(("ACL", "SETUSER", "default", "-session|unbind"))
    session.renounce("x")
    wait_until(lambda: calls(observer, "acl|setuser") == 1 and refusals(observer) > 1)
    assert bound_names(session) == ["a"]
    observer.backend.execute(("ACL", "SETUSER", "default", "+@all"))
    wait_until(lambda: bound_names(session) == [])


def refusals(state: State) -> int:
    facts: bytes = state.backend.execute(("INFO", "stats"))
    return int(facts.partition(b"acl_access_denied_cmd:")[2].split()[0])


# Closed by ourselves.


def test_a_session_knows_that_it_was_closed_here(
    state: State, session: ProcessSession, observer: State
) -> None:
    session.ensure("a", will_of("a"))
    first = session.generation
    drop_sessions(observer)
    wait_until(lambda: not session.is_open())
    assert not session.was_closed_since(first)
    assert not session.verify()
    assert not session.was_closed_since(first)
    second = session.generation
    session.close()
    assert session.was_closed_since(first)
    assert session.was_closed_since(second)
    session.ensure("a", will_of("a"))
    assert session.was_closed_since(second)
    assert not session.was_closed_since(session.generation)


def test_a_session_knows_that_its_backend_was_closed(observer: State) -> None:
    other = other_state(observer)
    session = session_of(other.backend)
    assert session is not None
    session.ensure("a", will_of("a"))
    other.close()
    assert session.was_closed_since(session.generation)
    assert not session.is_open_since(session.generation)


# Forks.


def test_a_forked_child_is_another_process(state: State, session: ProcessSession) -> None:
    session.ensure("a", will_of("a"))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, _what_a_child_finds(state, session).encode())
        finally:
            os._exit(0)
    os.close(writer)
    told = os.read(reader, 1000).decode()
    os.close(reader)
    os.waitpid(child, 0)
    assert told == "its own session, and the parent's is over"
    # The child's has ended with it, and ours has not.
    wait_until(lambda: ended(state) == [b"child"])
    assert session.verify()


def _what_a_child_finds(state: State, session: ProcessSession) -> str:
    own = session_of(state.backend)
    if own is None or own is session or own.tag == session.tag or session.is_open():
        return "the parent's session"
    own.ensure("child", will_of("child"))
    try:
        session.ensure("a", will_of("a"))
    except BackendError:
        return "its own session, and the parent's is over"
    return "the parent's session, which can be used"


def test_a_child_can_fork_while_a_thread_of_its_parent_binds(
    state: State, session: ProcessSession
) -> None:
    """Locks that others held at the fork are never released in the child."""
    done = threading.Event()

    def bind() -> None:
        at = 0
        while not done.is_set():
            session.ensure(f"n{at % 1000}", will_of("x"))
            session.verify()
            at += 1

    binding = in_background(bind)
    try:
        for _ in range(20):
            child = os.fork()
            if not child:
                own = session_of(state.backend)
                if own is not None:
                    own.ensure("child", will_of("child"))
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
    binding.result(SECONDS)
    wait_until(lambda: len(ended(state)) == 20)
    assert session.verify()
