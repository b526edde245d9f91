"""`memory://` beyond the contract: names, forks, threads, and what is done on the side."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest

import sharedstate
from sharedstate.backend import Script
from sharedstate.config import Settings
from sharedstate.errors import BackendError, ConfigError, NotSupported
from sharedstate.testing.background import wait_until
from sharedstate_memory import subscription
from sharedstate_memory.backend import MemoryBackend, to_words
from sharedstate_memory.store import Store, open_store

LONG_SECONDS = 30.0


def connect(url: str = "memory://") -> MemoryBackend:
    return MemoryBackend(Settings(url))


def store_of(backend: MemoryBackend) -> Store:
    return backend._open_store()


# -- names


def test_states_without_a_name_share_nothing() -> None:
    one, other = connect(), connect()
    one.execute(("SET", "a", "1"))
    assert other.execute(("GET", "a")) is None


def test_states_of_one_name_share_their_data() -> None:
    one, other = connect("memory://shared"), connect("memory://shared")
    one.execute(("SET", "a", "1"))
    assert other.execute(("GET", "a")) == b"1"
    assert connect("memory://another").execute(("GET", "a")) is None


def test_data_ends_with_the_last_state_of_its_name() -> None:
    one, other = connect("memory://ending"), connect("memory://ending")
    one.execute(("SET", "a", "1"))
    one.close()
    assert other.execute(("GET", "a")) == b"1"
    other.close()
    gc.collect()
    assert connect("memory://ending").execute(("GET", "a")) is None


def test_a_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="it has no paths"):
        sharedstate.connect("memory://name/path")


def test_the_settings_are_for_this_process_only() -> None:
    backend = connect("memory://named")
    assert backend.local_settings.url == "memory://named"
    with pytest.raises(NotSupported, match="local://"):
        _ = backend.settings


# -- forks


def in_child(function: object) -> int:
    """Run a function in a forked child; 0 if it returned something true."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if callable(function) and function() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refuses(backend: MemoryBackend) -> bool:
    try:
        backend.execute(("GET", "a"))
    except BackendError as error:
        return "local://" in str(error)
    return False


def closes(backend: MemoryBackend) -> bool:
    backend.close()
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_refused_and_told_why() -> None:
    backend = connect()
    backend.execute(("SET", "a", "1"))
    assert in_child(lambda: refuses(backend)) == 0
    assert backend.execute(("GET", "a")) == b"1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_the_lock_is_held_does_not_hang_the_child() -> None:
    backend = connect("memory://forked")
    with store_of(backend).lock:
        assert in_child(lambda: refuses(backend)) == 0
        assert in_child(lambda: closes(backend)) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_may_open_a_store_of_its_own() -> None:
    backend = connect("memory://both")
    backend.execute(("SET", "a", "1"))
    assert in_child(lambda: connect("memory://both").execute(("EXISTS", "a")) == 0) == 0


# -- the end


def test_a_closed_backend_refuses() -> None:
    backend = connect()
    backend.execute(("SET", "a", "1"))
    backend.close()
    for use in (
        lambda: backend.execute(("GET", "a")),
        lambda: backend.transact([("GET", "a")]),
        lambda: backend.run_script(Script("x", "return 1"), []),
        lambda: backend.watch(["a"]),
        lambda: backend.wait_for(("BLPOP", "a"), 1),
        lambda: backend.subscribe(["a"]),
    ):
        with pytest.raises(BackendError, match="closed"):
            use()


def test_closing_ends_the_waits_of_other_threads() -> None:
    backend = connect()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            backend.wait_for(("BLPOP", "a"), LONG_SECONDS)
        except BackendError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    engine = store_of(backend).engine
    thread.start()
    wait_until(lambda: len(engine.waits) == 1)
    backend.close()
    thread.join(LONG_SECONDS)
    assert [type(error) for error in errors] == [BackendError]


def test_closing_ends_subscriptions() -> None:
    backend = connect()
    listening = backend.subscribe(["c"])
    backend.close()
    with pytest.raises(BackendError):
        listening.get(LONG_SECONDS)


# -- sessions


def session_count(backend: MemoryBackend) -> int:
    backend.execute(("PING",))
    return len(store_of(backend).engine.sessions)


def test_the_sessions_of_ended_threads_watches_and_waits_are_closed() -> None:
    backend = connect()
    before = session_count(backend)
    for _ in range(10):
        thread = threading.Thread(target=lambda: backend.execute(("INCR", "n")))
        thread.start()
        thread.join()
        with backend.watch(["a"]):
            pass
        backend.watch(["a"])
        backend.wait_for(("BLPOP", "a"), 0.0001)
        backend.subscribe(["c"]).close()
    gc.collect()
    assert session_count(backend) == before


def test_a_session_that_ends_while_the_lock_is_held_is_closed_later() -> None:
    backend = connect()
    watch = backend.watch(["a"])
    before = session_count(backend)
    with store_of(backend).lock:
        watch.close()
    assert session_count(backend) == before - 1


def test_a_blocking_command_does_not_block_where_none_may() -> None:
    backend = connect()
    assert backend.execute(("BLPOP", "a", 0)) is None
    assert backend.execute_many([("BLPOP", "a", 0), ("PING",)]) == [None, b"PONG"]
    backend.execute(("RPUSH", "a", "x"))
    assert backend.execute(("LLEN", "a")) == 1


# -- what is done on the side


def test_expired_keys_are_removed_by_calls_that_name_others() -> None:
    backend = connect()
    backend.execute(("SET", "a", "1", "PX", 1))
    keyspace = store_of(backend).engine.databases[0]
    deadline = time.monotonic() + LONG_SECONDS
    while keyspace.data and time.monotonic() < deadline:
        backend.execute(("PING",))
    assert keyspace.data == {}


def test_messages_that_nobody_reads_are_missed_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "MOST_UNREAD", 3)
    backend = connect()
    with backend.subscribe(["c"]) as listening:
        for number in range(10):
            backend.execute(("PUBLISH", "c", number))
        assert listening.missed == 1
        received = [listening.get(0) for _ in range(4)]
    assert [message and message.data for message in received] == [b"0", b"1", b"2", None]


# -- what would travel


def test_a_reply_is_not_a_part_of_the_data() -> None:
    backend = connect()
    backend.execute(("HSET", "h", "f", "v"))
    backend.execute(("HGETALL", "h")).append("mine")
    assert backend.execute(("HGETALL", "h")) == [b"f", b"v"]


@pytest.mark.parametrize("argument", [None, True, [], object(), 1 + 2j])
def test_what_cannot_travel_is_refused(argument: object) -> None:
    with pytest.raises(TypeError):
        to_words([argument])  # type: ignore[list-item]


def test_numbers_travel_as_their_shortest_text() -> None:
    assert to_words([1, -(2**70), 0.1, 1e100, float("inf")]) == [
        b"1", b"-1180591620717411303424", b"0.1", b"1e+100", b"inf",
    ]  # fmt: skip


def test_a_store_of_a_name_is_the_same_for_threads_at_once() -> None:
    stores: list[Store] = []
    threads = [
        threading.Thread(target=lambda: stores.append(open_store("at once")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, stores))) == 1
